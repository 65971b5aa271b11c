"""The device that a stage computes on, its threads and its precision."""

import os

import torch

from dfer.settings import TrainSettings


def pick_device(threads: int) -> torch.device:
    """The first visible GPU, or the CPU with so many threads; deterministic kernels on both."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """The GPU's model name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def loader_workers(device: torch.device, threads: int) -> int:
    """Processes that decode clips: a GPU is fed by all threads but one, a CPU needs them itself."""
    return threads - 1 if device.type == "cuda" else 0


def precision(settings: TrainSettings, device: torch.device) -> torch.dtype:
    """The dtype of matrix products: as set, or bf16 on a GPU that has it and fp32 elsewhere."""
    if settings.precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[settings.precision]
