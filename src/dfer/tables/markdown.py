"""Tables for reading on screen: with caption, notes, and all that is known of what was measured."""

import pandas as pd

from dfer.tables.captions import CAPTIONS, COMPARED, sources
from dfer.tables.layout import Column, Entry, arrange

MARKS = {None: "%s", 1: "**%s**", 2: "<u>%s</u>"}


def to_markdown(frame: pd.DataFrame) -> str:
    """A table with its caption, where its numbers come from, and numbered notes.

    Args:
        frame: rows of `dfer.tables.numbers.NUMBERS` of one table.
    """
    layout, table = arrange(frame), int(frame.table.iloc[0])
    entries = [entry for line in layout.lines for entry in line.entries if entry is not None]
    notes = list(dict.fromkeys(entry.note for entry in entries if entry.note))
    lines = [
        f"**Table {table}.** {CAPTIONS.get(table, '')}".rstrip(),
        "",
        _row([*layout.stub, *map(_head, layout.columns)]),
        "|" + "---|" * len(layout.stub) + "---:|" * len(layout.columns),
        *(
            _row([*line.stub, *(_cell(entry, notes) for entry in line.entries)])
            for line in layout.lines
        ),
        "",
        *(f"- {line}" for line in sources(frame)),
        *(f"- [{number}] {note}" for number, note in enumerate(notes, 1)),
        *_measured(frame),
    ]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(column: Column) -> str:
    return " ".join(filter(None, [column.dataset, column.unit])) + f"<br>*{column.source}*"


def _cell(entry: Entry | None, notes: list[str]) -> str:
    """A number with its mark, deviation, difference and the number of its note."""
    if entry is None:
        return "–"
    text = MARKS[entry.rank] % entry.text
    if entry.std is not None:
        text += f" ± {entry.std:.2f}"
    if entry.difference is not None:
        text += f" ({entry.difference:+.2f})"
    if entry.protocol:
        text += f" *{entry.protocol}*"
    if entry.note:
        text += f" [{notes.index(entry.note) + 1}]"
    return text


def _measured(frame: pd.DataFrame) -> list[str]:
    """A second table: all that is known of each measured number; nothing if there is none."""
    measured = frame[frame.source == "measured"]
    if measured.empty:
        return []
    heads = ["Method", "Dataset", "Metric", "Mean ± std", "95 % interval", "Pooled"]
    heads += ["Difference, 95 % interval", "p", "Folds × seeds", "Protocol", "Checkpoint"]
    heads += ["Runs"]
    rows = []
    for row in measured.sort_values(["dataset", "metric", "row"], kind="stable").itertuples():
        spread = f" ± {row.std:.2f}" if pd.notna(row.std) else ""
        difference, p = "–", "–"
        if pd.notna(row.difference):
            interval = f"{row.difference_low:+.2f} – {row.difference_high:+.2f}"
            difference, p = f"{row.difference:+.2f} ({interval})", f"{row.p:.4f}"
        cells = [
            row.method,
            row.dataset + " (synthetic)" * row.synthetic,
            row.metric,
            f"{row.value:.2f}{spread}",
            f"{row.low:.2f} – {row.high:.2f}",
            f"{row.pooled:.2f}",
            difference,
            p,
            f"{row.folds:.0f} × {row.seeds:.0f}",
            row.protocol or "same",
            row.checkpoint,
            f"`{row.origin}`",
        ]
        rows.append(_row(cells))
    return [
        "",
        "**What was measured.**",
        "",
        _row(heads),
        "|---|---|---|" + "---:|" * 6 + "---|" * 3,
        *rows,
        "",
        *(f"- {line}" for line in COMPARED),
    ]
