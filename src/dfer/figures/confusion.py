"""Confusion matrices: which expression is taken for which.

python -m dfer.figures.confusion --metrics runs/*/*/metrics.parquet --title Demo --synthetic
    --classes '{"happy": "happy", …}' --variants '{"Baseline": "backbone.0a1b2c3d", …}'
    --out-stem results/figures/demo/confusion
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Comparison


def matrix(metrics: pd.DataFrame, key: str, classes: list[str]) -> np.ndarray:
    """Clips of each true (row) and predicted class, all folds and seeds of a run together."""
    rows = metrics[(metrics.run == key) & (metrics.metric == "confusion")]
    table = rows.pivot_table(index="label", columns="predicted", values="value", aggfunc="sum")
    return table.loc[classes, classes].to_numpy()


def draw(metrics: pd.DataFrame, comparison: Comparison) -> plt.Figure:
    """One matrix a variant, rows in % of the true class's clips."""
    count, classes = len(comparison.runs), comparison.classes
    side = 0.95 + 0.36 * len(classes)
    figure, axes = plt.subplots(
        1, count, figsize=(side * count + 0.5, side + 0.75), sharey=True, squeeze=False
    )
    for axis, (name, key) in zip(axes[0], comparison.runs.items(), strict=True):
        counts = matrix(metrics, key, classes)
        share = 100 * counts / counts.sum(axis=1, keepdims=True).clip(min=1)
        picture = axis.imshow(share, cmap="Blues", vmin=0, vmax=100)
        for (i, j), value in np.ndenumerate(share):
            if counts[i, j]:
                ink = "white" if value > 55 else style.INK
                axis.text(j, i, f"{value:.0f}", ha="center", va="center", size=7, color=ink)
        style.label_classes(axis, classes)
        axis.set(title=name, xlabel="predicted")
    axes[0, 0].set_ylabel("true")
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, aspect=30, pad=0.02)
    bar.set_label("% of the true class's clips")
    bar.outline.set_visible(False)
    clips = metrics[metrics.metric == "UAR"].drop_duplicates(["fold"]).clips.sum()
    style.heading(
        figure,
        "Confusion matrices",
        comparison,
        f"{clips} test clips of {style.extent(metrics)}, all counted together",
    )
    return figure


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = style.parser(__doc__.splitlines()[0])
    add = top.add_argument
    add("--metrics", nargs="+", required=True, help="metrics of runs (dfer.training.evaluate)")
    return top


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    comparison = Comparison.from_json(args.title, args.synthetic, args.classes, args.variants)
    style.save(draw(style.read_all(args.metrics), comparison), args.out_stem)


if __name__ == "__main__":
    stage(main, parser())
