"""What a forward pass costs: the paper's FLOPs column, checked without data.

The column counts multiply–accumulates (MACs) of one clip of 8 frames and 7 classes as the package
`thop` does: nn.Conv2d, nn.Linear and nn.LSTM, and nothing inside attention. The true count is
given beside it. Nothing is computed: tensors have shapes and no values.

    python -m dfer.tables.flops --out results/flops.parquet
"""

import argparse
from pathlib import Path

import pandas as pd

from dfer.errors import stage
from dfer.files import write_parquet, write_text
from dfer.models.flops import count
from dfer.settings import BackboneSettings, ModelSettings

CLIP = BackboneSettings(model="ViT-B-32-quickgelu", weights=None)
CLASSES = 7
BASELINE = {"interfit": False, "aggregation": "mean", "blocks": 0}

# Name in the paper, its cells, the value printed there (G), settings.
CONFIGURATIONS = (
    ("Baseline", "Table 2, row 1", 23.58, BASELINE),
    ("InterFIT", "Table 2, row 2", 24.65, {"aggregation": "mean", "blocks": 0}),
    ("InterFIT+MSTA", "Table 2, row 3", 24.65, {"blocks": 0}),
    ("w/o text", "Table 3, row 1", 24.65, {"blocks": 0, "head": "linear"}),
    ("M=1", "Table 4, row 1", 24.68, {"blocks": 1}),
    (
        "InterFIT+MSTA+BiEhPro (M=2)",
        "Table 2, row 4; Table 3, row 2; Table 4, row 2",
        24.71,
        {"blocks": 2},
    ),
    ("M=3", "Table 4, row 3", 24.74, {"blocks": 3}),
    ("M=4", "Table 4, row 4", 24.77, {"blocks": 4}),
    ("M=5", "Table 4, row 5", 24.80, {"blocks": 5}),
)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="output: the costs")
    parser.add_argument("--text", type=Path, help="output: the same, to read")
    return parser


def main(args: argparse.Namespace) -> None:
    """Write the table, macs and reported in G, parameters in M, and print it."""
    rows = []
    for configuration, cells, reported, settings in CONFIGURATIONS:
        counts = count(ModelSettings(**settings), CLIP, CLASSES)
        rows.append(
            {
                "configuration": configuration,
                "cells": cells,
                "reported": reported,
                "macs_paper": counts.macs_paper / 1e9,
                "macs_true": counts.macs_true / 1e9,
                "parameters": counts.parameters / 1e6,
            }
        )
    table = pd.DataFrame(rows)
    write_parquet(table, args.out)
    text = (
        "Multiply–accumulates (G) and parameters (M) of one clip, ViT-B/32, 8 frames, 7 classes\n"
    )
    text += table.drop(columns="cells").to_string(index=False) + "\n"
    if args.text:
        write_text(text, args.text)
    print(text, end="")


if __name__ == "__main__":
    stage(main, parser())
