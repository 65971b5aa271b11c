"""A page in the browser: trained runs on videos of one's own, and what stands behind the tables.

    dfer app --run results/demo/runs/<settings>/fold1-seed0

It answers this machine alone (`--host`), sends nothing to anybody and keeps no video
(docs/app.md).
"""

import argparse
import os
import tempfile
from pathlib import Path

from dfer.arguments import positive
from dfer.errors import UserError, stage

INSTALL = "pip install -e '.[app]'"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add(
        "--run",
        action="append",
        required=True,
        help="a trained run: its folder, a folder or zip of `dfer export`, or user/name; given "
        "again, the page lets one choose",
    )
    add("--results", type=Path, default=Path("results"), help="folder of the workflow's results")
    add("--host", default="127.0.0.1", help="address to answer at; 0.0.0.0: the whole network")
    add("--port", type=int, default=7860, help="port to answer at")
    add("--max-megabytes", type=int, default=200, help="size of a video, at most")
    add("--max-seconds", type=float, default=60.0, help="length of a video, at most")
    add("--timeout", type=float, default=300.0, help="seconds of work on a video, at most")
    add("--threads", type=positive, default=1, help="threads to compute with")
    return top


def main(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UserError: Gradio is missing, there is no such run, or the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="dfer-app-", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder  # of faces that are cut out, too
        # Gradio reads these when it is imported, and asks its own server whether it has started,
        # which no proxy can tell.
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
        direct = [os.environ.get("no_proxy"), "127.0.0.1", "localhost", args.host]
        os.environ |= dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(filter(None, direct)))
        try:
            import gradio  # noqa: F401
        except ModuleNotFoundError as error:
            raise UserError(f"the page needs Gradio ({error}). Install it: {INSTALL}") from None
        from dfer.app.job import Kept, Limits
        from dfer.app.server import build, serve
        from dfer.predict.api import load

        models = [load(run, threads=args.threads) for run in args.run]
        limits = Limits(args.max_megabytes, args.max_seconds, args.timeout)
        page = build(models, args.results, limits, Kept(Path(folder)))
        serve(page, args.max_megabytes, args.host, args.port)


if __name__ == "__main__":
    stage(main, parser())
