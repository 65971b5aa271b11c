"""Logits of clips by a trained model: what training, evaluation and prediction share."""

import os

import torch

from dfer.clips.loader import TestClips, test_batches
from dfer.models.recogniser import Recogniser
from dfer.settings import TrainSettings


@torch.inference_mode()
def predict(
    model: Recogniser, data: TestClips, batch: int, workers: int, dtype: torch.dtype
) -> torch.Tensor:
    """Logits (clips, #class) float32 on the CPU, in the order of `data`."""
    model.eval()
    device = next(model.parameters()).device
    logits = []
    for frames, _ in test_batches(data, batch, workers):
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits.append(model(model.normalise(frames.to(device))).float().cpu())
    return torch.cat(logits)


def precision(how: TrainSettings, device: torch.device) -> torch.dtype:
    """The dtype of matrix products: as set, or bf16 on a GPU that has it and fp32 elsewhere."""
    if how.precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[how.precision]


def pick_device(threads: int) -> torch.device:
    """The first visible GPU, or the CPU with so many threads; deterministic kernels on both."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """The GPU's model name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
