"""All numbers of a table: what the paper reports and what was measured here, never mixed.

One tidy row a number (schema `NUMBERS`, the same for all tables). `source` says where it comes
from: `reported` by a paper (`origin` names table and row), `measured` here (`origin` names the
folder of the runs; folds, seeds, protocol and checkpoint rule have columns of their own), or
`computed` here from the model's definition (FLOPs).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from dfer.errors import UserError
from dfer.tables.reported import PAPER, Cell

NUMBERS = pa.schema(
    [
        ("table", pa.int32()),
        ("row", pa.int32()),  # of the paper's table, from 1
        ("method", pa.string()),
        ("variant", pa.string()),  # ours of that row, if there is one
        ("venue", pa.string()),
        ("backbone", pa.string()),
        ("dataset", pa.string()),  # title
        ("synthetic", pa.bool_()),
        ("metric", pa.string()),  # UAR or WAR (%), FLOPs (G multiply–accumulates a clip)
        ("source", pa.string()),  # reported, measured or computed
        ("value", pa.float64()),
        ("printed", pa.string()),  # as the paper prints it
        ("std", pa.float64()),  # over folds and seeds
        ("low", pa.float64()),  # 95 % bootstrap interval over clips
        ("high", pa.float64()),
        ("pooled", pa.float64()),  # all folds' clips taken together
        ("folds", pa.int32()),
        ("seeds", pa.int32()),
        ("clips", pa.int64()),  # test clips, all folds together
        ("protocol", pa.string()),  # of a measured number; empty: the same as of all others
        ("checkpoint", pa.string()),  # rule: last, val or test
        ("against", pa.string()),  # what it is compared with: a run, or a method of the paper
        ("difference", pa.float64()),  # from it, in points
        ("difference_low", pa.float64()),  # 95 % bootstrap interval of the difference
        ("difference_high", pa.float64()),
        ("p", pa.float64()),  # of a paired sign-flip test by clip
        ("origin", pa.string()),
        ("note", pa.string()),
        ("remark", pa.string()),  # what its configuration says of all that is measured with it
    ]
)
SYNTHETIC = "synthetic data: shows that the workflow works, says nothing of the paper"


class Dataset(NamedTuple):
    """A dataset as tables name it."""

    title: str
    synthetic: bool = False


def numbers(
    table: int,
    reported: list[Cell],
    summary: pd.DataFrame,
    flops: pd.DataFrame | None,
    datasets: Mapping[str, Dataset],
    runs: Mapping[str, Mapping[str, str]],
    tuned: Mapping[str, str] | None = None,
    remark: str = "",
) -> pd.DataFrame:
    """Rows of `NUMBERS` of a table, in the order of the paper's rows.

    Args:
        table: its number in the paper.
        reported: all cells of `config/reported.csv`.
        summary: rows of `dfer.tables.summary`.
        flops: rows of `dfer.tables.flops`, for tables that print FLOPs.
        datasets: name → dataset; those that are configured, in order.
        runs: dataset → variant → run key.
        tuned: variant whose settings a study has found → the one of the paper that it tuned; its
            row stands below those of the paper.
        remark: what the configuration says of all that is measured.

    Raises:
        UserError: there is no such table or no number of it, or `flops` lacks one of its rows.
    """
    tuned = tuned or {}
    printed = [cell for cell in reported if cell.table == table]
    if not printed:
        raise UserError(f"Table {table}: config/reported.csv has no such table")
    prints_flops = any(cell.metric == "FLOPs" for cell in printed)
    measured = summary.set_index(["dataset", "run", "metric"])
    own_notes = {cell.row: cell.note for cell in printed if not cell.value}
    rows = [_reported(cell) for cell in printed if cell.value]
    own = {cell.variant for cell in printed}
    for line in _our_lines(printed, {name: tuned[name] for name in tuned if name not in own}):
        if prints_flops and line.variant not in tuned:
            rows.append(_line(line) | _computed(flops, line))
        for name, dataset in datasets.items():
            key = runs[name].get(line.variant)
            for metric in ("UAR", "WAR"):
                if (name, key, metric) in measured.index:
                    row = measured.loc[name, key, metric]
                    found = _measured(row, name, key, dataset)
                    notes = [found["note"], own_notes.get(line.row)]
                    found |= {"note": "; ".join(filter(None, notes)), "remark": remark}
                    rows.append(_line(line) | {"metric": metric} | found)
    if not rows:
        raise UserError(
            f"Table {table}: nothing of it is printed or measured. Give the configuration variants "
            "that config/reported.csv has in its rows."
        )
    frame = pd.DataFrame(rows, columns=NUMBERS.names)
    return frame.sort_values("row", kind="stable", ignore_index=True)


def _our_lines(printed: list[Cell], tuned: Mapping[str, str]) -> list[Cell]:
    """A cell of each row that a variant of ours has: the paper's rows, then those of `tuned`."""
    first: dict[int, Cell] = {}
    for cell in printed:
        first.setdefault(cell.row, cell)
    lines = [cell for cell in first.values() if cell.variant]
    last = max(first)
    for variant, base in tuned.items():
        line = next(line for line in lines if line.variant == base)
        last += 1
        lines.append(line._replace(row=last, method=f"{line.method}, tuned", variant=variant))
    return lines


def _line(cell: Cell) -> dict[str, Any]:
    """What all numbers of a row of the table share."""
    shared = ("table", "row", "method", "variant", "venue", "backbone")
    return {name: getattr(cell, name) for name in shared}


def _reported(cell: Cell) -> dict[str, Any]:
    """A number as the paper prints it."""
    return _line(cell) | {
        "dataset": cell.dataset,
        "synthetic": False,
        "metric": cell.metric,
        "source": "reported",
        "value": float(cell.value),
        "printed": cell.value,
        "against": "Baseline" if cell.difference else None,
        "difference": float(cell.difference) if cell.difference else None,
        "origin": f"{PAPER}, {cell.place}",
        "note": cell.note,
    }


def _computed(flops: pd.DataFrame, line: Cell) -> dict[str, Any]:
    """FLOPs of the row's model at ViT-B/32, by the paper's convention."""
    match = flops[[line.place in cells.split("; ") for cells in flops.cells]]
    if match.empty:
        raise UserError(
            f"no FLOPs of {line.place}: dfer.tables.flops does not list it among its configurations"
        )
    return {
        "dataset": "",
        "synthetic": False,
        "metric": "FLOPs",
        "source": "computed",
        "value": float(match.macs_paper.iloc[0]),
        "origin": f"dfer.tables.flops, {match.configuration.iloc[0]}",
        "note": "multiply–accumulates by the paper's convention",
    }


def _measured(row: pd.Series, name: str, key: str, dataset: Dataset) -> dict[str, Any]:
    """What was measured of the runs `key`, a row of the summary without its index."""
    shared = set(NUMBERS.names) & set(row.index)
    return {column: row[column] for column in shared} | {
        "dataset": dataset.title,
        "synthetic": dataset.synthetic,
        "source": "measured",
        "origin": f"results/{name}/runs/{key}",
        "note": SYNTHETIC if dataset.synthetic else "",
    }
