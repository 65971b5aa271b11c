"""Kill a workflow again and again, in every way that a machine can, and compare what it ends with.

    python tests/chaos.py --kills 60 --seed 1

A small tree (tests/checkout.py: real videos, all stages, a study) is run without interruption; its
bytes are the reference. Then, from empty results, Snakemake is started, killed at a random moment
of a random stage, and started again with the same command, until it comes to its end, where all
bytes must be those of the reference; then from empty results again, until the kills are used up.

After `kill -9` of Snakemake itself `--unlock` is given once, as docs/first-steps.md says.
SIGTERM is followed by SIGKILL after some seconds, as clusters do, because Snakemake may hang on it
(9.27: its handler waits for a lock that its own thread may hold); the report counts how often.
"""

import argparse
import base64
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

from checkout import CONFIG, Checkout, make_release

STUDY = {
    "variant": "full",
    "rounds": 2,
    "width": 1,
    "epochs": 2,
    "space": {"train.lr": {"name": "FloatDistribution", "low": 1e-4, "high": 1e-2, "log": True}},
    "sampler": {"name": "RandomSampler"},
}
SMALL = CONFIG | {
    "datasets": {"mine": CONFIG["datasets"]["mine"] | {"folds": [1]}},
    "train": CONFIG["train"] | {"epochs": 8},
    "tuning": {"lr": STUDY},
}
TARGETS = (
    "results/table1.tex",
    "results/figures/mine/recall.svg",
    "results/mine/tuning/lr/best.yaml",
)
KINDS = {".parquet", ".safetensors", ".tex", ".arrow", ".md", ".svg", ".yaml"}
MODES = {
    "group": "SIGKILL to Snakemake and all its jobs",
    "snakemake": "SIGKILL to Snakemake, whose jobs run on beside those of the next one",
    "stage": "SIGKILL to one job",
    "terminate": "SIGTERM to all, as at a preemption",
    "interrupt": "Ctrl-C",
    "power": "SIGKILL to all, and what was not yet on the disk is torn",
    "disk": "no space left until Snakemake gives up",
}
GRACE = 30  # seconds between SIGTERM and SIGKILL: Slurm's default
PATIENCE = 300  # seconds until a Snakemake that should end is said to hang
POLL = 0.05  # seconds between two looks at what runs
FRESH = 5  # seconds within which bytes may not have reached the disk


@dataclass
class Hit:
    """One kill: how, what ran at that moment, and how long after the start."""

    mode: str
    stages: list[str]
    seconds: float

    def __str__(self) -> str:
        return f"{self.mode} after {self.seconds:.1f} s: {', '.join(self.stages) or 'no job'}"


@dataclass
class Chaos:
    """A tree that is killed, by `modes` in turn; all that is random comes from `seed`."""

    tree: Checkout
    seed: int
    modes: tuple[str, ...] = tuple(MODES)
    targets: tuple[str, ...] = TARGETS
    hits: list[Hit] = field(default_factory=list)
    lives: int = 0
    hung: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.modes = tuple(self.random.sample(self.modes, len(self.modes)))
        self.results = self.tree.folder / "results"
        self.log = self.tree.folder / "chaos.log"
        self.sessions: list[int] = []
        self.plan = stages_of(self.tree, self.targets)
        self.durations = self.watch()  # of each stage's longest job
        self.reference = self.bytes()

    # ── Running ─────────────────────────────────────────────────────────────────────────────────

    def start(self) -> subprocess.Popen:
        """Snakemake in a session of its own, saying what it says to `log`."""
        with self.log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *self.targets, "--cores", "2"],
                cwd=self.tree.folder,
                env=os.environ | {"PYTHONPATH": str(self.tree.folder / "src")},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.sessions.append(process.pid)
        return process

    def watch(self) -> dict[str, float]:
        """One run without interruption; how long the jobs of each stage took at most."""
        first: dict[int, float] = {}
        longest: dict[str, float] = {}
        process = self.start()
        while process.poll() is None:
            now = time.monotonic()
            for job, stage in jobs(process.pid).items():
                taken = now - first.setdefault(job, now)
                longest[stage] = max(longest.get(stage, 0.0), taken)
            time.sleep(POLL)
        self.demand(process.returncode == 0, "an uninterrupted run failed")
        return longest

    def survive(self, kills: int) -> None:
        """Kill so many times, and compare the bytes at the end of each life."""
        while len(self.hits) < kills:
            if not self.attempt():
                self.compare()
                shutil.rmtree(self.results)
        self.finish(self.start())

    def finish(self, process: subprocess.Popen) -> None:
        """Wait for a run that nobody kills, and compare."""
        self.wait(process)
        self.demand(process.returncode == 0, "a run failed that nobody killed")
        self.compare()

    def attempt(self) -> bool:
        """Start, and kill at a random moment; False if the run came to its end before."""
        mode, target = self.modes[len(self.hits) % len(self.modes)], self.target()
        began, process = time.monotonic(), self.start()
        if not self.moment(process, mode, target):
            self.demand(process.returncode == 0, "a run failed that nobody killed")
            return False
        running = jobs(process.pid)
        self.hits.append(Hit(mode, sorted(running.values()), time.monotonic() - began))
        print(f"{len(self.hits):3d} {self.hits[-1]}", flush=True)
        self.kill(process, mode, [job for job, stage in running.items() if stage == target])
        return True

    def target(self) -> str | None:
        """A stage of those with work to do that was hit least often; at times any moment."""
        if self.random.random() < 0.15:
            return None
        folder = self.tree.folder
        todo = {s for s, files in self.plan if not all((folder / f).exists() for f in files)}
        count = self.count()
        fewest = [s for s in sorted(todo) if count[s] == min(count[s] for s in todo)]
        return self.random.choice(fewest) if fewest else None

    def moment(self, process: subprocess.Popen, mode: str, target: str | None) -> bool:
        """Wait for the moment to kill; False if the process ended before it."""
        now = time.monotonic()
        until = now + self.random.uniform(0, 15) if target is None else None
        while process.poll() is None:
            running = jobs(process.pid)
            if until is None and target in running.values():
                until = time.monotonic() + self.random.uniform(0, self.durations[target])
            if until is not None and time.monotonic() >= until and (mode != "stage" or running):
                return True
            time.sleep(POLL)
        return False

    # ── Killing ─────────────────────────────────────────────────────────────────────────────────

    def kill(self, process: subprocess.Popen, mode: str, targets: list[int]) -> None:
        """Kill in one of the `MODES`, and clear up as docs/first-steps.md tells a user to."""
        if mode == "stage":
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(targets or list(jobs(process.pid))), signal.SIGKILL)
        elif mode == "snakemake":
            process.kill()
        elif mode == "disk":
            self.fill_disk(process)
        else:
            signals = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT}
            os.killpg(process.pid, signals.get(mode, signal.SIGKILL))
        if mode == "terminate":
            self.hung += not ended(process, GRACE)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.wait(process)
        if mode == "power":
            self.tear()
        if process.returncode == -signal.SIGKILL:
            self.tree.snakemake("--unlock", *self.targets)

    def fill_disk(self, process: subprocess.Popen) -> None:
        """Leave no byte on the tree's file system until Snakemake has given up."""
        filler = self.tree.folder / "filler"
        while process.poll() is None:
            with suppress(OSError), filler.open("ab", buffering=0) as file:
                while process.poll() is None:
                    file.write(bytes(1 << 20))
            with suppress(OSError), filler.open("ab", buffering=0) as file:
                file.write(bytes(1 << 12))
            time.sleep(0.05)
        filler.unlink()

    def tear(self) -> None:
        """Cut files that were being written, or not synced, at a random length.

        These are parts, states, outputs of jobs that had not ended, and Snakemake's own records,
        which it does not sync.
        """
        own = self.tree.folder / ".snakemake"
        unfinished = [unquote(path) for path in (own / "incomplete").iterdir() if path.is_file()]
        candidates = [
            *self.results.rglob(".*.part"),
            *self.results.rglob("*state.pt"),
            *(file for name in unfinished for file in below(self.tree.folder / name)),
            *(path for path in (own / "metadata").rglob("*") if path.is_file()),
        ]
        for path in candidates:
            if path.exists() and time.time() - path.stat().st_mtime < FRESH:
                os.truncate(path, self.random.randint(0, path.stat().st_size))

    def wait(self, process: subprocess.Popen) -> None:
        if not ended(process, PATIENCE):
            os.killpg(process.pid, signal.SIGKILL)
            self.demand(False, f"Snakemake did not end within {PATIENCE} s")

    # ── Judging ─────────────────────────────────────────────────────────────────────────────────

    def bytes(self) -> dict[str, str]:
        """A digest of every result that must not depend on interruptions."""
        return {
            str(path.relative_to(self.results)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.results.rglob("*"))
            if path.suffix in KINDS and path.is_file()
        }

    def compare(self) -> None:
        """The end of a life: the reference's bytes, and nothing left over."""
        self.lives += 1
        deadline = time.monotonic() + PATIENCE  # jobs that outlived their Snakemake
        while any(jobs(session) for session in self.sessions):
            self.demand(time.monotonic() < deadline, "a job did not end")
            time.sleep(0.1)
        found = self.bytes()
        names = sorted(found.keys() | self.reference.keys())
        other = [name for name in names if found.get(name) != self.reference.get(name)]
        self.demand(not other, f"other bytes than without kills: {', '.join(other)}")
        left = [str(path) for path in self.results.rglob(".*.part")]
        self.demand(not left, f"left over: {', '.join(left)}")

    def count(self) -> Counter[str]:
        """Kills by what ran at their moment."""
        return Counter(stage for hit in self.hits for stage in hit.stages)

    def demand(self, holds: bool, message: str) -> None:
        """Fail with all that is needed to repeat it."""
        if not holds:
            said = self.log.read_text(errors="replace")[-6000:]
            raise AssertionError(f"{message}\n{self.report()}\nSnakemake said:\n…{said}")

    def report(self) -> str:
        """The seed, and where the kills hit."""
        modes = Counter(hit.mode for hit in self.hits)
        lines = [f"seed {self.seed}: {len(self.hits)} kills, {self.lives} lives"]
        lines += [f"  {number:3d} {MODES[mode]}" for mode, number in sorted(modes.items())]
        lines += [f"  {number:3d} in {stage}" for stage, number in sorted(self.count().items())]
        lines += [f"  {sum(not hit.stages for hit in self.hits):3d} between jobs"]
        lines += [f"  {self.hung:3d} times Snakemake hung on SIGTERM"]
        return "\n".join(lines)

    def missed(self) -> list[str]:
        """Stages that no kill hit."""
        return sorted({stage for stage, _ in self.plan} - set(self.count()))


def stages_of(tree: Checkout, targets: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """The jobs of a run from empty results, each as its stage and its output files."""
    done = tree.snakemake("-n", "-p", *targets)
    blocks = re.split(r"\n(?=(?:rule|checkpoint) \w+:\n)", done.stdout + done.stderr)[1:]
    found = []
    for block in blocks:
        outputs = re.search(r"^ +output: (.*)$", block, re.M)
        stages = re.findall(r"python -m dfer\.([\w.]+)", block)
        if outputs and stages:
            found.append((stages[-1], outputs[1].split(", ")))
    return found


def ended(process: subprocess.Popen, seconds: float) -> bool:
    """Whether a process ends within so many seconds."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def jobs(session: int) -> dict[int, str]:
    """Running `python -m dfer.<stage>` of a session: process → stage."""
    found = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):  # it ended meanwhile, or is no process
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                modules = [b for a, b in pairwise(words) if a == "-m"]
                if modules and modules[-1].startswith("dfer."):
                    found[int(folder.name)] = modules[-1].removeprefix("dfer.")
    return found


def unquote(path: Path) -> str:
    """The output that a marker of Snakemake's folder of incomplete files is about."""
    return base64.urlsafe_b64decode(path.name).decode()


def below(path: Path) -> list[Path]:
    """A file, or the files in a folder."""
    return [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]


@contextmanager
def small_disk(megabytes: int = 400) -> Iterator[Path | None]:
    """The folder of a file system of its own in memory; None where that is not allowed."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
        allowed = shutil.which("mount") and subprocess.run(command, capture_output=True)
        if not allowed or allowed.returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def prepare(folder: Path, **how: Any) -> Chaos:
    """A tree in `folder`, run once; `how` as of `Chaos`."""
    tree = Checkout(folder, SMALL)
    make_release(folder / "release")
    (folder / "results/README.md").unlink(missing_ok=True)
    return Chaos(tree, **how)


def main(args: argparse.Namespace) -> None:
    """Kill, and print where it hit; exit status 1 if a byte differs or a stage was never hit."""
    with small_disk() as disk, tempfile.TemporaryDirectory() as folder:
        modes = tuple(MODES)
        if disk is None:
            modes = tuple(mode for mode in modes if mode != "disk")
            print("no full disks: mounting a file system in memory is not allowed here")
        chaos = prepare(disk or Path(folder), seed=args.seed, modes=modes)
        chaos.survive(args.kills)
        print(chaos.report())
        if missed := chaos.missed():
            sys.exit(f"never hit: {', '.join(missed)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000))
    main(parser.parse_args())
