"""Logits of clips by a model: what training, evaluation and prediction share."""

from collections.abc import Callable

import torch
from torch import Tensor

from dfer.clips.loader import EvaluationClips, evaluation_batches
from dfer.models.checkpoint import TrainedRun
from dfer.models.recogniser import Recogniser
from dfer.training.device import precision, weights_in


@torch.inference_mode()
def logits_of(
    model: Recogniser,
    data: EvaluationClips,
    normalise: Callable[[Tensor], Tensor],
    dtype: torch.dtype,
    *,
    batch: int,
    workers: int,
) -> Tensor:
    """Logits (clips, #class) float32 on the CPU, in the order of `data`.

    Args:
        model: left in eval mode.
        normalise: from uint8 frames to what the model wants, on its device.
        dtype: of matrix products.
        batch: clips that are computed at once.
        workers: processes that decode them.
    """
    device = next(model.parameters()).device
    model.eval()
    logits = []
    with (
        weights_in(model, dtype),
        torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
    ):
        for frames, _ in evaluation_batches(data, batch, workers):
            logits.append(model(normalise(frames)).cpu())
    return torch.cat(logits)


def predict(run: TrainedRun, data: EvaluationClips, *, batch: int, workers: int) -> Tensor:
    """`logits_of` a trained run, with its own pixel statistics and precision."""
    dtype = precision(run.settings.train, run.model.image.config.width, run.device)
    return logits_of(run.model, data, run.normalise, dtype, batch=batch, workers=workers)
