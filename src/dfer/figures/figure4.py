"""Fig. 4: where the model looks, without and with text, in the frames of chosen clips.

python -m dfer.figures.figure4 --examples examples.parquet --maps maps.*.parquet
    --title Demo --synthetic --classes '{"happy": "happy", …}'
    --variants '{"Baseline": "backbone.0a1b2c3d", …}'
    --out-stem results/figures/demo/figure4
"""

import argparse
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import simplejpeg

from dfer.errors import UserError, stage
from dfer.figures import style
from dfer.figures.heat import heat_over
from dfer.figures.style import Comparison
from dfer.files import read_parquet

SIDE = 112  # pixels of a frame as drawn


def upsampled_heat(maps: pd.DataFrame, key: str, clip: str) -> tuple[np.ndarray, str]:
    """Heat (T, SIDE, SIDE) of a clip by a run, 1 where it is hottest, and the run's prediction."""
    rows = maps[(maps.run == key) & (maps["clip"] == clip)].sort_values("frame")
    patches = np.stack(rows["map"])
    side = round(patches.shape[1] ** 0.5)
    large = np.stack([cv2.resize(frame.reshape(side, side), (SIDE, SIDE)) for frame in patches])
    return large / max(large.max(), np.finfo(np.float32).tiny), rows.prediction.iloc[0]


def read_frame(jpeg: bytes) -> np.ndarray:
    """A frame of a clip, uint8 RGB (SIDE, SIDE, 3)."""
    frame = simplejpeg.decode_jpeg(jpeg, "RGB")
    return cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def in_grey(frame: np.ndarray) -> np.ndarray:
    """An RGB frame without its colours, float (H, W, 3)."""
    return np.repeat(frame.mean(axis=-1, keepdims=True), 3, axis=-1)


def draw(examples: pd.DataFrame, maps: pd.DataFrame, comparison: Comparison) -> plt.Figure:
    """Three rows a clip: its frames, then a row of heat maps a variant, with its prediction."""
    frames = len(examples.frames.iloc[0])
    lines = 1 + len(comparison.runs)
    width = max(1.1 + 0.74 * frames, 5.3)  # the heading's, where there are few frames
    figure = plt.figure(figsize=(width, (0.74 * lines + 0.08) * len(examples) + 0.7))
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    outer = figure.add_gridspec(len(examples), 1)
    for number, example in enumerate(examples.to_dict("records")):
        grid = outer[number].subgridspec(lines, frames, wspace=0, hspace=0)
        images = [read_frame(jpeg) for jpeg in example["frames"]]
        rows = [(example["label"], style.INK, images)]
        for (name, key), colour in zip(comparison.runs.items(), style.VARIANTS, strict=False):
            heats, prediction = upsampled_heat(maps, key, example["clip"])
            if len(heats) != frames:
                raise UserError(
                    f"{key} sees {len(heats)} frames of a clip and the figure has {frames}: "
                    "compare variants of equal model.frames."
                )
            pictures = [
                heat_over(in_grey(image), heat) for image, heat in zip(images, heats, strict=True)
            ]
            mark = "✓" if prediction == example["label"] else "✗"
            rows.append((f"{name}:\n{prediction} {mark}", colour, pictures))
        for line, (title, colour, pictures) in enumerate(rows):
            for column, picture in enumerate(pictures):
                axis = figure.add_subplot(grid[line, column])
                axis.imshow(picture)
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
                if column == 0:
                    weight = "bold" if line == 0 else "normal"
                    axis.set_ylabel(
                        title, rotation=0, ha="right", va="center", color=colour, weight=weight
                    )
    style.heading(
        figure,
        "Where the model looks",
        comparison,
        "relevance of each patch for the class that the model predicts (Chefer et al. 2021), "
        "1 = hottest of the clip",
        style.choice(examples),
    )
    return figure


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = style.parser(__doc__.splitlines()[0])
    add = top.add_argument
    add("--examples", type=Path, required=True, help="chosen clips (dfer.analysis.examples)")
    add("--maps", nargs="+", required=True, help="heat maps of variants (dfer.analysis.maps)")
    return top


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    comparison = Comparison.from_json(args.title, args.synthetic, args.classes, args.variants)
    examples, maps = read_parquet(args.examples), style.read_all(args.maps)
    style.save(draw(examples, maps, comparison), args.out_stem)


if __name__ == "__main__":
    stage(main, parser())
