"""Time of a training step (forward, backward, AdamW) against the same model written plainly.

The plain model has `nn.MultiheadAttention`, x·σ(1.702 x) as it stands, and its Bi-LSTM under
autocast; all else is the same. Rounds are interleaved, so that a busy machine slows both alike.

    python benchmarks/train_step.py --batch 8 --precision bf16
"""

import argparse
import copy
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.models.attention import CrossAttention, SelfAttention
from dfer.models.backbone import vision_config
from dfer.models.flops import count
from dfer.models.interfit import InterFIT
from dfer.models.mlp import QuickGELU
from dfer.models.recogniser import Recogniser
from dfer.settings import BackboneSettings, RunSettings

CLASSES = 7
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class PlainAttention(nn.MultiheadAttention):
    """torch's attention, called as our two are."""

    def forward(self, queries: Tensor, context: Tensor | None = None) -> Tensor:
        context = queries if context is None else context
        return super().forward(queries, context, context, need_weights=False)[0]


class PlainQuickGELU(nn.Module):
    """The formula as CLIP writes it."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class PlainInterFIT(InterFIT):
    """The Bi-LSTM in whatever precision autocast chooses."""

    def forward(self, cls: Tensor) -> Tensor:
        i = self.token(cls)
        return i + self.attn(self.norm(self.fuse(self.lstm(i)[0])))


def plain(module: nn.Module) -> nn.Module:
    """A copy of `module` with the plain parts in place of ours, and the same weights."""
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        if isinstance(parent, InterFIT):
            parent.__class__ = PlainInterFIT
        for name, child in list(parent.named_children()):
            if isinstance(child, SelfAttention | CrossAttention):
                width = child.out_proj.in_features
                attention = PlainAttention(width, child.heads, batch_first=True)
                attention.load_state_dict(child.state_dict())
                setattr(parent, name, _without_maps(attention))
            elif isinstance(child, QuickGELU):
                setattr(parent, name, PlainQuickGELU())
    return module


def _without_maps(attention: PlainAttention) -> nn.Module:
    """Blocks pass `maps` as a second argument, which here would be taken for a context."""
    attention.register_forward_pre_hook(
        lambda _, inputs: tuple(x for x in inputs if isinstance(x, Tensor))
    )
    return attention


def step_time(model: nn.Module, optimiser, clips: Tensor, labels: Tensor, dtype) -> float:
    """Seconds of one step."""
    synchronise = torch.cuda.synchronize if clips.is_cuda else lambda: None
    synchronise()
    began = time.perf_counter()
    with torch.autocast(clips.device.type, dtype, enabled=dtype != torch.float32):
        logits = model(clips)
    F.cross_entropy(logits, labels).backward()
    optimiser.step()
    optimiser.zero_grad()
    synchronise()
    return time.perf_counter() - began


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of a large matrix product."""
    a = torch.randn(2048, 2048, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        float((a @ a)[0, 0])
        best = min(best, time.perf_counter() - began)
    return 2 * 2048**3 / best


def main(args: argparse.Namespace) -> None:
    """Print clips/s of both, their ratio, and model FLOPs utilisation, as one JSON line."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = DTYPES[args.precision]
    backbone = BackboneSettings(model=args.model, weights=None)
    settings = RunSettings.from_dict({"model": args.settings}).model
    vision = vision_config(args.model)
    ours = Recogniser(settings, vision, torch.randn(CLASSES, vision.embed_dim)).to(device)
    models = {"ours": ours, "plain": plain(ours)}
    size = vision.image_size
    clips = torch.randn(args.batch, settings.frames, 3, size, size, device=device)
    labels = torch.randint(CLASSES, (args.batch,), device=device)
    with torch.inference_mode():
        torch.testing.assert_close(models["ours"](clips), models["plain"](clips))
    runs = {
        name: (model, torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True))
        for name, model in models.items()
    }
    seconds = {name: [] for name in runs}
    for round_ in range(1 + args.rounds):  # the first warms up
        for name, (model, optimiser) in runs.items():
            taken = step_time(model, optimiser, clips, labels, dtype)
            if round_:
                seconds[name].append(taken)
    rate = {name: args.batch / statistics.median(times) for name, times in seconds.items()}
    flop = 3 * 2 * count(settings, backbone, CLASSES).macs_true  # backward costs twice forward
    peak = matmul_peak(dtype, device)
    result = {
        "model": args.model,
        "batch": args.batch,
        "frames": settings.frames,
        "precision": args.precision,
        "device": str(device),
        "threads": args.threads,
        "clips_per_s": round(rate["ours"], 3),
        "plain_clips_per_s": round(rate["plain"], 3),
        "ratio": round(rate["ours"] / rate["plain"], 3),
        "matmul_gflop_per_s": round(peak / 1e9, 1),
        "mfu": round(rate["ours"] * flop / peak, 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ViT-B-32-quickgelu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--settings", type=json.loads, default={}, help="ModelSettings as JSON")
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args())
