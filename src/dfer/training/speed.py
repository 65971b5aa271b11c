"""How fast a variant trains and predicts on this machine, and in how much memory.

    python -m dfer.training.speed --classes '{"happy": "happiness", "sad": "sadness"}'
        --splits splits/1.parquet --fold 1 --store store/*.arrow --text text.safetensors
        --settings '{"model": {"blocks": 2}}' --seed 0 --out speed.json

Some batches of the fold's train clips are predicted, and then trained on, over and over as a real
training would: the same loader, augmentation, batch, optimiser and stages. The first pass warms up;
the median of the others counts. Nothing that is trained here is kept.

The memory is the process's peak so far (torch and the loader's batches included; on a GPU what
torch allocated there). What comes out is a measurement: it differs from machine to machine, and a
little from time to time, so no result depends on it.
"""

import argparse
import dataclasses
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from dfer.clips.loader import EvaluationClips, TrainClips
from dfer.clips.store import ClipStore
from dfer.errors import stage
from dfer.files import write_text
from dfer.models.backbone import normaliser
from dfer.models.method import build, pixels
from dfer.settings import RunSettings, TrainSettings
from dfer.training.device import loader_workers, machine, pick_device, precision
from dfer.training.inference import logits_of
from dfer.training.loop import train
from dfer.training.text import read_features
from dfer.training.train import read_clips

BATCHES = 4  # of a pass
PREDICTED = 32  # clips of a batch that is predicted, as in `dfer.training.evaluate`
PASSES = 1000  # more than there is time for
MB = 1e6


class Clock:
    """Seconds of each pass but the first, until there are `least` of them and `enough` seconds."""

    def __init__(self, enough: float, least: int = 2):
        self.enough, self.least = enough, least
        self.ticks: list[float] = []

    def __call__(self, _: Any = None) -> bool:
        """A pass begins, or would: True if there were enough."""
        self.ticks.append(time.perf_counter())
        passes = self.passes
        return len(passes) >= self.least and sum(passes) >= self.enough

    @property
    def passes(self) -> list[float]:
        """How long they took."""
        return [b - a for a, b in zip(self.ticks[1:], self.ticks[2:], strict=False)]


def measure(
    settings: RunSettings,
    data: TrainClips,
    words: Sequence[str],
    text: Tensor,
    *,
    device: torch.device,
    workers: int,
    seconds: float,
) -> dict[str, float | None]:
    """Clips a second and peaks of memory in MB, of predicting and of training.

    Args:
        data: the clips of a pass.
        words, text: the class words and their features, (#class, D).
        seconds: to measure for, of predicting and of each stage of training.
    """
    model = build(settings.model, settings.backbone, words, text).to(device)
    normalise = normaliser(pixels(settings.model, settings.backbone), device)
    dtype = precision(settings.train, model.width, device)
    view = {"frames": data.frames, "size": data.size, "sampler": data.sampler}
    seen = EvaluationClips(data.store, data.clips, data.labels, **view)
    clock = Clock(seconds)
    while not clock():
        logits_of(model, seen, normalise, dtype, batch=PREDICTED, workers=workers)
    found: dict[str, float | None] = {
        "predicted_per_second": len(seen) / median(clock.passes),
        "predicting_mb": peak_memory(device),
        "trained_per_second": None,
        "training_mb": None,
    }
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return found
    del model
    clips = took = 0.0
    for recipe in stages_of(settings.train):
        clock = Clock(seconds)
        with tempfile.TemporaryDirectory() as folder:
            train(
                dataclasses.replace(settings, train=timed(recipe)),
                data,
                None,
                words,
                text,
                Path(folder) / "state.pt",
                fingerprint="",
                seed=0,
                device=device,
                workers=workers,
                stop=clock,
            )
        clips += recipe.epochs * len(data.clips)
        took += recipe.epochs * median(clock.passes)
    return found | {"trained_per_second": clips / took, "training_mb": peak_memory(device)}


def stages_of(recipe: TrainSettings) -> list[TrainSettings]:
    """The recipes of the stages of a training, one where it has none."""
    first, found = 0, []
    while first < recipe.epochs:
        own, _ = recipe.stage(first)
        found.append(own)
        first += own.epochs
    return found


def timed(recipe: TrainSettings) -> TrainSettings:
    """A recipe that takes the same time and learns next to nothing, so that it cannot diverge.

    The few clips that are timed may lack a class, so they have no prior.
    """
    changes = {"epochs": PASSES, "warmup_epochs": 0, "checkpoint": "last", "prior": 0.0}
    return dataclasses.replace(recipe, **changes, lr=1e-6, min_lr=0.0, part_lr={})


def peak_memory(device: torch.device) -> float | None:
    """MB: what torch has allocated on a GPU at most; the process's resident memory at its peak."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MB
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return None
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.M)
    return int(found[1]) * 1024 / MB if found else None


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add("--splits", required=True, help="clips of a fold (dfer.prepare.splits)")
    add("--fold", type=int, required=True, help="number of the fold")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--text", help="features of the class words (dfer.training.text); of methods on CLIP")
    add("--settings", required=True, help="JSON: settings of a run")
    add("--seed", type=int, required=True, help="seed of all that is drawn")
    add("--threads", type=int, default=1, help="threads to compute with")
    add("--seconds", type=float, default=5.0, help="how long to measure predicting and each stage")
    add("--out", type=Path, required=True, help="output (JSON: clips a second, memory, machine)")
    return top


def main(args: argparse.Namespace) -> None:
    """Measure, and print."""
    device = pick_device(args.threads)
    settings = RunSettings.from_dict(json.loads(args.settings))
    words = json.loads(args.classes)
    classes, store = list(words), ClipStore(args.store)
    data, _ = read_clips(
        args.splits, store, settings, classes=classes, fold=args.fold, seed=args.seed
    )
    some = slice(BATCHES * settings.train.batch)
    data.clips, data.labels = data.clips[some], data.labels[some]
    found = measure(
        settings,
        data,
        list(words.values()),
        read_features(args.text, len(classes)),
        device=device,
        workers=loader_workers(device, args.threads),
        seconds=args.seconds,
    )
    record = {"run": settings.key, **found, "environment": machine(settings, device, args.threads)}
    write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False), args.out)
    print(json.dumps(found))


if __name__ == "__main__":
    stage(main, parser())
