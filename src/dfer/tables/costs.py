"""What every variant of a configuration costs: operations and parameters, counted without data.

    python -m dfer.tables.costs --variant-settings '{"full": {…}, "coop": {…}}'
        --classes '{"happy": "happiness", …}' --printed config/printed_costs.csv
        --out results/costs.parquet --out-text results/costs.txt

Of one clip at the variant's own T, size and CLIP. Text that is the same for all clips is read once
and not counted (`dfer.models.flops`). The count by the paper's convention is of methods on CLIP
alone. What the papers of other methods print stands in columns of its own, with the T and size that
it is of and, where it is an artefact, a note: no printed number is ever compared with ours here.
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
from dfer.models.method import image_size
from dfer.settings import RunSettings

TITLE = "Multiply–accumulates (G) of one clip, parameters (M) without the text tower\n"


PRINTED = ["frames", "size", "macs", "parameters", "source", "note"]  # columns of the file


def costs(
    variants: Mapping[str, Mapping[str, Any]], words: Sequence[str], printed: pd.DataFrame
) -> pd.DataFrame:
    """A row a variant: run, method, CLIP, T, size, counts (G), parameters (M), and what is printed.

    Args:
        variants: variant → its settings.
        words: the class words.
        printed: of `config/printed_costs.csv`: variant, and `PRINTED`.
    """
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
                "size": image_size(settings.model, settings.backbone),
                "macs_paper": counts.macs_paper / 1e9 if settings.model.uses_clip else None,
                "macs_true": counts.macs_true / 1e9,
                "parameters": counts.parameters / 1e6,
                "trained": counts.trained / 1e6,
            }
        )
    named = printed.rename(columns={name: f"{name}_printed" for name in PRINTED})
    return pd.DataFrame(rows).merge(named, on="variant", how="left", validate="one_to_one")


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--variant-settings", required=True, help="JSON: variant → settings of a run")
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add("--printed", type=Path, required=True, help="what papers print (config/printed_costs.csv)")
    add("--out", type=Path, required=True, help="output (a row a variant)")
    add("--out-text", type=Path, required=True, help="output (the same, to read)")
    return top


def main(args: argparse.Namespace) -> None:
    """Count, and print."""
    words = list(json.loads(args.classes).values())
    table = costs(json.loads(args.variant_settings), words, pd.read_csv(args.printed))
    write_parquet(table, args.out)
    shown = table.drop(columns="run").to_string(index=False, na_rep="", float_format="%.5g")
    text = f"{TITLE}{shown}\n"
    write_text(text, args.out_text)
    print(text, end="")


if __name__ == "__main__":
    stage(main, parser())
