"""Clips a second and memory of each network without CLIP, at the T and size it was published with.

A step is that of `dfer.training.loop` with AdamW, on random clips that stand in memory; predicting
is a forward pass. Memory is a GPU's peak of a step; of a CPU it is left out.

    python benchmarks/networks.py --batch 16
"""

import argparse
from collections.abc import Iterator
from functools import partial

import measuring
import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.models.method import Method, make
from dfer.settings import TrainSettings, method_settings, methods
from dfer.training.device import device_name, pick_device
from dfer.training.step import Step

CLASSES = 7
MORE = {"i3d": {"size": 112}}  # other than a method's defaults
NETWORKS = {"r3d": ("r3d18", "r2plus1d18")}  # of a method that has several


def variants() -> Iterator[tuple[str, Method]]:
    """Each network under its name, with new weights."""
    for method in methods():
        kind = method_settings(method)
        if not kind.uses_clip:
            for network in NETWORKS.get(method, (None,)):
                own = MORE.get(method, {}) | ({"network": network} if network else {})
                words = [str(n) for n in range(CLASSES)]
                yield network or method, make(kind(**own), {}, words, torch.empty(CLASSES, 0))


def rate(work: partial, clips: Tensor) -> float:
    """Clips a second."""

    def waited() -> None:
        work()
        if clips.is_cuda:
            torch.cuda.synchronize()

    return len(clips) / measuring.seconds(waited)


def train(step: Step, clips: Tensor, labels: Tensor) -> None:
    """A training step."""
    step.model.train()
    step(clips, labels)


def predict(model: Method, clips: Tensor, dtype: torch.dtype) -> None:
    """Logits of clips."""
    with torch.inference_mode(), torch.autocast(clips.device.type, dtype, dtype != torch.float32):
        model.eval()(clips)


def main(args: argparse.Namespace) -> None:
    """Measure, and write the table."""
    device, dtype = pick_device(args.threads), measuring.DTYPES[args.precision]
    measured = []
    for name, network in variants():
        model, settings = network.to(device), network.settings
        shape = (args.batch, settings.frames, 3, settings.size, settings.size)
        clips = torch.rand(shape, device=device)
        labels = torch.arange(args.batch, device=device) % CLASSES
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
        recipe = TrainSettings()
        step = Step(model, optimiser, recipe, lambda clips: clips, dtype, F.cross_entropy)
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

        cases = {
            f"{name}: training": partial(rate, partial(train, step, clips, labels), clips),
            f"{name}: predicting": partial(rate, partial(predict, model, clips, dtype), clips),
        }
        under = {"precision": args.precision, "batch": args.batch, "frames": settings.frames}
        for case, values in measuring.by_turns(cases, args.rounds).items():
            case = f"{case}, {settings.size}²"
            measured.append(measuring.Measured(case, "clips/s", values, **under))
        if device.type == "cuda":
            peak = [torch.cuda.max_memory_allocated() / 1e6]
            measured.append(measuring.Measured(f"{name}: peak of a step", "MB", peak, **under))
    measuring.report(
        "networks", measured, args.out, threads=args.threads, device=device_name(device)
    )


if __name__ == "__main__":
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--batch", type=int, default=1)
    top.add_argument("--precision", choices=measuring.DTYPES, default="fp32")
    top.add_argument("--threads", type=int, default=1)
    top.add_argument("--rounds", type=int, default=1)
    top.add_argument("--out", default="results/benchmarks/networks.parquet")
    main(top.parse_args())
