"""What stages cost before they work: core-seconds of `--help`, and of importing large libraries.

Every job is a Python of its own, so its imports are paid some sixty times in the demo. A stage that
is asked for `--help` has imported what it needs in every case; what only some settings need, and
what torch imports for the first optimiser (torch._dynamo), comes on top. Core-seconds are user and
system time of the process, which other work on the machine changes less than wall time.

    python benchmarks/startup.py --rounds 5
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from measuring import Measured, by_turns, report

STAGES = (  # of `make table1`
    *("demo.face_model", "demo.render", "demo.pretrain"),
    *("prepare.manifest", "prepare.align", "prepare.extract", "prepare.splits"),
    *("training.text", "training.train", "training.evaluate"),
    *("tables.summary", "tables.table"),
)
LIBRARIES = (
    *("numpy", "pandas", "pyarrow.parquet", "cv2", "numba"),
    *("torch", "torch._dynamo", "open_clip", "sklearn.metrics"),
)


def core_seconds(*words: str) -> Callable[[], float]:
    """A function that runs Python with these words and returns what that took."""

    def measure() -> float:
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"python {' '.join(words)} failed")
        return used.ru_utime + used.ru_stime

    return measure


def main(args: argparse.Namespace) -> None:
    """Measure by turns and report."""
    cases = {"python alone": core_seconds("-c", "")}
    cases |= {f"import {name}": core_seconds("-c", f"import {name}") for name in LIBRARIES}
    cases |= {
        f"dfer.{name} --help": core_seconds("-m", f"dfer.{name}", "--help") for name in STAGES
    }
    values = by_turns(cases, args.rounds)
    measured = [Measured(case, "core-s", times) for case, times in values.items()]
    report("startup", measured, args.out, threads=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/startup.parquet"))
    main(parser.parse_args())
