"""Tables for LaTeX: a bare booktabs `tabular`, to be `\\input`."""

from collections.abc import Hashable, Iterable
from itertools import groupby

import pandas as pd

from dfer.tables.captions import sources
from dfer.tables.layout import Entry, Layout, arrange

HEADS = {"reported": "Reported", "computed": "Computed", "measured": "Measured here"}
MARKS = {None: "%s", 1: r"\textbf{%s}", 2: r"\underline{%s}"}
SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"±": r"$\pm$", "\\": r"\textbackslash{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return text.translate(SPECIAL)


def to_latex(frame: pd.DataFrame) -> str:
    """A table as a `tabular`, after comment lines that say where its numbers come from.

    Args:
        frame: rows of `dfer.tables.numbers.NUMBERS` of one table.
    """
    layout = arrange(frame)
    metrics = [column.unit for column in layout.columns]
    lines = [
        *(f"% {line}" for line in sources(frame)),
        rf"\begin{{tabular}}{{{'l' * len(layout.stub)}{'r' * len(layout.columns)}}}",
        r"\toprule",
        *_spanning_heads(layout),
        _row([*map(escape, layout.stub), *metrics]),
        r"\midrule",
        *(_row([*map(escape, line.stub), *map(_cell, line.entries)]) for line in layout.lines),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(entry: Entry | None) -> str:
    """A number with its mark, deviation and difference."""
    if entry is None:
        return "--"
    text = MARKS[entry.rank] % entry.text
    if entry.std is not None:
        text += rf"\,$\pm$\,{entry.std:.2f}"
    if entry.difference is not None:
        text += f" ({entry.difference:+.2f})".replace("-", "$-$")
    if entry.protocol:
        text += rf" {{\scriptsize {escape(entry.protocol)}}}"
    return text


def _spanning_heads(layout: Layout) -> list[str]:
    """Two lines above the metrics, with their rules: the sources, and the datasets below them."""
    by_source = [(column.source, HEADS[column.source]) for column in layout.columns]
    by_dataset = [
        ((column.source, column.dataset), escape(column.dataset)) for column in layout.columns
    ]
    lines = []
    for heads in (by_source, by_dataset):
        cells, rules, start = [""] * len(layout.stub), [], len(layout.stub) + 1
        for (_, name), width in _spans(heads):
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{name}}}")
            if name:
                rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
            start += width
        lines.append(f"{_row(cells)} {' '.join(rules)}")
    return lines


def _spans(heads: Iterable[Hashable]) -> list[tuple[Hashable, int]]:
    """Equal neighbours as one: (head, how many)."""
    return [(head, len(list(same))) for head, same in groupby(heads)]
