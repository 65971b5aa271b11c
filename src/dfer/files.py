"""Files that are whole or absent: every stage writes through this module.

A file appears under its name only when it is complete and on the disk (write beside it, `fsync`,
then `os.replace`), so neither a killed stage nor a power cut leaves half a Parquet behind, and a
full disk is one clear error.
"""

import errno
import glob
import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from dfer.errors import UserError

if TYPE_CHECKING:  # a third of a second to import: only where there are tables
    import pandas as pd

NAME_MAX = 255  # bytes of a file's name, on every usual file system
UNWRITABLE = {  # what a user can mend
    errno.EACCES: "you may not write there; choose another place, or ask its owner for access",
    errno.EPERM: "you may not write there; choose another place, or ask its owner for access",
    errno.EROFS: "it is on a read-only file system; choose another place",
    errno.ENAMETOOLONG: f"its name is too long ({NAME_MAX} bytes at most); choose a shorter one",
    errno.ENOTDIR: "a folder on its way is a file; choose another place",
    errno.EEXIST: "a folder on its way is a file; choose another place",
    errno.EISDIR: "a folder has that name; choose another one",
}


def sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on failure it is removed.

    What killed processes of this machine left of earlier attempts is removed too.

    Raises:
        UserError: the disk is full, or one may not write there; whatever stood at `path` before
            still stands.
    """
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    part = _temporary_prefix(path)
    for left in path.parent.glob(f"{glob.escape(part)}*.part"):
        process = left.name.removeprefix(part).removesuffix(".part")
        if process.isdecimal() and not _is_running(int(process)):
            with suppress(OSError):  # of another user
                left.unlink()
    temporary = path.with_name(f"{part}{os.getpid()}.part")
    try:
        with _explained(path, temporary):
            yield temporary
            _to_disk(temporary)
            os.replace(temporary, path)
        with suppress(OSError):  # not every network file system has it for folders
            _to_disk(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def _explained(path: Path, *own: Path) -> Iterator[None]:
    """Turn what a user can mend into a `UserError` that names `path`.

    Args:
        own: other files of which errors may tell; what is told of any other file passes.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{path}: the disk is full ({os.strerror(error.errno)}). Nothing that was finished "
                "is lost: free some space and run the same command again."
            ) from error
        told = {str(name) for name in (error.filename, error.filename2) if name is not None}
        if error.errno in UNWRITABLE and told <= {*map(str, (path, *own, *path.parents))}:
            raise UserError(f"{path}: {UNWRITABLE[error.errno]}.") from error
        raise


def check_writable(path: Path | str) -> None:
    """Find out before long work whether its result can be written at `path`; makes its folder.

    Raises:
        UserError: it cannot be.
    """
    path = Path(path)
    with _explained(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if len(os.fsencode(path.name)) > NAME_MAX:
        raise UserError(f"{path}: {UNWRITABLE[errno.ENAMETOOLONG]}.")
    with suppress(_Tried), atomic(path) as temporary:
        temporary.touch()
        raise _Tried


class _Tried(Exception):
    """A file could be written, and is not wanted."""


def check_readable(path: Path | str) -> None:
    """Refuse a file that is there but may not be read. Libraries call such a file missing.

    Raises:
        UserError: it may not be read.
        OSError: it is not there, or no file.
    """
    try:
        with open(path, "rb"):
            pass
    except PermissionError:
        raise UserError(
            f"{path}: you may not read this file, or enter its folder. Ask its owner for access "
            "(chmod -R a+rX on the folder of the results)."
        ) from None


def printable(text: object) -> str:
    """As text that can be written as UTF-8: bytes of a name that are not are told as \\xff."""
    encoded = str(text).encode("utf-8", "surrogateescape")
    return encoded.decode("utf-8", "backslashreplace")


def _temporary_prefix(path: Path) -> str:
    """The temporary name of a file up to the process number, short enough for any name."""
    part = f".{path.name}.{platform.node()}."
    longest = len(os.fsencode(part)) + len("4194304.part")  # Linux's largest process number
    if longest <= NAME_MAX:
        return part
    digest = hashlib.sha256(os.fsencode(part)).hexdigest()
    return f".{digest[:32]}."


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


def write_parquet(frame: "pd.DataFrame", path: Path | str, schema: pa.Schema | None = None) -> None:
    """Write `frame` without its index; equal frames give equal bytes.

    `schema` fixes column types, so that an empty table has the types of a full one. Each page has a
    checksum, so that harm to it cannot pass for other values.
    """
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    table = table.replace_schema_metadata(None)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_parquet(path: Path | str, columns: list[str] | pa.Schema | None = None) -> "pd.DataFrame":
    """Read a Parquet file.

    Args:
        columns: those that are read, of these types if it is a schema; None: all.

    Raises:
        UserError: the file is missing, unreadable, damaged, not Parquet, or has not these columns.
    """
    schema = columns if isinstance(columns, pa.Schema) else None
    names = columns if schema is None else schema.names
    try:
        check_readable(path)
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


def write_bytes(content: bytes, path: Path | str) -> None:
    """Write bytes."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)
