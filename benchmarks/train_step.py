"""Clips a second of a training step and of evaluation, beside the plain model and a peer.

The cases: our full model; our baseline (CLIP frame by frame, and the mean over frames); "plain",
the full model of torch's own parts with every token computed (`tests/plain.py`); and with `--peer`,
DFER-CLIP as its authors published it. A step is forward, backward and optimiser (AdamW; the peer's
SGD). Clips are random and stand in memory. Our evaluation casts its weights before it starts, and
on a GPU records a batch then, as `dfer.training.inference` does.

    python benchmarks/train_step.py
    git clone https://github.com/zengqunzhao/DFER-CLIP && pip install einops
    python benchmarks/train_step.py --batch 8 --precisions fp32 bf16 --peer DFER-CLIP

What is changed of the peer, and only so that it starts on T = 8 frames without CUDA: OpenAI's
weights are random ones of the same shapes; `models/` is on the path, because its code imports
`clip` from the top; `pkg_resources`, which setuptools has no more, has the one name that is
imported; the option `load_and_tune_prompt_learner` is defined. Its step: CLIP's image tower on all
frames, a temporal transformer of one layer, the text tower forward and backward to the learnt
prompts of all classes, and SGD with momentum. It evaluates with the text tower in each batch, too.

Model FLOPs utilisation (MFU) is the FLOPs that a model's definition needs (twice the true
multiply–accumulates of `dfer.models.flops`, and three times that for training) over those of a
large matrix product in the same time. What we save of the definition counts as if it were done.
"""

import argparse
import sys
import types
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import measuring
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from plain import plain  # noqa: E402

from dfer.models.backbone import vision_config  # noqa: E402
from dfer.models.flops import count  # noqa: E402
from dfer.models.recogniser import Recogniser  # noqa: E402
from dfer.settings import BackboneSettings, ModelSettings, TrainSettings  # noqa: E402
from dfer.training.device import device_name, pick_device, weights_in  # noqa: E402
from dfer.training.recorded import Recorded  # noqa: E402
from dfer.training.step import Step  # noqa: E402

CLASSES = 7
VARIANTS = {
    "full": ModelSettings(),
    "baseline": ModelSettings(interfit=False, aggregation="mean", blocks=0),
}
PLAIN = "full, plain"
PEER = "DFER-CLIP as published"
PEAK = "matrix product"


def ours(settings: ModelSettings, model: str) -> Recogniser:
    """A recogniser of random weights."""
    vision = vision_config(model)
    return Recogniser(settings, vision, torch.randn(CLASSES, vision.embed_dim))


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of `dfer.training.loop`."""
    return torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)


def peer(checkout: Path, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    """DFER-CLIP and its optimiser, set up as its `main.py` and `train_DFEW.sh` do."""
    from packaging import version

    packaging = types.SimpleNamespace(version=version)
    sys.modules.setdefault("pkg_resources", types.SimpleNamespace(packaging=packaging))
    sys.path[:0] = [str(checkout), str(checkout / "models")]
    from clip.model import CLIP
    from models.Generate_Model import GenerateModel
    from models.Text import class_descriptor_7

    options = argparse.Namespace(
        contexts_number=8,
        class_token_position="end",
        class_specific_contexts="True",
        temporal_layers=1,
        load_and_tune_prompt_learner="False",
    )
    clip = CLIP(512, 224, 12, 768, 32, 77, 49408, 512, 8, 12)  # ViT-B/32
    model = GenerateModel(class_descriptor_7, clip, options).to(device)
    rates = {"temporal_net": 1e-2, "image_encoder": 1e-5, "prompt_learner": 1e-3}
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(part in name for part in rates)
    groups = [{"params": getattr(model, part).parameters(), "lr": lr} for part, lr in rates.items()]
    return model, torch.optim.SGD(groups, lr=1e-2, momentum=0.9, weight_decay=1e-4)


class Steps:
    """A model and its optimiser on clips in memory; what its methods return is clips a second."""

    def __init__(self, model: nn.Module, optimiser: torch.optim.Optimizer, clips: Tensor):
        self.model, self.optimiser, self.clips = model, optimiser, clips
        self.labels = torch.arange(len(clips), device=clips.device) % CLASSES
        self.own: dict[torch.dtype, Step] = {}

    def train(self, dtype: torch.dtype) -> float:
        """A training step."""
        self.model.train()
        return len(self.clips) / measuring.seconds(lambda: self._wait(self._step(dtype)))

    def evaluate(self, dtype: torch.dtype) -> float:
        """Logits of three batches, which take about the time of a training step."""
        self.model.eval()
        own = isinstance(self.model, Recogniser)
        computing = torch.autocast(self.clips.device.type, dtype, enabled=dtype != torch.float32)
        with (
            torch.inference_mode(),
            weights_in(self.model, dtype) if own else nullcontext(),
            computing if own else nullcontext(),
        ):
            compute = partial(self._logits, dtype)
            if own and self.clips.is_cuda:  # as `dfer.training.inference` does
                recorded = Recorded(lambda clips: (self.model(clips),), self.model)
                compute = partial(recorded, self.clips)
                self._wait(compute())
            seconds = measuring.seconds(lambda: self._wait([compute() for _ in range(3)]))
        return 3 * len(self.clips) / seconds

    def _wait(self, _: object) -> None:
        if self.clips.is_cuda:
            torch.cuda.synchronize()

    def _logits(self, dtype: torch.dtype) -> Tensor:
        with torch.autocast(self.clips.device.type, dtype, enabled=dtype != torch.float32):
            return self.model(self.clips)

    def _step(self, dtype: torch.dtype) -> None:
        if isinstance(self.model, Recogniser):  # ours, as `dfer.training.loop` makes it
            if dtype not in self.own:
                parts = (self.model, self.optimiser, TrainSettings(), lambda clips: clips)
                self.own[dtype] = Step(*parts, dtype, F.cross_entropy)
            self.own[dtype](self.clips, self.labels)
            return
        loss = F.cross_entropy(self._logits(dtype).float(), self.labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """GFLOP/s of a large matrix product, the best of a few."""
    width = 8192 if device.type == "cuda" else 2048
    a = torch.randn(width, width, dtype=dtype, device=device)
    return 2e-9 * width**3 / min(measuring.seconds(lambda: float((a @ a)[0, 0])) for _ in range(5))


def compare(cases: dict[str, Steps], precision: str, args: argparse.Namespace, gflops: dict):
    """Clips/s of all cases in one precision, their ratios to ours, and MFU."""
    dtype, device = measuring.DTYPES[precision], next(iter(cases.values())).clips.device
    runs = {PEAK: lambda: matmul_peak(dtype, device)}
    for kind in ("train", "evaluate"):
        for name, steps in cases.items():
            runs[f"{kind}: {name}"] = lambda steps=steps, kind=kind: getattr(steps, kind)(dtype)
    values = measuring.by_turns(runs, args.rounds)
    under = {"precision": precision, "batch": args.batch, "frames": VARIANTS["full"].frames}
    found = [measuring.Measured(PEAK, "GFLOP/s", values.pop(PEAK), precision)]
    peak = found[0].values
    found += [measuring.Measured(name, "clips/s", rates, **under) for name, rates in values.items()]
    for kind, passes in (("train", 3), ("evaluate", 1)):
        rates = {name: values[f"{kind}: {name}"] for name in cases}
        for other in (PLAIN, PEER):
            if other in rates:
                ratio = measuring.ratio(rates["full"], rates[other])
                found.append(measuring.Measured(f"{kind}: full / {other}", "×", ratio, **under))
        for name, needed in gflops.items():
            share = [rate * passes * needed for rate in rates[name]]
            mfu = measuring.ratio(share, peak)
            found.append(measuring.Measured(f"{kind}: MFU, {name}", "1", mfu, **under))
    return found


def main(args: argparse.Namespace) -> None:
    """Measure, and write the table."""
    device = pick_device(args.threads)
    torch.manual_seed(0)
    models = {name: ours(settings, args.model).to(device) for name, settings in VARIANTS.items()}
    models[PLAIN] = plain(models["full"])
    size, frames = vision_config(args.model).image_size, VARIANTS["full"].frames
    clips = torch.randn(args.batch, frames, 3, size, size, device=device)
    cases = {name: Steps(model, adamw(model), clips) for name, model in models.items()}
    if args.peer is not None:
        cases[PEER] = Steps(*peer(args.peer, device), clips)
    backbone = BackboneSettings(args.model, None)
    gflops = {
        name: 2e-9 * count(settings, backbone, [str(n) for n in range(CLASSES)]).macs_true
        for name, settings in VARIANTS.items()
    }
    measured = []
    for precision in args.precisions:
        measured += compare(cases, precision, args, gflops)
    device = device_name(device)
    measuring.report("train_step", measured, args.out, threads=args.threads, device=device)


if __name__ == "__main__":
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--model", default="ViT-B-32-quickgelu")
    top.add_argument("--peer", type=Path, help="a checkout of DFER-CLIP")
    top.add_argument("--batch", type=int, default=2)
    top.add_argument("--precisions", nargs="+", choices=measuring.DTYPES, default=["bf16", "fp32"])
    top.add_argument("--threads", type=int, default=1)
    top.add_argument("--rounds", type=int, default=2)
    top.add_argument("--out", default="results/benchmarks/train_step.parquet")
    main(top.parse_args())
