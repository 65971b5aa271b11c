"""A table as readers see it: lines of methods, columns of numbers, whatever the format.

`.tex` and `.md` are two spellings of one `Layout`.
"""

from typing import NamedTuple

import pandas as pd

from dfer.tables.numbers import SYNTHETIC

SOURCES = ("reported", "computed", "measured")  # in the order of the columns


class Column(NamedTuple):
    """A column of numbers: of one source, dataset and metric."""

    source: str
    dataset: str  # title, "(synthetic)" behind it if it is; empty for computed FLOPs
    metric: str

    @property
    def unit(self) -> str:
        """The metric with its unit, where that is not %."""
        return "FLOPs (G)" if self.metric == "FLOPs" else self.metric


class Entry(NamedTuple):
    """A number in a column."""

    text: str  # two decimals, or the paper's own digits
    value: float  # in full
    rank: int | None  # 1: the best of its column, 2: the second best
    std: float | None
    difference: float | None  # in points; shown in brackets
    note: str  # of this number; or empty
    protocol: str  # of a measured number, where it is not the same as of all others; or empty
    origin: str  # as in `NUMBERS`


class Line(NamedTuple):
    """A method: what it is called, and its numbers, None where there is none."""

    stub: list[str]
    entries: list[Entry | None]


class Layout(NamedTuple):
    """A whole table."""

    stub: list[str]  # heads of the first columns, which name the methods
    columns: list[Column]
    lines: list[Line]


def arrange(frame: pd.DataFrame) -> Layout:
    """The layout of a table.

    The backbone has a column where the methods differ in it. Where the paper prints differences
    from a method in brackets, measured numbers have those from our runs of that method; in a table
    of ours all have those from what they are compared with.

    Args:
        frame: rows of `dfer.tables.numbers.NUMBERS` of one table.
    """
    with_backbone = frame.backbone.nunique() > 1
    columns, ranks, bases = _columns(frame), _ranks(frame), _bases(frame)
    lines = []
    for _, rows in frame.groupby("row"):
        entries = {
            _column(row): Entry(
                text=row.printed if row.source == "reported" else f"{row.value:.2f}",
                value=row.value,
                rank=ranks.get(row.Index),
                std=row.std if pd.notna(row.std) else None,
                difference=row.difference if row.against in bases else None,
                note="" if row.source == "computed" else _own_note(row.note),
                protocol=row.protocol if row.source == "measured" else "",
                origin=row.origin,
            )
            for row in rows.itertuples()
        }
        method = rows.iloc[0]
        name = f"{method.method} ({method.venue})" if method.venue else method.method
        stub = [name, method.backbone] if with_backbone else [name]
        lines.append(Line(stub, [entries.get(column) for column in columns]))
    return Layout(["Method", "Backbone"] if with_backbone else ["Method"], columns, lines)


def _own_note(note: str) -> str:
    """A note less what the caption says of a whole column."""
    return note.removeprefix(SYNTHETIC).removeprefix("; ")


def _column(row: NamedTuple) -> Column:
    """The column of a row of `NUMBERS`."""
    return Column(row.source, row.dataset + " (synthetic)" * row.synthetic, row.metric)


def _columns(frame: pd.DataFrame) -> list[Column]:
    """All columns: by source, FLOPs before the others, else in the order of the numbers."""
    columns = dict.fromkeys(map(_column, frame.itertuples()))
    return sorted(columns, key=lambda c: (SOURCES.index(c.source), c.metric != "FLOPs"))


def _ranks(frame: pd.DataFrame) -> dict[int, int]:
    """Which numbers are the best (1) and the second best (2) of their column, by index in `frame`.

    Only columns of UAR or WAR are ranked, each protocol for itself, and the second only where there
    are more than two rows.
    """
    ranks = {}
    scores = frame[frame.metric != "FLOPs"]
    alike = ["source", "dataset", "synthetic", "metric", "protocol"]
    for _, column in scores.groupby(alike, dropna=False):
        if len(column) < 2:
            continue
        most = 2 if len(column) > 2 else 1
        order = column.value.rank(method="min", ascending=False)
        ranks |= {index: int(rank) for index, rank in order.items() if rank <= most}
    return ranks


def _bases(frame: pd.DataFrame) -> set[str]:
    """What differences in brackets are from: the paper's method, and the keys of our runs of it."""
    if not (frame.source == "reported").any():
        return set(frame.against.dropna())
    methods = set(frame.against[frame.source == "reported"].dropna())
    runs = frame.origin[(frame.source == "measured") & frame.method.isin(methods)]
    return methods | {origin.rpartition("/")[2] for origin in runs}
