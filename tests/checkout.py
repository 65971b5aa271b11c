"""A fresh copy of this checkout with a small release of real videos, to run Snakemake in."""

import csv
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import yaml
from forks import FORKS, PYTHON
from skimage import data

from dfer.why import RULE, planned

ROOT = Path(__file__).parents[1]
CLASSES = {"happy": "happiness", "sad": "sadness", "fear": "fear"}
CONFIG = {
    "datasets": {
        "mine": {
            "title": "Mine",
            "synthetic": True,
            "layout": "csv",
            "root": "release",
            "source": "video",
            "shards": 2,
            "folds": [1, 2],
            "classes": CLASSES,
            "landmarks": {"backend": "dlib", "every": 4},
        }
    },
    "variants": {
        "baseline": {"model": {"interfit": False, "aggregation": "mean", "blocks": 0}},
        "full": {},
    },
    "seeds": [0],
    "backbone": {"model": "config/backbone/tiny.json", "weights": None},
    "model": {"blocks": 1},
    "train": {"epochs": 2, "batch": 8, "lr": 1e-3, "min_lr": 1e-5, "warmup_epochs": 1},
}

COMPLETE = CONFIG | {  # what all tables, all figures and a study need
    "variants": CONFIG["variants"]
    | {
        "without_text": {"model": {"blocks": 0, "head": "linear"}},
        "m3": {"model": {"blocks": 3}},
        "text_prompt": {"model": {"interfit": False, "aggregation": "mean", "prompts": "text"}},
        "both_prompts": {"model": {"interfit": False, "aggregation": "mean"}},
    },
    "tuning": {
        "lr": {
            "variant": "m3",
            "rounds": 2,
            "width": 1,
            "space": {
                "train.lr": {"name": "FloatDistribution", "low": 1e-4, "high": 1e-2, "log": True}
            },
        }
    },
}


class Checkout:
    """The copy: run Snakemake in it, edit files, ask what would rerun."""

    def __init__(self, folder: Path, config: dict | None = CONFIG) -> None:
        """Copy the files that git tracks or would; `config` replaces the default configuration."""
        self.folder = folder
        command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file() and not name.startswith("tests/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        if config is not None:
            self.configure(config)

    @classmethod
    def at(cls, folder: Path) -> "Checkout":
        """A copy that was made before."""
        found = object.__new__(cls)
        found.folder = folder
        return found

    def copy(self, folder: Path) -> "Checkout":
        """The same checkout elsewhere, as far as it has come."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Checkout.at(folder)

    @contextmanager
    def editing(self) -> Iterator[Callable[[str, Callable[[str], str]], None]]:
        """A function that changes files of the copy by name; they are put back afterwards."""
        saved = {}

        def change(name: str, function: Callable[[str], str]) -> None:
            path = self.folder / name
            saved.setdefault(path, (path.read_bytes(), path.stat()))
            path.write_text(function(path.read_text(encoding="utf-8")), encoding="utf-8")

        try:
            yield change
        finally:
            for path, (content, stat) in saved.items():
                path.write_bytes(content)
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def configure(self, config: dict) -> None:
        """Write `config` as the copy's default configuration."""
        text = yaml.safe_dump(config, sort_keys=False)
        (self.folder / "config/config.yaml").write_text(text)

    def snakemake(self, *words: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run Snakemake in the copy, on its own code, and return what it printed."""
        FORKS.start("snakemake", "stages")
        return self._snakemake(*words, check=check)

    def jobs(self, *targets: str) -> dict[str, str]:
        """What a dry run would do: "rule value value …" of each job → its reason."""
        FORKS.start("snakemake")
        done = self._snakemake("-n", *targets, check=True)
        return {str(job): job.reason for job in planned(done.stdout + done.stderr)}

    def _snakemake(self, *words: str, check: bool) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [PYTHON, "-m", "snakemake", *words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return _checked(done) if check else done

    def environment(self) -> dict[str, str]:
        """The environment in which the copy's own code is run."""
        return os.environ | {"PYTHONPATH": str(self.folder / "src")}


def _checked(done: subprocess.CompletedProcess) -> subprocess.CompletedProcess:
    """What came of a run of Snakemake that must not fail."""
    if done.returncode:
        raise AssertionError(f"{done.args}:\n{done.stdout}\n{done.stderr}")
    return done


def ran(done: subprocess.CompletedProcess) -> Counter[str]:
    """Kinds of jobs of a real run, with the number of each."""
    return Counter(RULE.findall(done.stdout + done.stderr))


def make_release(root: Path, clips: int = 24, frames: int = 8) -> None:
    """A release of the `csv` layout in three folds: a face in motion, its tint the class."""
    photo = data.astronaut()[0:240, 110:350]
    tints = np.array([(1.2, 0.8, 0.8), (0.8, 1.2, 0.8), (0.8, 0.8, 1.2)])
    rng = np.random.default_rng(0)
    rows = []
    for number in range(clips):
        name, label = f"c{number:02d}", list(CLASSES)[number % 3]
        write_video(
            root / f"videos/{name}.mp4",
            [
                np.clip(moved * tints[number % 3], 0, 255).astype(np.uint8)
                for moved in (_shift(photo, rng.uniform(-4, 4, 2)) for _ in range(frames))
            ],
        )
        rows.append((name, f"videos/{name}.mp4", label, number // 3 % 3 + 1))
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("clip", "path", "label", "fold"), *rows])


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    """An H.264 file of RGB frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        file.mux(stream.encode())


def _shift(image: np.ndarray, by: np.ndarray) -> np.ndarray:
    matrix = np.float32([[1, 0, by[0]], [0, 1, by[1]]])
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
