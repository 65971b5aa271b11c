"""The page of a table: what was measured stands beside the method, what papers report behind it.

    python -m dfer.report.table_page results/table1.parquet --title "Table 1"
        --out results/report/table1.html

A measured number leads to its runs, and a box folds the reported columns. Only sorting needs a
script.
"""

import argparse
from collections.abc import Mapping
from html import escape
from itertools import groupby
from pathlib import Path

import pandas as pd

from dfer.errors import stage
from dfer.files import read_parquet, write_text
from dfer.report import sortable
from dfer.report.page import document
from dfer.report.runs import anchors, compared, link, runs
from dfer.tables.captions import CAPTIONS, sources
from dfer.tables.layout import Entry, Layout, Line, arrange

GROUPS = {  # in the order of the columns
    "measured": "Measured here",
    "computed": "Computed",
    "reported": "Reported by the paper",
}
LEADS = " A measured number leads to its runs."
ABREAST = 4  # so many measured columns have a number and its spread on one line at 1280 pixels
MARKS = {None: "%s", 1: "<strong>%s</strong>", 2: "<u>%s</u>"}


def body_of(frame: pd.DataFrame) -> str:
    """The body of the page.

    Args:
        frame: rows of `dfer.tables.numbers.NUMBERS` of one table.
    """
    layout, table = _measured_first(arrange(frame)), int(frame.table.iloc[0])
    measured = frame[frame.source == "measured"]
    ids = anchors(measured)
    entries = [entry for line in layout.lines for entry in line.entries if entry is not None]
    notes = list(dict.fromkeys(entry.note for entry in entries if entry.note))
    rows = [_row(line, _kinds(layout), ids, notes) for line in layout.lines]
    parts = [
        f"<p>{escape(CAPTIONS.get(table, ''))}{LEADS if ids else ''}</p>",
        _box(layout),
        sortable.table(f"Table {table}", _heads(layout), rows, "The paper's order"),
        "<ul>",
        *(f"<li>{escape(line)}</li>" for line in sources(frame)),
        *(
            f'<li id="note-{number}">[{number}] {escape(note)}</li>'
            for number, note in enumerate(notes, 1)
        ),
        "</ul>",
    ]
    if ids:
        parts += [runs(measured, ids), compared(measured, ids)]
    return "\n".join(filter(None, parts))


def _measured_first(layout: Layout) -> Layout:
    """The same with its columns in the order of `GROUPS`."""
    places = [list(GROUPS).index(column.source) for column in layout.columns]
    order = sorted(range(len(places)), key=places.__getitem__)
    return layout._replace(
        columns=[layout.columns[k] for k in order],
        lines=[line._replace(entries=[line.entries[k] for k in order]) for line in layout.lines],
    )


def _kinds(layout: Layout) -> list[str]:
    """The classes of each column: its source, whether a dataset begins, how its cells are set."""
    measured = sum(column.source == "measured" for column in layout.columns)
    before = [None, *layout.columns]
    kinds = []
    for last, column in zip(before, layout.columns, strict=False):
        starts = last is None or last[:2] != column[:2]
        stacked = column.source != "measured" or measured > ABREAST
        kinds.append(column.source + " start" * starts + " stacked" * stacked)
    return kinds


def _box(layout: Layout) -> str:
    """The box that folds the reported columns, where there are others."""
    count = sum(column.source == "reported" for column in layout.columns)
    if count in (0, len(layout.columns)):
        return ""
    named = f"{count} reported columns" if count > 1 else "reported column"
    return (
        f'<input type="checkbox" id="fold"><label for="fold">Fold the {named}</label>\n'
        f'<span class="folded">{count} reported column{"s" * (count > 1)} folded.</span>'
    )


def _heads(layout: Layout) -> list[str]:
    """Rows of heads: who says a number, of which dataset, by which metric."""
    kinds, columns = _kinds(layout), layout.columns
    method, *more = layout.stub
    tops = [sortable.column(method, 0, "name", rows=3)]
    for source, same in groupby(range(len(columns)), lambda k: columns[k].source):
        inside = list(same)
        tops.append(sortable.group(GROUPS[source], len(inside), kinds[inside[0]]))
    tops += [
        sortable.column(name, len(columns) + k, "start", rows=3) for k, name in enumerate(more, 1)
    ]
    datasets = []
    for (_, dataset), same in groupby(range(len(columns)), lambda k: columns[k][:2]):
        inside = list(same)
        datasets.append(sortable.group(dataset, len(inside), kinds[inside[0]]))
    metrics = [
        sortable.column(column.unit, k, f"number {kind}")
        for k, (column, kind) in enumerate(zip(columns, kinds, strict=True), 1)
    ]
    return ["".join(tops), "".join(datasets), "".join(metrics)]


def _row(line: Line, kinds: list[str], ids: Mapping[str, str], notes: list[str]) -> str:
    """A method with its numbers, then what else names it."""
    method, *more = line.stub
    return "".join(
        [
            sortable.name(method),
            *(
                sortable.number("–", None, kind)
                if entry is None
                else sortable.number(_shown(entry, ids, notes, kind), entry.value, kind)
                for entry, kind in zip(line.entries, kinds, strict=True)
            ),
            *(sortable.words(text, "start") for text in more),
        ]
    )


def _shown(entry: Entry, ids: Mapping[str, str], notes: list[str], kind: str) -> str:
    """A number with its mark, deviation, difference, protocol and note, which ends its line."""
    text = MARKS[entry.rank] % escape(entry.text)
    parts = [link(text, ids[entry.origin]) if entry.origin in ids else text]
    spread = f"± {entry.std:.2f}" if entry.std is not None else ""
    difference = f"({entry.difference:+.2f})" if entry.difference is not None else ""
    beside = " ".join(filter(None, [spread, difference]))
    if beside and "stacked" not in kind:
        parts[0] += f" <small>{beside}</small>"
    if entry.note:
        note = notes.index(entry.note) + 1
        parts[0] += f" <sup>{link(f'[{note}]', f'note-{note}')}</sup>"
    if beside and "stacked" in kind:
        parts.append(f"<small>{beside}</small>")
    if entry.protocol:
        parts.append(f'<small class="protocol">{escape(entry.protocol)}</small>')
    return " ".join(parts)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("source", type=Path, help=".parquet of a table (dfer.tables.table)")
    top.add_argument("--title", required=True, help="title to show (of the page)")
    top.add_argument("--out", type=Path, required=True, help="output (the page)")
    return top


def main(args: argparse.Namespace) -> None:
    """Write the page."""
    body = body_of(read_parquet(args.source))
    write_text(document(args.title, body, sortable.head()), args.out)


if __name__ == "__main__":
    stage(main, parser())
