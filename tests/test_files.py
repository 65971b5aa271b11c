"""Files are whole or absent, after kills and power cuts (a full disk is in test_store.py)."""

import os
import platform
import signal
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pytest

from dfer.errors import UserError
from dfer.files import atomic, read_parquet, write_parquet, write_text


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
