"""Does loading hold up the training step? Which of the two binds with so many cores?

Trains a model on clips from the store beside the same steps on a batch that is in memory already:
the ratio is what loading leaves of the step's rate. On a CPU the training thread loads between two
steps, so that their times add up; on a GPU all cores but one decode while it computes, and the
slower of the two binds. A second ratio is to what these allow: less than all of it is a stall. The
small model is that of the demo, the large one ViT-B/32.

For a machine that is not at hand, `--clips-per-second` gives the rate of its step (that of
train_step.py there) and `--cores` its cores: from what one core decodes here follows what binds.

    python benchmarks/end_to_end.py --clips-per-second 1400 --cores 8
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from loader import CLIPS, write_clips
from measuring import Measured, by_turns, ratio, report
from torch import Tensor
from torch.utils.data import DataLoader

from dfer.clips.loader import DecodedBatches, EpochBatches, TrainClips, train_batches
from dfer.clips.store import ClipStore
from dfer.models.backbone import normaliser, vision_config
from dfer.models.recogniser import Recogniser
from dfer.settings import ModelSettings, TrainSettings
from dfer.training.device import device_name, loader_workers, pick_device, precision
from dfer.training.optimiser import parameter_groups
from dfer.training.step import Step

CLASSES = 7
MODELS = {"small": "config/backbone/demo.json", "ViT-B/32": "ViT-B-32-quickgelu"}
Batch = tuple[Tensor, Tensor]


def training_step(model: Recogniser, device: torch.device) -> Step:
    """The step of `dfer.training.loop`, on clips (B, T, 3, H, W) uint8 and labels (B,)."""
    settings = TrainSettings(lr=1e-6)
    optimiser = torch.optim.AdamW(parameter_groups(model, settings), fused=True)
    normalise = normaliser(((0.5,) * 3, (0.25,) * 3), device)
    dtype = precision(settings, model.width, device)
    return Step(model, optimiser, settings, normalise, dtype, F.cross_entropy)


def rate(
    step: Callable[[Tensor, Tensor], object],
    batches: Callable[[], Batch],
    lasting: float,
    device: torch.device,
) -> float:
    """Clips a second of steps for at least `lasting` seconds."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    clips, began = 0, time.perf_counter()
    while time.perf_counter() - began < lasting:
        frames, labels = batches()
        step(frames, labels)
        clips += len(labels)
    wait()
    return clips / (time.perf_counter() - began)


def decoding(data: TrainClips, batch: int) -> float:
    """Clips a second that one core decodes for a GPU."""
    order = EpochBatches(CLIPS, batch, first=0, last=1, seed=0)
    began = time.perf_counter()
    for _ in DataLoader(DecodedBatches(data), sampler=order, batch_size=None):
        pass
    return CLIPS / (time.perf_counter() - began)


def cases_of(
    name: str, store: ClipStore, args: argparse.Namespace, device: torch.device
) -> dict[str, Callable[[], float]]:
    """Training, its step alone, loading alone, and decoding for a GPU, of one model."""
    vision, settings = vision_config(MODELS[name]), ModelSettings(frames=args.frames)
    torch.manual_seed(0)
    model = Recogniser(settings, vision, torch.randn(CLASSES, vision.embed_dim)).to(device)
    data = clips_of(store, vision.image_size, args.frames)
    order = EpochBatches(CLIPS, args.batch, first=0, last=10**6, seed=0)
    stream = train_batches(data, order, device, loader_workers(device, args.threads))
    step, ready = training_step(model, device), next(stream)
    run = partial(rate, step, lasting=args.seconds, device=device)
    return {
        f"{name}: training": lambda: run(batches=lambda: next(stream)),
        f"{name}: step alone": lambda: run(batches=lambda: ready),
        f"{name}: loading alone": lambda: rate(
            lambda *_: None, lambda: next(stream), args.seconds, device
        ),
        f"{name}: decoding on one core": lambda: decoding(data, args.batch),
    }


def clips_of(store: ClipStore, size: int, frames: int) -> TrainClips:
    """Training clips with the default augmentation."""
    augment, labels = TrainSettings().augment, [k % CLASSES for k in range(CLIPS)]
    return TrainClips(store, store.clips, labels, frames=frames, size=size, augment=augment, seed=0)


def verdict(step: float, core: float, cores: int) -> str:
    """What binds a GPU with a step of `step` clips/s, where a core decodes `core` clips/s."""
    decoded = core * (cores - 1)  # one core trains
    binds = "the step" if decoded >= step else "decoding"
    return (
        f"{binds} binds: the step takes {step:.0f} clips/s, {cores - 1} of {cores} cores decode "
        f"{decoded:.0f}; {step / core:.1f} would do"
    )


def main(args: argparse.Namespace) -> None:
    """Measure, print and write the table."""
    device = pick_device(args.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store, _ = write_clips(Path(folder))
        for name in args.models:
            values = by_turns(cases_of(name, store, args, device), args.rounds)
            under = {"frames": args.frames, "batch": args.batch}
            width = vision_config(MODELS[name]).width
            used = precision(TrainSettings(), width, device)
            under["precision"] = str(used).removeprefix("torch.")
            rows += [Measured(case, "clips/s", found, **under) for case, found in values.items()]
            training, alone, loading, core = values.values()
            allowed = [
                1 / (1 / step + 1 / load) if device.type == "cpu" else min(step, load)
                for step, load in zip(alone, loading, strict=True)
            ]
            for what, others in (("step alone", alone), ("what both allow", allowed)):
                share = [100 * value for value in ratio(training, others)]
                rows.append(Measured(f"{name}: training / {what}", "%", share, **under))
    report("end_to_end", rows, args.out, threads=args.threads, device=device_name(device))
    if args.clips_per_second:
        print(verdict(args.clips_per_second, sorted(core)[len(core) // 2], args.cores))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--frames", type=int, default=8, help="T")
    add("--batch", type=int, default=4, help="clips of a step")
    add("--threads", type=int, default=1, help="threads to compute with")
    add("--seconds", type=float, default=2.0, help="how long a case runs in a round, at least")
    add("--models", nargs="+", choices=MODELS, default=list(MODELS), help="what is trained")
    add("--clips-per-second", type=float, help="of another device's step with the last model")
    add("--cores", type=int, default=8, help="of that machine")
    add("--rounds", type=int, default=3, help="how often each case is measured")
    add("--out", type=Path, default=Path("results/benchmarks/end_to_end.parquet"), help="the table")
    return top


if __name__ == "__main__":
    main(parser().parse_args())
