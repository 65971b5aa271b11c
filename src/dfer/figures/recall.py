"""Recall of each class, with its spread over folds and seeds.

python -m dfer.figures.recall --metrics runs/*/*/metrics.parquet --title Demo --synthetic
    --classes '{"happy": "happy", …}' --variants '{"Baseline": "backbone.0a1b2c3d", …}'
    --out-stem results/figures/demo/recall
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Comparison


def recalls(metrics: pd.DataFrame, key: str, classes: list[str]) -> np.ndarray:
    """Recall in % of each run (rows: fold, seed) and class; NaN where a fold has no clip of it."""
    rows = metrics[(metrics.run == key) & (metrics.metric == "recall")]
    return rows.pivot(index=["fold", "seed"], columns="label", values="value")[classes].to_numpy()


def draw(metrics: pd.DataFrame, comparison: Comparison) -> plt.Figure:
    """Bars of the mean, lines of ± one standard deviation, a dot a run."""
    places, width = np.arange(len(comparison.classes)), 0.8 / len(comparison.runs)
    room = 0.55 + 0.1 * len(comparison.runs)  # inches a class
    figure, axis = plt.subplots(figsize=(1.6 + room * len(places), 3.1))
    for number, (name, key) in enumerate(comparison.runs.items()):
        values = recalls(metrics, key, comparison.classes)
        x = places + (number - (len(comparison.runs) - 1) / 2) * width
        colour = style.VARIANTS[number]
        axis.bar(x, np.nanmean(values, axis=0), width * 0.92, color=colour, alpha=0.55, label=name)
        spread = np.linspace(-0.22, 0.22, len(values)) * width if len(values) > 1 else [0.0]
        for offset, row in zip(spread, values, strict=True):
            axis.plot(x + offset, row, ".", color=colour, ms=4, mec="white", mew=0.3)
        if len(values) > 1:
            deviation = np.nanstd(values, axis=0, ddof=1)
            mean = np.nanmean(values, axis=0)
            axis.errorbar(x, mean, deviation, fmt="none", ecolor=style.INK, elinewidth=0.8)
    axis.set_xticks(places, comparison.classes)
    axis.tick_params(axis="x", length=0)
    axis.set(ylabel="recall (%)", ylim=(0, 105), xlim=(-0.6, len(places) - 0.4))
    abreast = min(len(comparison.runs), 3)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=abreast, borderaxespad=0.2)
    runs = metrics.drop_duplicates(["fold", "seed"])
    bars = "mean" if len(runs) == 1 else "mean ± standard deviation over"
    style.heading(figure, "Recall of each class", comparison, f"{bars} {style.extent(metrics)}")
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
