"""Sensitivity to M, the number of BiEhPro blocks: Table 4 as a curve with error bars.

python -m dfer.figures.blocks --summary results/summary/table4.parquet --name demo
    --dataset … --runs '{"1": …, "2": …}' --out results/figures/demo/blocks
"""

import argparse

import matplotlib.pyplot as plt
import pandas as pd

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Shown
from dfer.files import read_parquet


def points(summary: pd.DataFrame, runs: dict[str, str], metric: str) -> pd.DataFrame:
    """Columns value, std, low, high of a metric, by M."""
    rows = summary[summary.metric == metric].set_index("run")
    found = rows.loc[list(runs.values()), ["value", "std", "low", "high"]]
    return found.set_axis([int(blocks) for blocks in runs]).sort_index()


def draw(summary: pd.DataFrame, shown: Shown) -> plt.Figure:
    """UAR and WAR against M: mean, ± one standard deviation, and the bootstrap interval."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.9))
    for axis, metric, colour in zip(axes, ("UAR", "WAR"), style.VARIANTS[1:], strict=False):
        found = points(summary, shown.runs, metric)
        low, high = found.low.astype(float), found.high.astype(float)
        interval = "95 % bootstrap interval over clips"
        axis.fill_between(found.index, low, high, color=colour, alpha=0.13, lw=0, label=interval)
        deviation = found["std"].astype(float)
        label = "mean ± standard deviation over runs" if deviation.notna().all() else "one run"
        axis.errorbar(
            found.index,
            found.value,
            deviation.fillna(0),
            fmt="o-",
            color=colour,
            ms=4,
            lw=1.2,
            elinewidth=0.9,
            capsize=2.5,
            label=label,
        )
        axis.set(xlabel="M, blocks of BiEhPro", ylabel=f"{metric} (%)", xticks=found.index)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=7)
    runs = f"{style.counted(summary.folds.max(), 'fold')}, "
    runs += f"{style.counted(summary.seeds.max(), 'seed')}"
    style.heading(figure, "Sensitivity to M", shown, f"Table 4: {runs}")
    return figure


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    summary = read_parquet(args.summary)
    style.save(draw(summary[summary.dataset == args.name], style.shown_of(args)), args.out)


if __name__ == "__main__":
    parser = style.parser(__doc__.splitlines()[0])
    parser.add_argument(
        "--summary", required=True, help="as dfer.tables.summary writes it for Table 4"
    )
    parser.add_argument("--name", required=True, help="the dataset's name in the summary")
    stage(main, parser)
