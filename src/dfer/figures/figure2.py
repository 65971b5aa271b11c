"""Fig. 2: similarity of clips to each class text, with a text prompt only and with both prompts.

python -m dfer.figures.figure2 --examples examples.parquet --features runs/*/*/features.parquet
    --title Demo --synthetic --classes '{"happy": "happy", …}'
    --variants '{"Baseline": "backbone.0a1b2c3d", …}'
    --out-stem results/figures/demo/figure2
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import simplejpeg

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Comparison
from dfer.files import read_parquet

FRAMES = 4  # of T are comparison, evenly


def similarities(features: pd.DataFrame, key: str, clip: str, classes: list[str]) -> np.ndarray:
    """cos(V̂, K̂_j) of a clip by a run, in class order."""
    row = features[(features.run == key) & (features["clip"] == clip)].iloc[0]
    return row[[f"similarity_{name}" for name in classes]].to_numpy(float)


def draw(examples: pd.DataFrame, features: pd.DataFrame, comparison: Comparison) -> plt.Figure:
    """A line a clip: some of its frames, then a bar a class and variant; stars mark predictions."""
    classes, rows = comparison.classes, len(examples)
    figure = plt.figure(figsize=(7.2, 1.05 * rows + 1.15))
    grid = figure.add_gridspec(
        rows, FRAMES + 1, width_ratios=[1] * FRAMES + [0.62 * len(classes)], wspace=0.02
    )
    places, width = np.arange(len(classes)), 0.8 / len(comparison.runs)
    bars = None
    for number, example in enumerate(examples.to_dict("records")):
        label = example["label"]
        for column, frame in enumerate(evenly(example["frames"], FRAMES)):
            axis = figure.add_subplot(grid[number, column])
            axis.imshow(simplejpeg.decode_jpeg(frame, "RGB"))
            axis.set_axis_off()
            if column == 0:
                axis.set_title(label, loc="left", size=8, pad=2)
        bars = figure.add_subplot(grid[number, -1], sharey=bars)
        for place, (name, key) in enumerate(comparison.runs.items()):
            values = similarities(features, key, example["clip"], classes)
            x = places + (place - (len(comparison.runs) - 1) / 2) * width
            colour = style.VARIANTS[place]
            bars.bar(x, values, width * 0.92, color=colour, label=name if number == 0 else None)
            best = values.argmax()
            bars.annotate(
                "★", (x[best], max(values[best], 0)), ha="center", va="bottom", color=colour, size=7
            )
        bars.axhline(0, color=style.FAINT, lw=0.6)
        named = classes if number == rows - 1 else [""] * len(classes)
        bars.set_xticks(places, named, rotation=30, ha="right", rotation_mode="anchor")
        true = classes.index(label)
        bars.axvspan(true - 0.5, true + 0.5, color="#efeadb", lw=0, zorder=0)
        bars.tick_params(axis="x", length=0)
        bars.yaxis.tick_right()
        bars.spines["right"].set_visible(True)
        bars.spines[["left", "bottom"]].set_visible(False)
        bars.margins(y=0.2)
    figure.legend(loc="outside lower right", ncols=len(comparison.runs))
    style.heading(
        figure,
        "Similarity to each class text",
        comparison,
        "cos(V̂, K̂) of Eq. 12; star: prediction; shaded: true class; each clip by the model of its "
        "test fold",
        style.choice(examples),
    )
    return figure


def evenly(frames: list[bytes], count: int) -> list[bytes]:
    """`count` of the frames, the middle one of as many equal parts."""
    return [frames[int((i + 0.5) * len(frames) / count)] for i in range(count)]


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = style.parser(__doc__.splitlines()[0])
    add = top.add_argument
    add("--examples", type=Path, required=True, help="chosen clips (dfer.analysis.examples)")
    add("--features", nargs="+", required=True, help="features of runs (dfer.analysis.features)")
    return top


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    comparison = Comparison.from_json(args.title, args.synthetic, args.classes, args.variants)
    examples, features = read_parquet(args.examples), style.read_all(args.features)
    style.save(draw(examples, features, comparison), args.out_stem)


if __name__ == "__main__":
    stage(main, parser())
