"""A release of 100,000 clips: what Snakemake takes to plan, to find nothing to do, to add one.

Real: the release (each clip a folder with one small JPEG), its manifest, all 64 shards of the clip
store, a training and an evaluation of two variants on a fold of 600 clips, and the table; then one
more clip, and all that follows from it. The plan of the whole study (11 variants, 5 folds, 3 seeds)
is a dry run. Not real: for the run of the whole study that finds nothing to do, files that were not
made above are empty and marked as complete (`snakemake --touch`).

    python benchmarks/scale.py --clips 100000

Memory is the peak of the largest single process, Snakemake's or a stage's. A training's has in it
the pages of the clip store that it has mapped, which processes share and the system takes back.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from checkout import CLASSES, CONFIG, Checkout  # noqa: E402

from dfer.why import RULE  # noqa: E402

FOLD = 600  # clips of each of the five folds that are used; all others are in a sixth
TARGETS = ("results/table1.tex", "results/table2.tex")
WHOLE = [f"results/table{number}.tex" for number in range(1, 6)]


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
    """What is run, and the whole study: the paper's variants, five folds, three seeds."""
    mine = CONFIG["datasets"]["mine"] | {"source": "crops", "shards": 64, "folds": [1]}
    run = CONFIG | {"datasets": {"mine": mine}}
    paper = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    whole = run | {key: paper[key] for key in ("variants", "seeds", "model")}
    return run, whole | {"datasets": {"mine": mine | {"folds": [1, 2, 3, 4, 5]}}}


class Bench:
    """A checkout in which Snakemake is timed."""

    def __init__(self, folder: Path, clips: int) -> None:
        self.tree = Checkout(folder)
        self.result: dict[str, object] = {"clips": clips}

    def snakemake(self, name: str, config: dict, *words: str) -> str:
        """Run, note time, peak memory and jobs under `name`, and return what it said."""
        self.tree.configure(config)
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *words],
            cwd=self.tree.folder,
            env=os.environ | {"PYTHONPATH": str(self.tree.folder / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{name} failed:\n{said}")
        jobs = Counter(RULE.findall(said))
        self.result[name] = {
            "seconds": round(time.perf_counter() - began, 1),
            "peak_mb": round(used.ru_maxrss / 1024),
            "jobs": dict(jobs),
        }
        print(name, json.dumps(self.result[name]), flush=True)
        return said

    def complete(self, said: str) -> None:
        """Make the files of a dry run that are not there, empty."""
        for outputs in re.findall(r"^ +output: (.*)$", said, re.M):
            for name in outputs.split(", "):
                path = self.tree.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()


def balance(folder: Path) -> dict[str, float]:
    """Clips of the smallest and the largest shard, relative to the mean, in percent."""
    sizes = np.array([pq.read_metadata(path).num_rows for path in folder.glob("*.parquet")])
    smallest, largest = (np.array([sizes.min(), sizes.max()]) / sizes.mean() - 1) * 100
    return {"shards": len(sizes), "smallest": round(smallest, 1), "largest": round(largest, 1)}


def main(args: argparse.Namespace) -> None:
    """Measure, step by step, and print one JSON line a step."""
    run, whole = configurations()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        bench = Bench(Path(folder), args.clips)
        make_release(Path(folder) / "release", args.clips)
        bench.snakemake("dry run of the whole study, no manifest yet", whole, "-n", *WHOLE)
        bench.snakemake("first run", run, *TARGETS)
        bench.snakemake("nothing to do", run, *TARGETS)
        print("balance (%)", json.dumps(balance(Path(folder) / "results/mine/shards")), flush=True)

        image = Path(folder) / "release/000.jpg"
        (Path(folder) / "release/clips/new").mkdir()
        os.link(image, Path(folder) / "release/clips/new/0.jpg")
        with (Path(folder) / "release/labels.csv").open("a") as file:
            file.write(row(0, "clips/new").replace("c000000", "new") + "\n")
        bench.snakemake("dry run, one clip more", run, "-n", *TARGETS)
        bench.snakemake("one clip more", run, *TARGETS)

        said = bench.snakemake("dry run of the whole study", whole, "-n", *WHOLE)
        bench.complete(said)
        bench.snakemake("marking the whole study as complete", whole, "--touch", *WHOLE)
        bench.snakemake("nothing to do in the whole study", whole, *WHOLE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the tree is made (about 1 GB)")
    main(parser.parse_args())
