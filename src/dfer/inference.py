"""Logits of clips by a trained model: what training, evaluation and prediction share."""

import os
from collections.abc import Callable

import torch
from torch import Tensor

from dfer.clips.loader import EvaluationClips, evaluation_batches
from dfer.models.clip import pixel_statistics
from dfer.models.recogniser import Recogniser
from dfer.settings import ClipSettings, RunSettings, TrainSettings


def normaliser(clip: ClipSettings, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The function from frames (…, 3, H, W) uint8 to float32 as this CLIP wants them."""
    mean, std = (torch.tensor(x, device=device).view(3, 1, 1) for x in pixel_statistics(clip))
    return lambda frames: (frames.to(device, non_blocking=True).float() / 255 - mean) / std


@torch.inference_mode()
def predict(
    model: Recogniser, data: EvaluationClips, settings: RunSettings, *, batch: int, workers: int
) -> Tensor:
    """Logits (clips, #class) float32 on the CPU, in the order of `data`."""
    device = next(model.parameters()).device
    normalise = normaliser(settings.clip, device)
    dtype = precision(settings.train, device)
    model.eval()
    logits = []
    for frames, _ in evaluation_batches(data, batch, workers):
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits.append(model(normalise(frames)).cpu())
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


def loader_workers(device: torch.device, threads: int) -> int:
    """Processes that decode clips: a GPU is fed by all threads but one, a CPU needs them itself."""
    return threads - 1 if device.type == "cuda" else 0
