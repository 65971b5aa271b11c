"""What the embedded demo costs from nothing to Table 1: core-seconds of each stage, and wall time.

Real: Snakemake with so many cores in a copy of this checkout, every job of it, the download of the
face model too. Core-seconds are user and system time of a job with all its processes, as its shell
tells them when it ends; other work on the machine changes them less than it changes the wall time.
What is left of Snakemake's own time is planning, scheduling and the books that it keeps.

    python benchmarks/demo.py                                          the demo made small
    python benchmarks/demo.py --configfile config/config.yaml          `make table1`: minutes
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pandas as pd
from measuring import Measured, report

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from checkout import Checkout  # noqa: E402

TARGET = "results/table1.tex"
# Bash reads this file before a job's command: at the end, one entry of what was run and `times`.
NOTE = """trap '{ printf "\\n# %s\\n" "${BASH_EXECUTION_STRING@Q}"; times; } >> "$NOTES"' EXIT
"""
STAGE = re.compile(r"python -m (dfer\.(?!dag\.)[\w.]+)((?: [a-z]+)?)")
CPU = re.compile(r"(\d+)m([\d.]+)s")


def core_seconds(notes: str) -> dict[str, list[float]]:
    """Stage (module and subcommand) → user and system time of each of its jobs, in seconds."""
    found: dict[str, list[float]] = defaultdict(list)
    for entry in notes.split("\n# ")[1:]:
        command, times = entry.split("\n", 1)
        if stage := STAGE.search(command):
            spent = [60 * int(m) + float(s) for m, s in CPU.findall(times)]
            found["".join(stage.groups())].append(sum(spent))
    return dict(found)


def main(args: argparse.Namespace) -> None:
    """Run, then report each stage, Snakemake, the sum, the wall time and the table's values."""
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        tree = Checkout(Path(folder), config=None)
        note, notes = Path(folder) / "note.sh", Path(folder) / "notes"
        note.write_text(NOTE)
        command = [sys.executable, "-m", "snakemake", "--cores", str(args.cores), TARGET]
        env = {"PYTHONPATH": str(tree.folder / "src"), "BASH_ENV": str(note), "NOTES": str(notes)}
        began = time.perf_counter()
        done = subprocess.run(
            [*command, "--configfile", args.configfile],
            cwd=tree.folder,
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=False,
        )
        wall = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{TARGET} was not made:\n{done.stdout}\n{done.stderr}")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        total = used.ru_utime + used.ru_stime
        stages = core_seconds(notes.read_text())
        table = pd.read_parquet(tree.folder / "results/table1.parquet")
    jobs = sum(map(sum, stages.values()))
    measured = [
        Measured(f"{name}, {len(spent)} jobs", "core-s", [sum(spent)])
        for name, spent in sorted(stages.items(), key=lambda item: -sum(item[1]))
    ]
    measured += [
        Measured("Snakemake itself", "core-s", [total - jobs]),
        Measured("all", "core-s", [total]),
        Measured(f"wall time on {args.cores} cores", "s", [wall]),
    ]
    rows = table[(table.source == "measured") & table.metric.isin(["UAR", "WAR"])]
    measured += [
        Measured(f"{row.method}: {row.metric}", "%", [row.value]) for row in rows.itertuples()
    ]
    report("demo", measured, args.out, threads=args.cores)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", default="config/test.yaml", help="in this checkout")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the copy is made")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/demo.parquet"))
    main(parser.parse_args())
