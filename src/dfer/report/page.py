"""What the workflow's report shows beside figures, as self-contained HTML pages.

    python -m dfer.report.page results/table1.md --title "Table 1" --out results/report/table1.html
    python -m dfer.report.page results/demo/rejects.parquet --title Rejects --out …/rejects.html
    python -m dfer.report.page --settings '{"full": {"model": {"blocks": 2}}}' --title … --out …
    python -m dfer.report.page --records results/demo/runs/*/*/run.json --title … --out …

A Parquet file becomes a table; settings become a row each, and a column a variant; records of runs
become a column for each machine and set of packages that they were made with.
"""

import argparse
import html
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt

from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_text

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 1.5rem auto; padding: 0 1rem;
       max-width: 80rem; }}
h1 {{ font-size: 1.25rem; }} h2 {{ font-size: 1.1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0;
        border-top: 2px solid; border-bottom: 2px solid; }}
th {{ border-bottom: 1px solid; vertical-align: bottom; }}
th, td {{ padding: .2rem .7rem; white-space: nowrap; }}
th {{ text-align: left; }}
tr:nth-child(even) td {{ background: #f6f6f4; }}
code {{ background: #f1f1ee; padding: 0 .2em; }}
li {{ color: #555; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def from_markdown(text: str) -> str:
    """The body of a page from Markdown; of HTML only <u> and <br> are kept, all else is text."""
    body = re.sub(r"&lt;(/?u|br)&gt;", r"<\1>", MARKDOWN.render(text))
    body = body.replace("<table>", '<div class="wide"><table>')
    return body.replace("</table>", "</table></div>")


def from_frame(frame: pd.DataFrame) -> str:
    """The body of a page from a table; says so where it is empty."""
    if frame.empty:
        return "<p>None.</p>"
    return f"<p>{len(frame)} rows.</p>\n" + _html(frame, na_rep="")


def from_settings(columns: dict[str, dict[str, Any]]) -> str:
    """The body of a page from settings: a row a setting, those that differ in bold."""
    flat = {name: _flatten(values) for name, values in columns.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows = []
    for key in keys:
        cells = [json.dumps(values.get(key), ensure_ascii=False) for values in flat.values()]
        mark = "<b>%s</b>" if len(set(cells)) > 1 else "%s"
        rows.append([key, *(mark % html.escape(cell, quote=False) for cell in cells)])
    return _html(pd.DataFrame(rows, columns=["setting", *flat]), escape=False)


def from_records(paths: list[Path]) -> str:
    """The body of a page from `run.json` files: what they were made with, what differs in bold."""
    made_with: dict[str, int] = {}
    for path in paths:
        text = json.dumps(json.loads(path.read_text(encoding="utf-8"))["environment"])
        made_with[text] = made_with.get(text, 0) + 1
    columns = {
        f"{number}: {count} run{'s' * (count > 1)}": json.loads(text)
        for number, (text, count) in enumerate(made_with.items(), 1)
    }
    return from_settings(columns)


def _html(frame: pd.DataFrame, **options: Any) -> str:
    """A frame as an HTML table that scrolls where it is wide."""
    with pd.option_context("display.max_colwidth", None):  # else long cells end in "..."
        made = frame.to_html(index=False, border=0, justify="left", **options)
    return f'<div class="wide">{made}</div>'


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} → {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, dict)
        flat |= _flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def body_of(path: Path) -> str:
    """The body of a page from a file, by its ending.

    Raises:
        UserError: another ending than .md and .parquet.
    """
    if path.suffix == ".md":
        return from_markdown(path.read_text(encoding="utf-8"))
    if path.suffix == ".parquet":
        return from_frame(read_parquet(path))
    raise UserError(f"{path}: a page is made of .md or .parquet")


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = top.add_mutually_exclusive_group(required=True)
    source.add_argument("source", type=Path, nargs="?", help=".md or .parquet")
    source.add_argument("--settings", help="JSON: variant → its settings")
    source.add_argument("--records", type=Path, nargs="+", help="run.json of runs")
    top.add_argument("--title", required=True)
    top.add_argument("--out", required=True)
    return top


def main(args: argparse.Namespace) -> None:
    """Write the page."""
    if args.records:
        body = from_records(args.records)
    else:
        body = body_of(args.source) if args.source else from_settings(json.loads(args.settings))
    write_text(PAGE.format(title=html.escape(args.title), body=body), args.out)


if __name__ == "__main__":
    stage(main, parser())
