"""Dry runs of Snakemake without its imports, which are half of one.

A process that has imported Snakemake, and nothing of ours, forks for each call. The fork has the
arguments, folder, environment and import path of `python -m snakemake`, and runs the same module:
what is planned, and why, is Snakemake's own decision.
"""

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

PRELOADED = (
    # what Snakemake imports, at once or on its way
    *("snakemake.cli", "snakemake.executors.local", "snakemake.profiles"),
    *("snakemake.report.html_reporter", "smart_open"),
    # what our rules import of others
    *("jsonschema", "optuna.distributions", "pandas", "pyarrow.parquet"),
)


class Planner:
    """The process; it starts with the first call, and ends with the one that called."""

    def __init__(self) -> None:
        self._server: subprocess.Popen | None = None

    def snakemake(self, *words: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
        """Run `python -m snakemake` with these words; what it printed is text."""
        if self._server is None:
            command = [sys.executable, "-P", __file__]
            own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            self._server = subprocess.Popen(command, env=own, stdin=-1, stdout=-1, text=True)
            atexit.register(self._server.communicate)  # it ends as its stdin does
        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder, name)) for name in ("stdout", "stderr")]
            print(json.dumps([words, str(cwd), env, files]), file=self._server.stdin, flush=True)
            status = int(self._server.stdout.readline())
            printed = [Path(file).read_text(encoding="utf-8") for file in files]
        return subprocess.CompletedProcess(words, status, *printed)


def serve() -> None:
    """Fork for each line of JSON on stdin; answer with the exit status."""
    for module in PRELOADED:
        import_module(module)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            become(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def become(words: list[str], cwd: str, env: dict[str, str], files: list[str]) -> None:
    """Be `python -m snakemake`, and end as it ends."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[1:] = words
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    serve()
