"""The paper's FLOPs column, checked without data: printed and counted, side by side.

    python -m dfer.tables.flops --reported config/reported.csv --out results/flops.parquet
        --out-text results/flops.txt

The paper counts one clip of 8 frames and 7 classes at ViT-B/32, by the convention that
`dfer.models.flops` describes; the true count is given beside it.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from dfer.errors import UserError, stage
from dfer.files import write_parquet, write_text
from dfer.models.flops import count
from dfer.settings import BackboneSettings, ModelSettings
from dfer.tables import reported
from dfer.tables.reported import Cell

CLIP = BackboneSettings(model="ViT-B-32-quickgelu", weights=None)
WORDS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
CONFIGURATIONS = {  # of Tables 2–4: variant → its name, its model
    "baseline": ("Baseline", ModelSettings(interfit=False, aggregation="mean", blocks=0)),
    "interfit": ("InterFIT", ModelSettings(aggregation="mean", blocks=0)),
    "interfit_msta": ("InterFIT+MSTA", ModelSettings(blocks=0)),
    "without_text": ("w/o text", ModelSettings(blocks=0, head="linear")),
    "m1": ("M=1", ModelSettings(blocks=1)),
    "full": ("InterFIT+MSTA+BiEhPro (M=2)", ModelSettings(blocks=2)),
    "m3": ("M=3", ModelSettings(blocks=3)),
    "m4": ("M=4", ModelSettings(blocks=4)),
    "m5": ("M=5", ModelSettings(blocks=5)),
}
TITLE = "Multiply–accumulates (G) and parameters (M) of one clip, ViT-B/32, 8 frames, 7 classes\n"


def costs(cells: list[Cell]) -> pd.DataFrame:
    """A row a configuration, in the order of `CONFIGURATIONS`: what is printed and what is counted.

    Args:
        cells: of `config/reported.csv`.

    Returns:
        Columns configuration, cells ("Table 2, row 4; Table 3, row 2 …"), reported, macs_paper,
        macs_true (G), parameters (M).

    Raises:
        UserError: a cell prints the FLOPs of a variant that is not in `CONFIGURATIONS`.
    """
    printed: dict[str, list[Cell]] = {variant: [] for variant in CONFIGURATIONS}
    for cell in cells:
        if cell.metric == "FLOPs":
            if cell.variant not in printed:
                raise UserError(
                    f"{cell.place} prints FLOPs of the variant '{cell.variant}', of which "
                    "dfer.tables.flops knows no model: add it to CONFIGURATIONS"
                )
            printed[cell.variant].append(cell)
    return pd.DataFrame([_row(variant, own) for variant, own in printed.items() if own])


def _row(variant: str, printed: list[Cell]) -> dict[str, Any]:
    """The cost of a variant beside its cells in the paper."""
    name, model = CONFIGURATIONS[variant]
    counts = count(model, CLIP, WORDS)
    return {
        "configuration": name,
        "cells": "; ".join(cell.place for cell in printed),
        "reported": float(printed[0].value),
        "macs_paper": counts.macs_paper / 1e9,
        "macs_true": counts.macs_true / 1e9,
        "parameters": counts.parameters / 1e6,
    }


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--reported", type=Path, required=True, help="what papers print (config/reported.csv)")
    add("--out", type=Path, required=True, help="output (a row a configuration)")
    add("--out-text", type=Path, required=True, help="output (the same, to read)")
    return top


def main(args: argparse.Namespace) -> None:
    """Write the table, and print it."""
    table = costs(reported.read(args.reported))
    write_parquet(table, args.out)
    text = TITLE + table.drop(columns="cells").to_string(index=False) + "\n"
    write_text(text, args.out_text)
    print(text, end="")


if __name__ == "__main__":
    stage(main, parser())
