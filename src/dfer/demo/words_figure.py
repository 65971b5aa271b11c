"""A picture of what words mean to the small CLIP, from the tables of `dfer.demo.words`.

python -m dfer.demo.words_figure --measures measures.parquet --cosines cosines.parquet
    --out-stem results/figures/demo/words
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dfer.errors import stage
from dfer.figures import style
from dfer.files import read_parquet

OF = {"clips": ("clips of the demo", style.VARIANTS[1]), "stills": ("stills", style.VARIANTS[0])}


def draw_measures(axis: Axes, measures: pd.DataFrame) -> None:
    """A bar a measure, and the chance of each as a line across it."""
    names = list(dict.fromkeys(zip(measures.measure, measures.texts, strict=True)))
    places = {name: len(names) - 1 - number for number, name in enumerate(names)}
    height = 0.8 / len(OF)
    for number, (of, (title, colour)) in enumerate(OF.items()):
        rows = measures[measures.of == of]
        shift = height * ((len(OF) - 1) / 2 - number)
        y = [places[name] + shift for name in zip(rows.measure, rows.texts, strict=True)]
        label = f"{rows['count'].iloc[0]} {title}"
        axis.barh(y, rows.value, height=0.9 * height, color=colour, label=label)
        for place, value, chance in zip(y, rows.value, rows.chance, strict=True):
            axis.plot([chance] * 2, [place - height / 2, place + height / 2], color=style.INK, lw=1)
            axis.text(value + 1, place, f"{value:.1f}", va="center", size=7)
    texts = [
        measure if texts == "captions" else f"{measure} by\n{texts}" for measure, texts in names
    ]
    axis.set_yticks(list(places.values()), texts)
    axis.set(xlim=(0, 100), xlabel="% (black line: chance)", title="What texts are worth untrained")
    axis.tick_params(axis="y", length=0)
    axis.legend(loc="upper center", bbox_to_anchor=(0.4, -0.14), ncols=2, fontsize=7)


def draw_map(axis: Axes, cosines: pd.DataFrame, title: str) -> None:
    """The cosine of each pair of classes, one colour scale from -1 to 1."""
    classes = list(dict.fromkeys(cosines.one))
    table = cosines.pivot_table(index="one", columns="other", values="cosine")
    values = table.loc[classes, classes].to_numpy()
    axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    for (i, j), value in np.ndenumerate(values):
        ink = "white" if abs(value) > 0.65 else style.INK
        axis.text(j, i, f"{value:.1f}", ha="center", va="center", size=6.5, color=ink)
    style.label_classes(axis, classes)
    axis.set_title(title)


def draw(measures: pd.DataFrame, cosines: pd.DataFrame) -> plt.Figure:
    """The measures, and beside them the two maps of the classes."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), width_ratios=[1.5, 1, 1])
    draw_measures(axes[0], measures)
    titles = {"class words": "Class words (cosine)", "face units": "Face units drawn (cosine)"}
    for axis, (name, title) in zip(axes[1:], titles.items(), strict=True):
        draw_map(axis, cosines[cosines["map"] == name], title)
    style.write_heading(
        figure,
        "What words mean to the demo's small CLIP",
        "nothing is trained for this: the nearest text is the prediction; stills of people whom "
        "pretraining has not seen; other phrasing: in no caption",
        "a small world of rendered faces with a small vocabulary (synthetic)",
    )
    return figure


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--measures", required=True, help="what the words are worth (dfer.demo.words)")
    add("--cosines", required=True, help="maps of the classes (dfer.demo.words)")
    add("--out-stem", type=Path, required=True, help="output (path without .pdf, .svg, .png)")
    return top


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    style.save(draw(read_parquet(args.measures), read_parquet(args.cosines)), args.out_stem)


if __name__ == "__main__":
    stage(main, parser())
