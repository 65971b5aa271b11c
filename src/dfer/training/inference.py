"""Logits of clips by a model: what training, evaluation and prediction share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from dfer.clips.loader import EvaluationClips, evaluation_batches
from dfer.models.checkpoint import TrainedRun
from dfer.models.method import Method
from dfer.training.device import precision, weights_in
from dfer.training.recorded import Recorded

RECORDED = 8  # batches from which it pays to record one on a GPU


@torch.inference_mode()
def frame_features_of(
    model: Method,
    data: EvaluationClips,
    normalise: Callable[[Tensor], Tensor],
    dtype: torch.dtype,
    *,
    batch: int,
    workers: int,
) -> Tensor:
    """Z (clips, T, D) where the model is, in the order of `data`; see `logits_of`."""
    model.eval()
    with _evaluating(model, dtype):
        batches = evaluation_batches(data, batch, workers)
        return torch.cat([model.frame_features(normalise(frames)) for frames, _ in batches])


@torch.inference_mode()
def logits_from(model: Method, z: Tensor, dtype: torch.dtype, *, batch: int) -> Tensor:
    """`logits_of` clips whose frame features are known."""
    model.eval()
    with _evaluating(model, dtype):
        parts = [model.classify(model.aggregate(part)).cpu() for part in z.split(batch)]
    return torch.cat(parts)


@torch.inference_mode()
def logits_of(
    model: Method,
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
    model.eval()
    logits = []
    with _evaluating(model, dtype):
        recorded = Recorded(lambda clips: (model(clips),), model)
        for frames, _ in evaluation_batches(data, batch, workers):
            clips = normalise(frames)
            whole = clips.is_cuda and len(clips) == batch and len(data) >= RECORDED * batch
            found = recorded(clips)[0] if whole else model(clips)
            logits.append(found.cpu())
    return torch.cat(logits)


@contextmanager
def _evaluating(model: Method, dtype: torch.dtype) -> Iterator[None]:
    """Matrix products in `dtype`."""
    device = next(model.parameters()).device
    with (
        weights_in(model, dtype),
        torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
    ):
        yield


def predict(run: TrainedRun, data: EvaluationClips, *, batch: int, workers: int) -> Tensor:
    """`logits_of` a trained run, with its own pixel statistics and precision."""
    dtype = precision(run.settings.train, run.model.width, run.device)
    return logits_of(run.model, data, run.normalise, dtype, batch=batch, workers=workers)
