"""One of the paper's tables: what it reports and what was measured here, side by side.

    python -m dfer.tables.table --table 1 --reported config/reported.csv --flops flops.parquet
        --summary summary/table1.parquet --datasets '{"demo": {"title": "Demo", …}}'
        --runs '{"demo": {"baseline": "clip.0a1b2c3d"}}' --out-stem results/table1

writes three files. `<stem>.parquet` is the source (`dfer.tables.numbers`); `<stem>.tex`, a bare
booktabs `tabular` for `\\input`, and `<stem>.md` are views of it.
"""

import argparse
import json
from pathlib import Path

from dfer.errors import stage
from dfer.files import read_parquet, write_parquet, write_text
from dfer.tables import reported
from dfer.tables.latex import to_latex
from dfer.tables.markdown import to_markdown
from dfer.tables.numbers import NUMBERS, Dataset, numbers


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--table", type=int, required=True, help="its number in the paper")
    add("--reported", type=Path, required=True, help="what papers print (config/reported.csv)")
    add("--summary", type=Path, required=True, help="what was measured (dfer.tables.summary)")
    add("--flops", type=Path, help="costs of the models, if printed (dfer.tables.flops)")
    add("--datasets", required=True, help="JSON: name → {title, synthetic}")
    add("--runs", required=True, help="JSON: dataset → variant → run key")
    add("--tuned", default="{}", help="JSON: tuned variant → variant of the paper that it tunes")
    add("--remark", default="", help="what is to be said of all that was measured")
    add("--out-stem", type=Path, required=True, help="output (path without .parquet, .tex, .md)")
    return top


def main(args: argparse.Namespace) -> None:
    """Write the three files of one table."""
    datasets = json.loads(args.datasets)
    frame = numbers(
        args.table,
        reported.read(args.reported),
        read_parquet(args.summary),
        read_parquet(args.flops) if args.flops else None,
        {name: Dataset(**values) for name, values in datasets.items()},
        json.loads(args.runs),
        json.loads(args.tuned),
        args.remark,
    )
    write_parquet(frame, f"{args.out_stem}.parquet", NUMBERS)
    write_text(to_latex(frame), f"{args.out_stem}.tex")
    write_text(to_markdown(frame), f"{args.out_stem}.md")


if __name__ == "__main__":
    stage(main, parser())
