"""`dfer app` before its page: what it needs, and what it says where that is missing."""

import socket
import sys
import tempfile

import pytest

from dfer.app import __main__ as command
from dfer.errors import UserError


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    """What the command tells Gradio ends with the test."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(tempfile, "tempdir", None)


def call(*words):
    command.main(command.parser().parse_args(list(map(str, words))))


def test_without_gradio_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[app\]'"):
        call("--run", "anything")


def test_a_run_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("gradio", reason="needs Gradio (pip install -e '.[app]')")
    with pytest.raises(UserError, match="no trained run"):
        call("--run", tmp_path)


def test_a_port_that_is_taken_is_named():
    pytest.importorskip("gradio", reason="needs Gradio (pip install -e '.[app]')")
    import gradio

    from dfer.app.server import serve

    with gradio.Blocks() as page:
        pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}"):
            serve(page, 1, "127.0.0.1", port)


def test_a_port_that_cannot_be_is_named():
    gradio = pytest.importorskip("gradio", reason="needs Gradio (pip install -e '.[app]')")
    from dfer.app.server import serve

    with gradio.Blocks() as page:
        pass
    with pytest.raises(UserError, match="--port 99999"):
        serve(page, 1, "127.0.0.1", 99999)


def test_it_answers_this_machine_alone_unless_told_otherwise():
    args = command.parser().parse_args(["--run", "one", "--run", "two"])
    assert args.host == "127.0.0.1" and args.run == ["one", "two"]
