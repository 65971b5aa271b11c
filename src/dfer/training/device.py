"""The device that a stage computes on, its threads and its precision."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dfer.models.backbone import vision_config
from dfer.provenance import environment
from dfer.settings import RunSettings, TrainSettings

WIDE = 512  # of an image tower that `auto` computes in bf16 on a CPU


def pick_device(threads: int) -> torch.device:
    """The first visible GPU, or the CPU with so many threads; deterministic kernels on both."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts
    # As torch.use_deterministic_algorithms(True), which imports torch's compiler: a second.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(threads)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """The GPU's model name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def loader_workers(device: torch.device, threads: int) -> int:
    """Processes that decode clips: a GPU is fed by all threads but one, a CPU needs them itself."""
    return threads - 1 if device.type == "cuda" else 0


def precision(settings: TrainSettings, width: int, device: torch.device) -> torch.dtype:
    """The dtype of matrix products: as set, or where it is `auto`, bf16 if that pays, else fp32.

    It pays on a GPU that has bf16, and on a CPU that multiplies it natively if the image tower is
    wide (`width`). Small ones stay in fp32 on every CPU, so that their numbers depend on none.
    """
    if settings.precision == "auto":
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = multiplies_bf16() and width >= WIDE
        return torch.bfloat16 if fast else torch.float32
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[settings.precision]


def multiplies_bf16() -> bool:
    """Whether the CPU has instructions for products of bf16 (AVX-512 or AMX), and torch uses them.

    AMX is Intel's from Sapphire Rapids on; AVX-512's are AMD's from Zen 4 on, too.
    """
    has = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and any(
        has.get(name, False) for name in ("amx_bf16", "avx512_bf16")
    )


def machine(settings: RunSettings, device: torch.device, threads: int) -> dict[str, Any]:
    """`dfer.provenance.environment` of a training, and the precision that it comes to there."""
    width = vision_config(settings.backbone.model).width if settings.model.uses_clip else 0
    used = str(precision(settings.train, width, device)).removeprefix("torch.")
    return environment(threads, device_name(device)) | {"precision": used}


@contextmanager
def weights_in(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Meanwhile the matrices of a model on a CPU are in `dtype`, as autocast would round them.

    Autocast casts every weight again for each batch, a tenth of the time of a small one. On a GPU
    nothing is done. No gradients may be taken inside.
    """
    matrices = [p for p in model.parameters() if p.ndim > 1 and p.device.type == "cpu"]
    with torch.inference_mode(False):
        before = [p.data for p in matrices]
        for p in matrices:
            p.data = p.data.to(dtype)
    try:
        yield
    finally:
        with torch.inference_mode(False):
            for p, data in zip(matrices, before, strict=True):
                p.data = data
