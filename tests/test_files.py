"""Files are whole or absent, after kills and power cuts (a full disk is in test_store.py)."""

import os
import platform
import signal
import subprocess
import sys

import pytest

from dfer.files import atomic, write_text


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
