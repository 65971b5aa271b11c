"""What every variant of a configuration costs: operations and parameters, counted without data.

    python -m dfer.tables.costs --variant-settings '{"full": {…}, "coop": {…}}'
        --classes '{"happy": "happiness", …}' --out results/costs.parquet
        --out-text results/costs.txt

Of one clip at the variant's own T, size and CLIP. Text that is the same for all clips is read once
and not counted (`dfer.models.flops`).
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfer.errors import stage
from dfer.files import write_parquet, write_text
from dfer.models.flops import count
from dfer.settings import RunSettings

TITLE = "Multiply–accumulates (G) of one clip, parameters (M) without the text tower\n"


def costs(variants: Mapping[str, Mapping[str, Any]], words: Sequence[str]) -> pd.DataFrame:
    """A row a variant: its run, method, CLIP, T, both counts (G), parameters, trained ones (M)."""
    rows = []
    for variant, values in variants.items():
        settings = RunSettings.from_dict(values)
        counts = count(settings.model, settings.backbone, words)
        rows.append(
            {
                "variant": variant,
                "run": settings.key,
                "method": settings.method,
                "backbone": settings.backbone.model,
                "frames": settings.model.frames,
                "macs_paper": counts.macs_paper / 1e9,
                "macs_true": counts.macs_true / 1e9,
                "parameters": counts.parameters / 1e6,
                "trained": counts.trained / 1e6,
            }
        )
    return pd.DataFrame(rows)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--variant-settings", required=True, help="JSON: variant → settings of a run")
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add("--out", type=Path, required=True, help="output (a row a variant)")
    add("--out-text", type=Path, required=True, help="output (the same, to read)")
    return top


def main(args: argparse.Namespace) -> None:
    """Count, and print."""
    words = list(json.loads(args.classes).values())
    table = costs(json.loads(args.variant_settings), words)
    write_parquet(table, args.out)
    text = TITLE + table.drop(columns="run").to_string(index=False) + "\n"
    write_text(text, args.out_text)
    print(text, end="")


if __name__ == "__main__":
    stage(main, parser())
