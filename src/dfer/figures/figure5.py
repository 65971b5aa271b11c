"""Fig. 5: features of the test clips in the plane, a column a fold, a row a variant.

python -m dfer.figures.figure5 --points tsne.*.parquet --dataset … --runs …
    --out results/figures/demo/figure5
"""

import argparse

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.lines import Line2D

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Shown


def draw(points: pd.DataFrame, shown: Shown) -> plt.Figure:
    """A scatter a fold and variant, coloured by the true class."""
    folds = sorted(points.fold.unique())
    figure, axes = plt.subplots(
        len(shown.runs),
        len(folds),
        figsize=(0.5 + 1.75 * max(len(folds), 3), 1.75 * len(shown.runs) + 1),
        squeeze=False,
    )
    colours = dict(zip(shown.classes, style.CLASSES, strict=False))
    crowd = points.groupby(["run", "fold"]).size().max()
    size = min(14, max(2, 1500 / crowd))
    for line, (name, key) in zip(axes, shown.runs.items(), strict=True):
        for axis, fold in zip(line, folds, strict=True):
            mine = points[(points.run == key) & (points.fold == fold)]
            axis.scatter(
                mine.x, mine.y, s=size, c=[colours[label] for label in mine.label], lw=0, alpha=0.85
            )
            axis.set(xticks=[], yticks=[], box_aspect=1)
            axis.margins(0.08)
            axis.spines[:].set(visible=True, color="#d0d0d0")
        line[0].set_ylabel(name, weight="bold", size=9)
    for axis, fold in zip(axes[0], folds, strict=True):
        axis.set_title(f"fd{fold}")
    marks = [
        Line2D([], [], marker="o", ls="", ms=5, mec="none", c=colours[label], label=label)
        for label in shown.classes
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=min(len(marks), 7))
    style.heading(
        figure,
        "t-SNE of the features",
        shown,
        f"test clips of {style.counted(len(folds), 'fold')}, each fold embedded by itself, "
        "coloured by true class",
    )
    return figure


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    style.save(draw(style.read_all(args.points), style.shown_of(args)), args.out)


if __name__ == "__main__":
    parser = style.parser(__doc__.splitlines()[0])
    parser.add_argument(
        "--points", nargs="+", required=True, help="as dfer.analysis.tsne writes them"
    )
    stage(main, parser)
