"""What all figures share: type, colours, headings, command line, saving.

Figures are views of Parquet tables: no module here runs a model, and none needs torch. Equal data
give equal bytes in all three formats.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfer.files import atomic, read_parquet

FORMATS = ("pdf", "svg", "png")
# Variants that are compared, and classes, which the colour-blind can tell apart (Okabe & Ito).
VARIANTS = ("#7f8fa6", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")
CLASSES = (
    *("#e69f00", "#0072b2", "#8c8c8c", "#d55e00", "#56b4e9", "#009e73", "#cc79a7"),
    *("#000000", "#7b3294", "#a6761d", "#b8b800"),
)
INK, FAINT = "#222222", "#767676"

plt.rcParams.update(
    {
        "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine has it
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.titleweight": "bold",
        "axes.labelsize": 8,
        "axes.edgecolor": FAINT,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "text.color": INK,
        "axes.labelcolor": INK,
        "legend.frameon": False,
        "pdf.fonttype": 42,
        "svg.hashsalt": "dfer",
        "figure.constrained_layout.use": True,
        "savefig.dpi": 200,
    }
)


@dataclass(frozen=True)
class Comparison:
    """What a figure is of: variants that are compared on a dataset."""

    title: str  # of the dataset
    synthetic: bool
    classes: list[str]  # labels, in class order
    runs: dict[
        str, Any
    ]  # variant's name in the figure → run key, or several by what they differ in

    @classmethod
    def from_json(cls, title: str, synthetic: bool, classes: str, variants: str) -> "Comparison":
        """A comparison as the command line of a figure describes it."""
        return cls(title, synthetic, list(json.loads(classes)), json.loads(variants))


def heading(figure: Figure, title: str, comparison: Comparison, *facts: str) -> None:
    """Title and subtitle: what is drawn, on which data, measured how; synthetic data say so."""
    dataset = comparison.title + " (synthetic)" * comparison.synthetic
    if comparison.synthetic:
        facts = (*facts, "synthetic data: says nothing about the paper")
    write_heading(figure, f"{title} · {dataset}", *facts)


def write_heading(figure: Figure, title: str, *facts: str) -> None:
    """A title, a line a fact below it, and room for them above what is drawn."""
    height = figure.get_size_inches()[1]
    figure.text(0.01, 1 - 0.05 / height, title, ha="left", va="top", size=10, weight="bold")
    lines = "\n".join(facts)
    room = 0.34 + 0.12 * (1 + lines.count("\n"))
    figure.text(0.01, 1 - 0.26 / height, lines, ha="left", va="top", size=7, color=FAINT)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - room / height))


def counted(count: int, noun: str) -> str:
    """ "1 fold", "5 folds"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def extent(table: pd.DataFrame) -> str:
    """ "5 folds, 3 seeds" of a table of runs."""
    return f"{counted(table.fold.nunique(), 'fold')}, {counted(table.seed.nunique(), 'seed')}"


def choice(examples: pd.DataFrame) -> str:
    """The sentence that says by what rule `dfer.analysis.examples` chose its clips."""
    if (examples.why == "named").all():
        return "clips as the configuration names them"
    return "clips: of each class the first test clip on which the two disagree, else its first"


def settle(figure: Figure) -> None:
    """Lay the figure out, and round where its axes stand.

    Laid out twice: what hangs below an axis is known in its place only after the first time. The
    layout's solver ends with other last digits from one time to the next, and an SVG's ids hash all
    digits.
    """
    figure.draw_without_rendering()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis in figure.axes:
        axis.set_position(np.round(axis.get_position(original=True).bounds, 6))


def save(figure: Figure, stem: Path | str) -> None:
    """Write `<stem>.pdf`, `<stem>.svg` and `<stem>.png`, without dates, and close the figure."""
    metadata = {
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "svg": {"Date": None},
        "png": {"Software": None},
    }
    settle(figure)
    for form in FORMATS:
        with atomic(f"{stem}.{form}") as temporary:
            figure.savefig(temporary, format=form, metadata=metadata[form])
    plt.close(figure)


def parser(description: str) -> argparse.ArgumentParser:
    """The command line of every figure; each adds what it reads."""
    top = argparse.ArgumentParser(description=description)
    add = top.add_argument
    add("--title", required=True, help="title to show (of the dataset)")
    add("--synthetic", action="store_true", help="the dataset is synthetic")
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add("--variants", required=True, help="JSON: name in the figure → run key")
    add("--out-stem", type=Path, required=True, help="output (path without .pdf, .svg, .png)")
    return top


def summary_parser(description: str) -> argparse.ArgumentParser:
    """The command line of a figure that is a view of a summary."""
    top = parser(description)
    add = top.add_argument
    add("--summary", type=Path, required=True, help="what was measured (dfer.tables.summary)")
    add("--dataset", required=True, help="name of the dataset")
    return top


def label_classes(axis: Axes, classes: list[str]) -> None:
    """Name the rows and columns of a matrix of classes."""
    ticks = range(len(classes))
    axis.set_xticks(ticks, classes, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(ticks, classes)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def read_all(paths: list[str]) -> pd.DataFrame:
    """The rows of several Parquet files, one after the other."""
    return pd.concat([read_parquet(path) for path in sorted(paths)], ignore_index=True)
