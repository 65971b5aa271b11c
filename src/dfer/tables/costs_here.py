"""What every variant costs, counted, and beside it what it took on this machine, measured.

    python -m dfer.tables.costs_here --costs results/mine/costs.parquet
        --speeds results/mine/speed/*.json --out results/mine/costs_here.csv
        --out-text results/mine/costs_here.txt

A variant that was not measured has no numbers there; one that is not trained has none of training.
The counts are the same everywhere. The measurements are not, so that they stand in files of their
own, on which nothing depends.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dfer.errors import UserError, stage
from dfer.files import check_readable, read_parquet, write_text

MEASURED = ["trained_per_second", "training_mb", "predicted_per_second", "predicting_mb"]
WHERE = ["device", "threads", "precision"]
TITLE = (
    "Multiply–accumulates (G) of one clip, parameters (M) without the text tower; clips a second\n"
    "and peak memory (MB) of training and of predicting, measured on the device named\n"
)


def read_speeds(paths: Sequence[Path]) -> pd.DataFrame:
    """What `dfer.training.speed` wrote, a row a run: `MEASURED`, and where.

    Raises:
        UserError: a file that is none of its.
    """
    rows = []
    for path in paths:
        check_readable(path)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            around = record["environment"]
            where = {key: around[key] for key in WHERE}
            if where["device"] == "cpu":
                where["device"] = around["processor"]
            rows.append({"run": record["run"]} | {key: record[key] for key in MEASURED} | where)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: not what dfer.training.speed writes ({error!r}). Delete it and run again."
            ) from None
    return pd.DataFrame(rows, columns=["run", *MEASURED, *WHERE])


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--costs", required=True, help="a row a variant (dfer.tables.costs)")
    add("--speeds", nargs="*", type=Path, default=[], help="measurements (dfer.training.speed)")
    add("--out", type=Path, required=True, help="output (CSV, a row a variant)")
    add("--out-text", type=Path, required=True, help="output (the same, to read)")
    return top


def main(args: argparse.Namespace) -> None:
    """Put side by side, and print."""
    speeds = read_speeds(args.speeds)
    table = read_parquet(args.costs).merge(speeds, on="run", how="left", validate="many_to_one")
    write_text(table.to_csv(index=False), args.out)
    shown = table.drop(columns="run").to_string(index=False, na_rep="", float_format="%.5g")
    write_text(TITLE + shown + "\n", args.out_text)
    print(TITLE + shown)


if __name__ == "__main__":
    stage(main, parser())
