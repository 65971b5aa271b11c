"""Pages of the workflow's report, self-contained HTML: checks, rejects, settings, environments.

    python -m dfer.report.page results/demo/check_data.md --title "Check of demo"
        --out results/report/demo/check_data.html
    python -m dfer.report.page results/demo/rejects.parquet --title Rejects
        --out results/report/demo/rejects.html
    python -m dfer.report.page --variant-settings '{"full": {"model": {"blocks": 2}}}'
        --title Settings --out results/report/demo/settings.html
    python -m dfer.report.page --records results/demo/runs/*/*/run.json
        --title Environment --out results/report/demo/environment.html

A Markdown or Parquet file becomes a page; of settings each is a row, and each variant a column; of
records of runs each machine and set of packages that they were made with is a column.
"""

import argparse
import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt

from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_text

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
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
</style>{head}</head><body>
<h1>{title}</h1>
{body}
</body></html>
"""
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def document(title: str, body: str, head: str = "") -> str:
    """A whole page.

    Args:
        title: plain text.
        body: HTML.
        head: HTML that its head has beside title and style.
    """
    return PAGE.format(title=html.escape(title), body=body, head=head)


def from_markdown(text: str) -> str:
    """The body of a page from Markdown; of HTML only <u> and <br> are kept, all else is text."""
    body = re.sub(r"&lt;(/?u|br)&gt;", r"<\1>", MARKDOWN.render(text))
    body = body.replace("<table>", '<div class="wide"><table>')
    return body.replace("</table>", "</table></div>")


def from_frame(frame: pd.DataFrame) -> str:
    """The body of a page from a table, which may be empty."""
    if frame.empty:
        return "<p>None.</p>"
    return f"<p>{len(frame)} rows.</p>\n" + _html(frame, na_rep="")


def from_settings(columns: dict[str, dict[str, Any]]) -> str:
    """The body of a page from settings: a row a setting, those that differ in bold.

    Args:
        columns: name of a variant → its settings, nested.
    """
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
    runs = Counter(
        json.dumps(json.loads(path.read_text(encoding="utf-8"))["environment"]) for path in paths
    )
    columns = {
        f"{number}: {count} run{'s' * (count > 1)}": json.loads(environment)
        for number, (environment, count) in enumerate(runs.items(), 1)
    }
    return from_settings(columns)


def _html(frame: pd.DataFrame, **options: Any) -> str:
    """A frame as an HTML table that scrolls where it is wide."""
    with pd.option_context("display.max_colwidth", None):  # else long cells end in "..."
        table = frame.to_html(index=False, border=0, justify="left", **options)
    return f'<div class="wide">{table}</div>'


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
    source.add_argument("--variant-settings", help="JSON: variant → settings of a run")
    source.add_argument("--records", type=Path, nargs="+", help="run.json of runs")
    top.add_argument("--title", required=True, help="title to show (of the page)")
    top.add_argument("--out", type=Path, required=True, help="output (the page)")
    return top


def main(args: argparse.Namespace) -> None:
    """Write the page."""
    if args.records:
        body = from_records(args.records)
    elif args.variant_settings:
        body = from_settings(json.loads(args.variant_settings))
    else:
        body = body_of(args.source)
    write_text(document(args.title, body), args.out)


if __name__ == "__main__":
    stage(main, parser())
