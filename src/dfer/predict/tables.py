"""The tables of `dfer.predict`: what was predicted, and what could not be used."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dfer.files import printable, write_parquet

PLACE = [
    ("file", pa.string()),
    ("window", pa.int32()),  # null: the whole file
    ("start_s", pa.float64()),
    ("end_s", pa.float64()),
]
REJECTS = pa.schema([*PLACE, ("reason", pa.string())])


def predictions_schema(classes: Sequence[str]) -> pa.Schema:
    """The columns of the table of predictions."""
    own = [("label", pa.string()), ("face_share", pa.float64())]
    return pa.schema([*PLACE, *own, *((f"probability_{name}", pa.float64()) for name in classes)])


def write_tables(
    out: Path, rows: Sequence[tuple], rejects: Sequence[tuple], classes: Sequence[str]
) -> None:
    """Write the predictions, and beside them what could not be used.

    A name that is not UTF-8 is told by its bytes, as `printable` does it.

    Args:
        rows: in the columns of `predictions_schema`.
        rejects: in the columns of `REJECTS`.
    """
    schema = predictions_schema(classes)
    write_parquet(pd.DataFrame(_written(rows), columns=schema.names), out, schema)
    table = pd.DataFrame(_written(rejects), columns=REJECTS.names).astype({"window": "Int32"})
    write_parquet(table, rejects_path(out), REJECTS)


def rejects_path(out: Path) -> Path:
    """The table of what could not be used, beside that of the predictions."""
    return out.with_suffix(".rejects.parquet")


def _written(rows: Sequence[tuple]) -> list[tuple]:
    return [
        tuple(printable(value) if isinstance(value, str) else value for value in row)
        for row in rows
    ]
