"""A trained run that predicts with torch, and shows where it looked."""

import dataclasses
from typing import Literal

import numpy as np
import torch

from dfer.analysis.relevance import relevance
from dfer.clips.evaluation import EvaluationClips
from dfer.clips.loader import evaluation_batches
from dfer.errors import UserError
from dfer.models.checkpoint import TrainedRun
from dfer.training import inference
from dfer.training.device import pick_device


class TorchRun(TrainedRun):
    """A trained run, see `dfer.predict.predictor.Predictor`."""

    @classmethod
    def on(
        cls,
        run: TrainedRun,
        *,
        threads: int,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        precision: Literal["auto", "fp32", "bf16"] | None = None,
    ) -> "TorchRun":
        """A run with its model where it computes; see `dfer.predict.api.load`.

        Raises:
            UserError: there is no such device.
        """
        settings = run.settings
        if precision is not None:
            train = dataclasses.replace(settings.train, precision=precision)
            settings = dataclasses.replace(settings, train=train)
        chosen = pick_device(threads)
        if device != "auto":
            if device == "cuda" and not torch.cuda.is_available():
                raise UserError("device: there is no GPU here; say cpu, or auto.")
            chosen = torch.device(device)
        run.model.to(chosen)
        return cls(**vars(run) | {"settings": settings})

    @property
    def no_maps(self) -> str:
        if self.settings.model.uses_clip:
            return ""
        return f"heat maps are drawn of methods on CLIP, and this is {self.settings.method}"

    def logits(self, data: EvaluationClips) -> np.ndarray:
        return inference.predict(self, data, batch=1, workers=0).numpy()

    def heat_maps(self, data: EvaluationClips, labels: np.ndarray) -> list[np.ndarray]:
        normalise = self.normalise
        maps = []
        for (frames, _), label in zip(evaluation_batches(data, 1, 0), labels, strict=True):
            clips = normalise(frames)
            maps.append(relevance(self.model, clips, torch.tensor([label]))[0].cpu().numpy())
        return maps
