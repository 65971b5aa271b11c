"""Fig. 5: features of the test clips in the plane, a column a fold, a row a variant.

python -m dfer.figures.figure5 --points tsne.*.parquet --title Demo --synthetic
    --classes '{"happy": "happy", …}' --variants '{"Baseline": "backbone.0a1b2c3d", …}'
    --out-stem results/figures/demo/figure5
"""

import argparse

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.lines import Line2D

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Comparison


def draw(points: pd.DataFrame, comparison: Comparison) -> plt.Figure:
    """A scatter a fold and variant, coloured by the true class."""
    folds = sorted(points.fold.unique())
    figure, axes = plt.subplots(
        len(comparison.runs),
        len(folds),
        figsize=(0.5 + 1.75 * max(len(folds), 3), 1.75 * len(comparison.runs) + 1),
        squeeze=False,
    )
    colours = dict(zip(comparison.classes, style.CLASSES, strict=False))
    crowd = points.groupby(["run", "fold"]).size().max()
    size = min(14, max(2, 1500 / crowd))
    for line, (name, key) in zip(axes, comparison.runs.items(), strict=True):
        for axis, fold in zip(line, folds, strict=True):
            rows = points[(points.run == key) & (points.fold == fold)]
            axis.scatter(
                rows.x, rows.y, s=size, c=[colours[label] for label in rows.label], lw=0, alpha=0.85
            )
            axis.set(xticks=[], yticks=[], box_aspect=1)
            axis.margins(0.08)
            axis.spines[:].set(visible=True, color="#d0d0d0")
        line[0].set_ylabel(name, weight="bold", size=9)
    for axis, fold in zip(axes[0], folds, strict=True):
        axis.set_title(f"fd{fold}")
    marks = [
        Line2D([], [], marker="o", ls="", ms=5, mec="none", c=colours[label], label=label)
        for label in comparison.classes
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=min(len(marks), 7))
    style.heading(
        figure,
        "t-SNE of the features",
        comparison,
        f"test clips of {style.counted(len(folds), 'fold')}, each fold embedded by itself, "
        "coloured by true class",
    )
    return figure


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = style.parser(__doc__.splitlines()[0])
    add = top.add_argument
    add("--points", nargs="+", required=True, help="clips in the plane (dfer.analysis.tsne)")
    return top


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    comparison = Comparison.from_json(args.title, args.synthetic, args.classes, args.variants)
    style.save(draw(style.read_all(args.points), comparison), args.out_stem)


if __name__ == "__main__":
    stage(main, parser())
