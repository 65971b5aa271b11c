"""What text is worth with few clips: UAR against the share of the train clips.

python -m dfer.figures.shares --summary results/summary/shares.parquet --dataset demo
    --title Demo --synthetic --classes '{"happy": "happiness", …}' --variants '{"full": {"0.25":
    "interfit+msta+biehpro2.0a1b2c3d", …}}' --out-stem results/figures/demo/shares
"""

import argparse
from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd

from dfer.errors import stage
from dfer.figures import style
from dfer.figures.style import Comparison
from dfer.files import read_parquet


def points(summary: pd.DataFrame, runs: Mapping[str, str]) -> pd.DataFrame:
    """Columns value, low and high of UAR by share; `runs`: share → run key."""
    rows = summary[summary.metric == "UAR"].set_index("run")
    values = rows.loc[list(runs.values()), ["value", "low", "high"]].astype(float)
    return values.set_axis([100 * float(share) for share in runs]).sort_index()


def draw(summary: pd.DataFrame, comparison: Comparison) -> plt.Figure:
    """A line a variant, beside each other where their intervals would hide each other."""
    figure, axis = plt.subplots(figsize=(6.4, 3.8))
    marks = "os^Dv"
    for number, (name, runs) in enumerate(comparison.runs.items()):
        values = points(summary, runs)
        apart = 1 + 0.035 * (number - (len(comparison.runs) - 1) / 2)
        axis.errorbar(
            values.index * apart,
            values.value,
            [values.value - values.low, values.high - values.value],
            fmt=f"{marks[number % len(marks)]}-",
            color=style.CLASSES[number],
            ms=4,
            lw=1.2,
            elinewidth=0.8,
            capsize=2,
            label=name,
        )
    shares = sorted({100 * float(share) for runs in comparison.runs.values() for share in runs})
    axis.set_xscale("log")
    axis.set_xticks(shares, [f"{share:g}" for share in shares])
    axis.minorticks_off()
    axis.set(xlabel="train clips of each fold (%)", ylabel="UAR (%)")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, fontsize=7)
    style.heading(
        figure,
        "What text is worth with fewer clips",
        comparison,
        f"mean over {style.counted(summary.folds.max(), 'fold')} and "
        f"{style.counted(summary.seeds.max(), 'seed')}, 95 % bootstrap interval over clips; "
        "as many steps at every share",
    )
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
