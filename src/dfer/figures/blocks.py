"""Sensitivity to M, the number of BiEhPro blocks: Table 4 as a curve with error bars.

python -m dfer.figures.blocks --summary results/summary/table4.parquet --dataset demo
    --title Demo --synthetic --classes '{"happy": "happy", …}'
    --variants '{"1": "interfit+msta+biehpro1.0a1b2c3d", …}'
    --out-stem results/figures/demo/blocks
"""

import argparse

import matplotlib.pyplot as plt
import pandas as pd

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Comparison
from dfer.files import read_parquet


def points(summary: pd.DataFrame, runs: dict[str, str], metric: str) -> pd.DataFrame:
    """Columns value, std, low, high of a metric, by M."""
    rows = summary[summary.metric == metric].set_index("run")
    values = rows.loc[list(runs.values()), ["value", "std", "low", "high"]]
    return values.set_axis([int(blocks) for blocks in runs]).sort_index()


def draw(summary: pd.DataFrame, comparison: Comparison) -> plt.Figure:
    """UAR and WAR against M: mean, ± one standard deviation, and the bootstrap interval."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.9))
    for axis, metric, colour in zip(axes, ("UAR", "WAR"), style.VARIANTS[1:], strict=False):
        values = points(summary, comparison.runs, metric)
        low, high = values.low.astype(float), values.high.astype(float)
        interval = "95 % bootstrap interval over clips"
        axis.fill_between(values.index, low, high, color=colour, alpha=0.13, lw=0, label=interval)
        deviation = values["std"].astype(float)
        label = "mean ± standard deviation over runs" if deviation.notna().all() else "one run"
        axis.errorbar(
            values.index,
            values.value,
            deviation.fillna(0),
            fmt="o-",
            color=colour,
            ms=4,
            lw=1.2,
            elinewidth=0.9,
            capsize=2.5,
            label=label,
        )
        axis.set(xlabel="M, blocks of BiEhPro", ylabel=f"{metric} (%)", xticks=values.index)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=7)
    runs = f"{style.counted(summary.folds.max(), 'fold')}, "
    runs += f"{style.counted(summary.seeds.max(), 'seed')}"
    style.heading(figure, "Sensitivity to M", comparison, f"Table 4: {runs}")
    return figure


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    return style.summary_parser(__doc__.splitlines()[0])


def main(args: argparse.Namespace) -> None:
    """Draw and save."""
    comparison = Comparison.from_json(args.title, args.synthetic, args.classes, args.variants)
    summary = read_parquet(args.summary)
    style.save(draw(summary[summary.dataset == args.dataset], comparison), args.out_stem)


if __name__ == "__main__":
    stage(main, parser())
