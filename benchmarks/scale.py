"""What Snakemake takes to plan and to find nothing to do, at the size of the paper and above.

    python benchmarks/scale.py
    python benchmarks/scale.py --clips 100000 --real

Cases, each seconds of a clock, seconds of processor time (which a busy machine changes less) and
the peak of memory:

- an empty workflow: what Snakemake takes to start, the floor of all others;
- one job of this workflow: the same with our rules read;
- nothing to do: two variants on a fold of a release of `--clips` clips, tables 1 and 2;
- nothing to do in a whole study: the paper's own variants, 5 folds, 3 seeds on that release;
- a dry run of the paper: config/paper.yaml, tables and figures, 1,101 jobs, releases of the
  official size.

The release is real (each clip a folder with one small JPEG) and so is its manifest; all else is
empty files, marked as complete by `snakemake --touch`. With `--real` the clip store, trainings,
evaluations and tables are made, then one clip is added and all that follows from it made again:
at 100,000 clips that takes some ten minutes. Memory is the peak of the largest single process; a
training's has in it the pages of the clip store that it has mapped, which processes share and the
system takes back.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import yaml
from measuring import Measured, by_turns, report

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from checkout import CLASSES, CONFIG, Checkout  # noqa: E402
from releases import paper_tree  # noqa: E402

from dfer.why import RULE  # noqa: E402

FOLD = 600  # clips of each of the five folds that are used; all others are in a sixth
TARGETS = ("results/table1.tex", "results/table2.tex")
WHOLE = [f"results/table{number}.tex" for number in range(1, 6)]
PAPER = ("-n", "tables", "figures", "--configfile", "config/paper.yaml")


def make_release(root: Path, clips: int) -> None:
    """Folders with one 32² JPEG each, and their labels.csv; one image serves 1,000 clips."""
    rng = np.random.default_rng(0)
    rows = ["clip,path,label,fold,split"]
    for number in range(clips):
        if number % 1000 == 0:
            image = root / f"{number // 1000:03d}.jpg"
            root.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(image), rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        folder = f"clips/{number // 1000:03d}/{number:06d}"
        (root / folder).mkdir(parents=True)
        os.link(image, root / folder / "0.jpg")
        rows.append(row(number, folder))
    (root / "labels.csv").write_text("\n".join(rows) + "\n")


def row(number: int, folder: str) -> str:
    """A line of labels.csv: classes by turns, one clip in five in test."""
    label = list(CLASSES)[number % len(CLASSES)]
    split = "test" if number // len(CLASSES) % 5 == 0 else "train"
    return f"c{number:06d},{folder},{label},{min(number // FOLD, 5) + 1},{split}"


def configurations() -> tuple[dict, dict]:
    """Two variants on a fold, and the whole study: the paper's variants, 5 folds, 3 seeds."""
    mine = CONFIG["datasets"]["mine"] | {"source": "crops", "shards": 64, "folds": [1]}
    two = CONFIG | {"datasets": {"mine": mine}}
    paper = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    on = {name: own for name, own in paper["variants"].items() if own.get("enabled", True)}
    whole = two | {key: paper[key] for key in ("seeds", "model")} | {"variants": on}
    return two, whole | {"datasets": {"mine": mine | {"folds": [1, 2, 3, 4, 5]}}}


class Bench:
    """Runs of Snakemake, and what each took."""

    def __init__(self) -> None:
        self.taken: dict[str, list[tuple[float, float, float]]] = {}  # case → s, CPU s, MB

    def snakemake(self, case: str, folder: Path, *words: str) -> str:
        """Run it in a folder and return what it printed."""
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{case} failed:\n{said}")
        seconds = time.perf_counter() - began
        taken = seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
        self.taken.setdefault(case, []).append(taken)
        return said

    def seconds(self, case: str, folder: Path, *words: str) -> float:
        """Run it, as a case of `by_turns`."""
        self.snakemake(case, folder, *words)
        return self.taken[case][-1][0]

    def measured(self, rounds: int) -> list[Measured]:
        """The last `rounds` runs of each case: those before warmed up."""
        units = ("s", "s of processor time", "MB")
        return [
            Measured(case, unit, list(values))
            for case, taken in self.taken.items()
            for unit, values in zip(units, zip(*taken[-rounds:], strict=True), strict=True)
        ]


def complete(tree: Checkout, config: dict, targets: list[str] | tuple[str, ...]) -> None:
    """Make the files of a dry run that are not there, empty, and mark all as complete."""
    tree.configure(config)
    said = tree.snakemake("-n", *targets).stdout
    for outputs in re.findall(r"^ +output: (.*)$", said, re.M):
        for name in outputs.split(", "):
            path = tree.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    tree.snakemake("--touch", *targets)


def for_real(bench: Bench, folder: Path) -> None:
    """Everything made, then once more with one more clip."""
    bench.snakemake("first run", folder, *TARGETS)
    sizes = [pq.read_metadata(p).num_rows for p in (folder / "results/mine/shards").iterdir()]
    print(f"shards: {min(sizes)} to {max(sizes)} clips")
    (folder / "release/clips/new").mkdir()
    os.link(folder / "release/000.jpg", folder / "release/clips/new/0.jpg")
    with (folder / "release/labels.csv").open("a") as file:
        file.write(row(0, "clips/new").replace("c000000", "new") + "\n")
    bench.snakemake("dry run, one clip more", folder, "-n", *TARGETS)
    said = bench.snakemake("one clip more", folder, *TARGETS)
    print("one clip more:", dict(Counter(RULE.findall(said))))


def main(args: argparse.Namespace) -> None:
    """Measure and write the table."""
    two, whole = configurations()
    bench = Bench()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        empty = folder / "empty"
        empty.mkdir()
        (empty / "Snakefile").write_text("rule all:\n    input: []\n")
        paper = paper_tree(folder / "paper").folder
        trees = {}
        make_release(folder / "release", args.clips)
        for case, config, targets in (("two", two, TARGETS), ("whole", whole, WHOLE)):
            trees[case] = tree = Checkout(folder / case, config)
            (tree.folder / "release").symlink_to(folder / "release")
            tree.snakemake("results/mine/manifest.parquet")
            complete(tree, config, targets)
        runs = {
            "an empty workflow": (empty, "-n"),
            "one job of this workflow": (trees["two"].folder, "-n", "--force", "results/flops.txt"),
            f"nothing to do, {args.clips} clips": (trees["two"].folder, *TARGETS),
            f"nothing to do in a whole study, {args.clips} clips": (trees["whole"].folder, *WHOLE),
            "dry run of the paper": (paper, *PAPER),
        }
        by_turns(
            {case: partial(bench.seconds, case, *run) for case, run in runs.items()}, args.rounds
        )
        if args.real:
            tree = Checkout(folder / "real", two)
            make_release(tree.folder / "release", args.clips)
            for_real(bench, tree.folder)
    report("scale", bench.measured(args.rounds), args.out, threads=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=4000, help="of the release, more than 3,000")
    parser.add_argument("--real", action="store_true", help="run all jobs, too")
    parser.add_argument("--folder", type=Path, help="where trees are made (at 100,000 about 1 GB)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default="results/benchmarks/scale.parquet")
    main(parser.parse_args())
