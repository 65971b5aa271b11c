"""Learning curves: loss and WAR, epoch by epoch.

python -m dfer.figures.learning --histories '{"clip.0a1b2c3d": ["history.parquet"]}'
    --dataset … --runs … --out results/figures/demo/learning
"""

import argparse
import json

import matplotlib.pyplot as plt
import pandas as pd

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Shown
from dfer.files import read_parquet

DASHES = {"train": "-", "val": "--", "test": ":"}


def curves(history: pd.DataFrame, key: str, metric: str) -> dict[str, pd.DataFrame]:
    """Split → values (epochs, runs) of a metric, one column a run."""
    rows = history[history.run == key]
    return {
        split: part.pivot(index="epoch", columns="file", values=metric)
        for split, part in rows.groupby("split")
    }


def draw(history: pd.DataFrame, shown: Shown) -> plt.Figure:
    """A thin line a run, a thick one their mean; dashed where clips are scored after the epoch."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.9))
    for axis, metric, label in zip(axes, ("loss", "war"), ("loss", "WAR (%)"), strict=True):
        for (name, key), colour in zip(shown.runs.items(), style.VARIANTS, strict=False):
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
        shown,
        f"thin: each of {style.counted(history.groupby('run').file.nunique().max(), 'run')}; "
        "thick: their mean; train: augmented clips as the batches saw them",
    )
    return figure


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    parts = [
        read_parquet(path).assign(run=key, file=path)
        for key, paths in json.loads(args.histories).items()
        for path in sorted(paths)
    ]
    style.save(draw(pd.concat(parts, ignore_index=True), style.shown_of(args)), args.out)


if __name__ == "__main__":
    parser = style.parser(__doc__.splitlines()[0])
    parser.add_argument("--histories", required=True, help="JSON: key of the settings → files")
    stage(main, parser)
