"""The tables of `dfer.predict`: what was predicted, and what could not be used."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dfer.errors import UserError
from dfer.files import printable, write_parquet, write_text

PLACE = [
    ("file", pa.string()),
    ("window", pa.int32()),  # null: the whole file
    ("start_s", pa.float64()),
    ("end_s", pa.float64()),
]
SUFFIXES = (".parquet", ".csv", ".json")
PIPE = Path("-")  # as the name of a table: stdout
REJECTS = pa.schema([*PLACE, ("reason", pa.string())])


def predictions_schema(classes: Sequence[str]) -> pa.Schema:
    """The columns of the table of predictions."""
    own = [("label", pa.string()), ("face_share", pa.float64())]
    return pa.schema([*PLACE, *own, *((f"probability_{name}", pa.float64()) for name in classes)])


def write_tables(
    out: Path, rows: Sequence[tuple], rejects: Sequence[tuple], classes: Sequence[str]
) -> None:
    """Write the predictions, and beside them what could not be used.

    As Parquet, CSV or JSON (a list of records), by the suffix of `out`; see `check_suffix`.
    A name that is not UTF-8 is told by its bytes, as `printable` does it.

    Args:
        rows: in the columns of `predictions_schema`.
        rejects: in the columns of `REJECTS`.
    """
    schema = predictions_schema(classes)
    _write(pd.DataFrame(_written(rows), columns=schema.names), out, schema)
    table = pd.DataFrame(_written(rejects), columns=REJECTS.names).astype({"window": "Int32"})
    _write(table, rejects_path(out), REJECTS)


def as_csv(rows: Sequence[tuple], classes: Sequence[str]) -> str:
    """The predictions as CSV; see `write_tables`."""
    return _csv(pd.DataFrame(_written(rows), columns=predictions_schema(classes).names))


def rejects_path(out: Path) -> Path:
    """The table of what could not be used, beside that of the predictions."""
    return out.with_suffix(f".rejects{out.suffix}")


def check_suffix(out: Path) -> None:
    """Refuse a table of a format that there is not; `PIPE` is CSV.

    Raises:
        UserError: its name has another suffix than those of `SUFFIXES`.
    """
    if out != PIPE and out.suffix not in SUFFIXES:
        raise UserError(f"--out {out}: give a name that ends with {', '.join(SUFFIXES)}, or -.")


def _write(table: pd.DataFrame, path: Path, schema: pa.Schema) -> None:
    match path.suffix:
        case ".csv":
            write_text(_csv(table), path)
        case ".json":
            text = table.to_json(orient="records", indent=1, force_ascii=False, double_precision=15)
            write_text(text + "\n", path)
        case _:
            write_parquet(table, path, schema)


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, lineterminator="\n")


def _written(rows: Sequence[tuple]) -> list[tuple]:
    return [
        tuple(printable(value) if isinstance(value, str) else value for value in row)
        for row in rows
    ]
