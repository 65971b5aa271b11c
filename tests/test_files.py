"""Files are whole or absent, after kills and power cuts (a full disk is in test_store.py)."""

import os
import platform
import signal
import stat
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pytest
from unprivileged import unprivileged

from dfer.errors import UserError
from dfer.files import (
    atomic,
    check_writable,
    printable,
    read_parquet,
    write_bytes,
    write_parquet,
    write_text,
)


def test_bytes_reach_the_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    path, events = tmp_path / "a.txt", []
    real = os.fsync, os.replace

    def fsync(opened):
        events.append(os.readlink(f"/proc/self/fd/{opened}"))
        real[0](opened)

    def replace(*names):
        events.append("replace")
        real[1](*names)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    with atomic(path) as temporary:
        temporary.write_text("text")
    assert events == [str(temporary), "replace", str(tmp_path)]
    assert path.read_text() == "text"


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text("first", path)
    with pytest.raises(KeyError), atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "first"


KILLED = """
import os, signal, sys
from dfer.files import atomic
with atomic(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_attempt(tmp_path):
    path = tmp_path / "a[1].txt"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert done.returncode == -signal.SIGKILL and not path.exists()
    (left,) = tmp_path.iterdir()
    running = left.with_name(f".{path.name}.{platform.node()}.{os.getppid()}.part")
    elsewhere = left.with_name(f".{path.name}.other-{platform.node()}.1.part")
    for other in (running, elsewhere):
        other.touch()
    write_text("whole", path)
    assert set(tmp_path.iterdir()) == {path, running, elsewhere}


@pytest.mark.parametrize(
    "name", ["a" * 255, "é" * 127, "b" * 254, "c" * 200, "n\udcff" + "d" * 250]
)
def test_any_name_that_a_file_can_have_can_be_written(name, tmp_path):
    check_writable(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / name)])
    assert done.returncode == -signal.SIGKILL
    write_text("whole", tmp_path / name)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_a_name_that_begins_like_another_and_its_host_is_left_alone(tmp_path):
    other = f".a.txt.{platform.node()}.b.{platform.node()}.1.part"
    (tmp_path / other).touch()
    write_text("whole", tmp_path / "a.txt")
    assert (tmp_path / other).exists()


def test_others_may_read_what_is_written(tmp_path):
    for write in (lambda path: write_bytes(b"0", path), lambda path: write_text("0", path)):
        write(tmp_path / "a")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask()


def umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def test_a_place_that_cannot_be_written_is_told_beforehand(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    for path, message in (
        (tmp_path / "folder", "folder: a folder has that name"),
        (tmp_path / "file" / "a.txt", "a.txt: a folder on its way is a file"),
        (tmp_path / ("a" * 256), "a: its name is too long"),
        (closed / "a.txt", "closed/a.txt: you may not write there"),
        (closed / "more" / "a.txt", "closed/more/a.txt: you may not write there"),
    ):
        for write in (check_writable, lambda path: write_text("", path)):
            with unprivileged(tmp_path), pytest.raises(UserError, match=message):
                write(path)
    check_writable(tmp_path / "new" / "a.txt")
    assert list((tmp_path / "new").iterdir()) == []
    check_writable(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b""


def test_a_table_that_may_not_be_read_is_not_called_damaged(tmp_path):
    write_parquet(pd.DataFrame({"a": [1]}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").chmod(0)
    with unprivileged(tmp_path), pytest.raises(UserError, match=r"a.parquet: you may not read"):
        read_parquet(tmp_path / "a.parquet")


def test_a_name_that_is_not_utf_8_is_told_by_its_bytes():
    assert printable(os.fsdecode(b"caf\xe9.mp4")) == "caf\\xe9.mp4"
    assert printable("café.mp4") == "café.mp4"


def test_a_harmed_table_is_refused_or_read_right(tmp_path):
    """Each byte in turn: none can pass for another value."""
    path, schema = tmp_path / "a.parquet", pa.schema([("a", pa.int32()), ("b", pa.string())])
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "y"]})
    write_parquet(frame, path, schema)
    whole, right, refused = path.read_bytes(), read_parquet(path, schema), 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :])
        try:
            pd.testing.assert_frame_equal(read_parquet(path, schema), right)
        except UserError as error:
            assert "a.parquet: not a readable Parquet file" in str(error)
            refused += 1
    assert refused > len(whole) // 3


@pytest.mark.parametrize(
    "schema", [[("b", pa.int32())], [("c", pa.int32())], [("a", pa.list_(pa.int32()))]]
)
def test_a_table_of_other_columns_is_refused(schema, tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    write_parquet(frame, tmp_path / "a.parquet", pa.schema([("a", pa.int32()), ("b", pa.string())]))
    with pytest.raises(UserError, match=r"a\.parquet"):
        read_parquet(tmp_path / "a.parquet", pa.schema(schema))
