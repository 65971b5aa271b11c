"""Learning curves: loss and WAR, epoch by epoch.

python -m dfer.figures.learning --histories runs/*/*/history.parquet --title Demo --synthetic
    --classes '{"happy": "happy", …}' --variants '{"Baseline": "backbone.0a1b2c3d", …}'
    --out-stem results/figures/demo/learning
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Comparison
from dfer.files import read_parquet

DASHES = {"train": "-", "val": "--", "test": ":"}


def read_histories(paths: list[str]) -> pd.DataFrame:
    """The rows of files <run key>/<fold and seed>/<name>, with the columns run (key) and file."""
    parts = [
        read_parquet(path).assign(run=Path(path).parents[1].name, file=path)
        for path in sorted(paths)
    ]
    return pd.concat(parts, ignore_index=True)


def curves(history: pd.DataFrame, key: str, metric: str) -> dict[str, pd.DataFrame]:
    """Split → values (epochs, runs) of a metric, one column a run."""
    rows = history[history.run == key]
    return {
        split: part.pivot(index="epoch", columns="file", values=metric)
        for split, part in rows.groupby("split")
    }


def draw(history: pd.DataFrame, comparison: Comparison) -> plt.Figure:
    """A thin line a run, a thick one their mean; dashed where clips are scored after the epoch."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.9))
    for axis, metric, label in zip(axes, ("loss", "war"), ("loss", "WAR (%)"), strict=True):
        for (name, key), colour in zip(comparison.runs.items(), style.VARIANTS, strict=False):
            for split, values in curves(history, key, metric).items():
                axis.plot(values, DASHES[split], color=colour, lw=0.6, alpha=0.35)
                mean = values.mean(axis=1)
                title = f"{name}, {split}"
                axis.plot(mean, DASHES[split], color=colour, lw=1.6, label=title)
        axis.set(xlabel="epoch", ylabel=label)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.margins(x=0.02)
    axes[0].set_ylim(bottom=0)
    axes[1].legend(loc="lower right")
    style.heading(
        figure,
        "Learning curves",
        comparison,
        f"thin: each of {style.counted(history.groupby('run').file.nunique().max(), 'run')}; "
        "thick: their mean; train: augmented clips as the batches saw them",
    )
    return figure


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = style.parser(__doc__.splitlines()[0])
    add = top.add_argument
    add("--histories", nargs="+", required=True, help="histories of runs (dfer.training.train)")
    return top


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    comparison = Comparison.from_json(args.title, args.synthetic, args.classes, args.variants)
    style.save(draw(read_histories(args.histories), comparison), args.out_stem)


if __name__ == "__main__":
    stage(main, parser())
