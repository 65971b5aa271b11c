"""A `python` whose imports are done: `python -m module` as a fork of a process that has them.

Half of a dry run of Snakemake, and most of a small job, is imports of others' packages. One process
imports those of Snakemake, one those of our stages, and neither anything of ours; they fork for
each call. A fork has the arguments, folder, environment, import path and open files of `python -m`,
and runs the same module: what is planned, and what a job makes, is their own doing.

`PYTHON` is the command. A Snakemake that it runs calls its jobs by it, too: the rules put the
folder of `sys.executable` before all others. It waits for its fork and ends as that ends, but a
signal to it does not reach the fork: a test that kills starts the real Python.
"""

import ast
import atexit
import gc
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path

IMPORTS = {
    "snakemake": (
        # what Snakemake imports, at once or on its way
        *("snakemake.cli", "snakemake.executors.local", "snakemake.profiles"),
        *("snakemake.report.html_reporter", "smart_open"),
        # what our rules import of others
        *("jsonschema", "optuna.distributions", "pandas", "pyarrow.parquet"),
    ),
    "stages": (
        *("pandas", "pyarrow.dataset", "pyarrow.parquet", "scipy.special", "sklearn.metrics"),
        *("torch", "torch._dynamo", "torch._inductor", "torchvision", "timm", "open_clip"),
        *("safetensors.torch", "matplotlib.pyplot", "matplotlib.backends.backend_pdf"),
        *("matplotlib.backends.backend_svg", "av", "cv2", "dlib", "simplejpeg", "optuna"),
    ),
}

CLIENT = '''
"""`python -m module …` by a fork, where there is a process for it; else the real Python."""
import os, socket, sys

real, *words = sys.argv[1:]
kind = "snakemake" if words[1:2] == ["snakemake"] else "stages"
server = socket.socket(socket.AF_UNIX)
try:
    if words[:1] != ["-m"]:
        raise OSError
    server.connect(os.path.join(os.path.dirname(__file__), kind))
except OSError:
    os.execv(real, [real, *words])
socket.send_fds(server, [b"!"], [0, 1, 2])
asked = [words[1:], os.getcwd(), dict(os.environ)]
server.sendall(repr(asked).encode())
server.shutdown(socket.SHUT_WR)
status = int(server.recv(16) or 1)
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
'''


class Forks:
    """The processes; each starts when it is first asked for, and ends with the one that asked."""

    def __init__(self) -> None:
        self._servers: dict[str, subprocess.Popen] = {}

    @cached_property
    def _folder(self) -> Path:
        """Of the command, and of the sockets of its processes."""
        folder = tempfile.TemporaryDirectory(prefix="forks-")
        atexit.register(folder.cleanup)
        return Path(folder.name)

    @cached_property
    def python(self) -> str:
        """The path of the command."""
        client, command = self._folder / "client.py", self._folder / "python"
        client.write_text(CLIENT)
        real = shlex.quote(sys.executable)
        command.write_text(f'#!/bin/sh\nexec {real} -IS {shlex.quote(str(client))} {real} "$@"\n')
        command.chmod(0o755)
        return str(command)

    def start(self, *kinds: str) -> None:
        """Start the processes of these kinds, those of `IMPORTS`, if they have not been."""
        starting = [kind for kind in kinds if kind not in self._servers]
        for kind in starting:
            command = [sys.executable, "-P", __file__, kind, self.python]
            own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            server = subprocess.Popen(command, env=own, stdin=-1, stdout=-1)
            atexit.register(server.communicate)  # it ends as its stdin does
            self._servers[kind] = server
        for kind in starting:
            self._servers[kind].stdout.readline()  # it listens


FORKS = Forks()
PYTHON = FORKS.python


def serve(kind: str, python: str) -> None:
    """Fork for each connection, until stdin ends; answer with the exit status."""
    ends_with: list[int] = []  # in a fork: its exit status
    atexit.register(leave, ends_with)  # first, to be the last that is called
    for module in IMPORTS[kind]:
        import_module(module)
    gc.collect()
    gc.freeze()  # a fork looks for no garbage in what was imported
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(Path(python).with_name(kind)))
    listener.listen()
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    print(kind, flush=True)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([sys.stdin, listener, ended], [], [])
        if sys.stdin in ready:
            return
        if listener in ready:
            connection, _ = listener.accept()
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for other in (listener, *running.values()):
                    other.close()
                return become(connection, python, ends_with)
            running[pid] = connection
        if ended in ready:
            os.read(ended, 1 << 12)
            while running:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                with running.pop(pid) as connection, suppress(OSError):  # nobody waits any more
                    connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def become(connection: socket.socket, python: str, ends_with: list[int]) -> None:
    """Be the `python -m` that a connection asks for, and end as it ends."""
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as asked:
        (module, *words), cwd, env = ast.literal_eval(asked.read().decode())
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.executable = python
    sys.path[:0] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[1:] = words
    ends_with.append(1)  # as after an error that nobody catches
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        ends_with[0] = 0
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            ends_with[0] = error.code or 0
        raise


def leave(ends_with: list[int]) -> None:
    """End a fork without tidying up what was imported, which would take longer than to fork."""
    for status in ends_with:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(*sys.argv[1:])
