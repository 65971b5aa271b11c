"""What stands behind the measured numbers of a table: their runs, spread and comparison."""

from collections.abc import Mapping
from html import escape

import pandas as pd

from dfer.report import sortable
from dfer.tables.captions import COMPARED

HERE = (
    "Below its folder a run has <code>fold&lt;k&gt;-seed&lt;s&gt;/</code> for each fold and seed: "
    "<code>run.json</code> (settings, code, data, packages, machine, commit), "
    "<code>history.parquet</code> (each epoch), <code>predictions.parquet</code> (each test clip) "
    "and <code>metrics.parquet</code> (UAR, WAR, recalls, confusion)."
)


def anchors(measured: pd.DataFrame) -> dict[str, str]:
    """Folder of runs → the id of its row on the page."""
    folders = dict.fromkeys(measured.origin)
    return {folder: f"run-{number}" for number, folder in enumerate(folders, 1)}


def link(text: str, anchor: str) -> str:
    """HTML that leads to a row of `runs`."""
    return f'<a href="#{anchor}">{text}</a>'


def runs(measured: pd.DataFrame, ids: Mapping[str, str]) -> str:
    """A row a run: whose numbers are of it, how it was measured, where its files are.

    Args:
        measured: measured rows of `dfer.tables.numbers.NUMBERS`.
        ids: as `anchors` gives them.
    """
    heads = {"Method": "name", "Dataset": "", "Protocol": "", "Checkpoint rule": ""}
    heads |= {"Folds": "number", "Seeds": "number", "Test clips": "number"}
    heads |= {"Folder, named by the run's key": ""}
    rows: dict[str, str] = {}
    for folder, same in measured.groupby("origin", sort=False):
        first, (parent, _, key) = next(same.itertuples()), folder.rpartition("/")
        cells = [
            sortable.name("; ".join(dict.fromkeys(same.method))),
            sortable.words(first.dataset + " (synthetic)" * first.synthetic),
            sortable.words(first.protocol or "same as all"),
            sortable.words(first.checkpoint),
            *(
                sortable.number(f"{count:.0f}", count)
                for count in (first.folds, first.seeds, first.clips)
            ),
            f"<td><code>{escape(parent)}/<b>{escape(key)}</b>/</code></td>",
        ]
        rows[ids[folder]] = "".join(cells)
    shown = sortable.table("Runs", [sortable.columns(heads)], rows, "The table's order")
    return f"<h2>Runs behind the measured numbers</h2>\n{shown}\n<p>{HERE}</p>"


def compared(measured: pd.DataFrame, ids: Mapping[str, str]) -> str:
    """A row a measured number: its spread, its interval, and how it compares.

    Args:
        measured: measured rows of `dfer.tables.numbers.NUMBERS`.
        ids: as `anchors` gives them.
    """
    heads = {"Method": "name", "Dataset": "", "Metric": ""}
    numbers = ("Mean ± std", "95 % interval", "Pooled", "Difference, 95 % interval", "p")
    heads |= dict.fromkeys(numbers, "number")
    rows = []
    for row in measured.sort_values(["dataset", "metric", "row"], kind="stable").itertuples():
        mean = f"{row.value:.2f}" + (f" ± {row.std:.2f}" if pd.notna(row.std) else "")
        difference, p = ("–", None), ("–", None)
        if pd.notna(row.difference):
            interval = f"{row.difference_low:+.2f} – {row.difference_high:+.2f}"
            difference = (f"{row.difference:+.2f} ({interval})", row.difference)
            p = (f"{row.p:.4f}", row.p)
        cells = [
            sortable.name(row.method),
            sortable.words(row.dataset + " (synthetic)" * row.synthetic),
            sortable.words(row.metric),
            sortable.number(link(mean, ids[row.origin]), row.value),
            sortable.number(f"{row.low:.2f} – {row.high:.2f}", row.low),
            sortable.number(f"{row.pooled:.2f}", row.pooled),
            sortable.number(*difference),
            sortable.number(*p),
        ]
        rows.append("".join(cells))
    shown = sortable.table(
        "Spread and comparison", [sortable.columns(heads)], rows, "The order of datasets"
    )
    notes = "\n".join(f"<li>{escape(line)}</li>" for line in COMPARED)
    return f"<h2>Spread and comparison of the measured numbers</h2>\n{shown}\n<ul>\n{notes}\n</ul>"
