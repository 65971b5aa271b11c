"""Files that are whole or absent: every stage writes through this module.

A file appears under its name only when it is complete and on the disk (write beside it, `fsync`,
then `os.replace`), so neither a killed stage nor a power cut leaves half a Parquet behind, and a
full disk is one clear error.
"""

import errno
import glob
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dfer.errors import UserError


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on failure it is removed.

    What killed processes of this machine left of earlier attempts is removed too.

    Raises:
        UserError: the disk is full; whatever stood at `path` before still stands.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = f".{path.name}.{platform.node()}."
    for left in path.parent.glob(f"{glob.escape(part)}*.part"):
        if not _is_running(int(left.name.removeprefix(part).removesuffix(".part"))):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f"{part}{os.getpid()}.part")
    try:
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
        with suppress(OSError):  # not every network file system has it for folders
            _to_disk(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{path}: the disk is full ({os.strerror(error.errno)}). Nothing that was finished "
                "is lost: free some space and run the same command again."
            ) from error
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True


def _to_disk(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, would survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_parquet(frame: pd.DataFrame, path: Path | str, schema: pa.Schema | None = None) -> None:
    """Write `frame` without its index; equal frames give equal bytes.

    `schema` fixes column types, so that an empty table has the types of a full one. Each page has a
    checksum, so that harm to it cannot pass for other values.
    """
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    table = table.replace_schema_metadata(None)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_parquet(path: Path | str, columns: list[str] | pa.Schema | None = None) -> pd.DataFrame:
    """Read a Parquet file.

    Args:
        columns: those that are read, of these types if it is a schema; None: all.

    Raises:
        UserError: the file is missing, damaged, not Parquet, or has not these columns.
    """
    schema = columns if isinstance(columns, pa.Schema) else None
    names = columns if schema is None else schema.names
    try:
        table = pq.read_table(path, columns=names, page_checksum_verification=True)
        table.validate(full=True)
        return (table if schema is None else table.select(names).cast(schema)).to_pandas()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Run the stage that writes it first.") from None
    except (pa.ArrowException, OSError, ValueError, ArithmeticError, MemoryError) as error:
        raise UserError(
            f"{path}: not a readable Parquet file ({error}). Delete it and run again: "
            "the stage that writes it will make it anew."
        ) from error


def write_text(text: str, path: Path | str) -> None:
    """Write UTF-8 text with Unix line ends."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
