"""Logits of clips by a trained model: what training, evaluation and prediction share."""

import torch
from torch import Tensor

from dfer.clips.loader import EvaluationClips, evaluation_batches
from dfer.models.backbone import normaliser
from dfer.models.recogniser import Recogniser
from dfer.settings import RunSettings
from dfer.training.device import precision


@torch.inference_mode()
def predict(
    model: Recogniser, data: EvaluationClips, settings: RunSettings, *, batch: int, workers: int
) -> Tensor:
    """Logits (clips, #class) float32 on the CPU, in the order of `data`."""
    device = next(model.parameters()).device
    normalise = normaliser(settings.backbone, device)
    dtype = precision(settings.train, device)
    model.eval()
    logits = []
    for frames, _ in evaluation_batches(data, batch, workers):
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits.append(model(normalise(frames)).cpu())
    return torch.cat(logits)
