"""Memory of a training: the peak of a step, and what stays: weights, gradients, optimiser, state.

Peaks are of two steps of the full model (ViT-B/32), with and without gradient checkpointing, in
fp32 and bf16; each in a process of its own, because a process's peak never falls. On a CPU it is
the process's resident memory, torch itself and the batch included; on a GPU what torch took there,
its recording of the step included.
The saved state is the file that a killed training goes on from, without a best epoch's weights,
which the checkpoint rules `val` and `test` keep beside it.

    python benchmarks/memory.py --batch 8
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import measuring
import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.models.backbone import vision_config
from dfer.models.recogniser import Recogniser
from dfer.settings import ModelSettings, TrainSettings
from dfer.training.device import device_name
from dfer.training.optimiser import parameter_groups
from dfer.training.state import write_state
from dfer.training.step import Step

CLASSES = 7
MB = 1e6


def measure(model: str, batch: int, precision: str, checkpointing: bool) -> dict[str, float]:
    """Two steps in this process: "peak", and the sizes of what stays, in MB."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vision, settings = vision_config(model), ModelSettings()
    recogniser = Recogniser(settings, vision, torch.randn(CLASSES, vision.embed_dim)).to(device)
    recipe = TrainSettings(lr=1e-6, gradient_checkpointing=checkpointing)
    recogniser.gradient_checkpointing = checkpointing
    optimiser = torch.optim.AdamW(parameter_groups(recogniser, recipe), lr=1e-6, fused=True)
    step = Step(
        recogniser, optimiser, recipe, lambda x: x, measuring.DTYPES[precision], F.cross_entropy
    )
    size = vision.image_size
    clips = torch.randn(batch, settings.frames, 3, size, size, device=device)
    labels = torch.arange(batch, device=device) % CLASSES
    for _ in range(2):
        step(clips, labels)
    if device.type == "cuda":
        peak = torch.cuda.max_memory_reserved()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"peak of a step": peak / MB} | _stays(recogniser, optimiser)


def _stays(model: Recogniser, optimiser: torch.optim.Optimizer) -> dict[str, float]:
    """MB of what a training keeps between steps, and of its file."""
    parameters = list(model.parameters())
    moments = [x for state in optimiser.state.values() for x in state.values()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.pt"
        state = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
        write_state(path, fingerprint="", epoch=1, history=[], best=None, **state)
        saved = path.stat().st_size
    return {
        "weights": _bytes(parameters) / MB,
        "gradients": _bytes([p.grad for p in parameters]) / MB,
        "optimiser": _bytes(moments) / MB,
        "saved state": saved / MB,
    }


def _bytes(tensors: list[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def main(args: argparse.Namespace) -> None:
    """Measure each case in a process of its own, and write the table."""
    torch.set_num_threads(args.threads)
    if args.case is not None:
        print(json.dumps(measure(args.model, args.batch, **args.case)))
        return
    measured = []
    for precision in measuring.DTYPES:
        for checkpointing in (False, True):
            case = json.dumps({"precision": precision, "checkpointing": checkpointing})
            given = {"model": args.model, "batch": args.batch, "threads": args.threads}
            flags = [f"--{name}={value}" for name, value in given.items()]
            done = subprocess.run(
                [sys.executable, __file__, *flags, f"--case={case}"],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            sizes = json.loads(done.stdout)
            name = "peak of a step" + ", gradient checkpointing" * checkpointing
            under = {"precision": precision, "batch": args.batch, "frames": ModelSettings().frames}
            peak = [sizes.pop("peak of a step")]
            measured.append(measuring.Measured(name, "MB", peak, **under))
    measured += [measuring.Measured(name, "MB", [size]) for name, size in sizes.items()]
    device = device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    measuring.report("memory", measured, args.out, threads=args.threads, device=device)


if __name__ == "__main__":
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--model", default="ViT-B-32-quickgelu")
    top.add_argument("--batch", type=int, default=8)
    top.add_argument("--threads", type=int, default=1)
    top.add_argument("--case", type=json.loads, help="measure this one, in this process")
    top.add_argument("--out", default="results/benchmarks/memory.parquet")
    main(top.parse_args())
