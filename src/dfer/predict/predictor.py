"""What predicts: a trained run that gives logits, by torch or by ONNX Runtime.

`dfer.predict.with_torch.TorchRun` and `dfer.predict.with_onnx.OnnxRun`, which needs no torch.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from dfer.clips.evaluation import EvaluationClips
from dfer.settings import RunSettings


class Predictor(Protocol):
    """A trained run, as far as prediction asks.

    Attributes:
        settings, dataset, classes, landmarks, synthetic, fold, seed: see
            `dfer.models.checkpoint.TrainedRun`.
        image_size: pixels a side of the frames that it takes.
        no_maps: why there are no heat maps of it; empty if there are.
    """

    settings: RunSettings
    dataset: str
    classes: list[str]
    landmarks: Mapping[str, Any] | None
    synthetic: bool
    fold: int
    seed: int
    image_size: int
    no_maps: str

    def logits(self, data: EvaluationClips) -> np.ndarray:
        """Logits (clips, #class) float32, each clip on its own: none changes another's."""

    def heat_maps(self, data: EvaluationClips, labels: np.ndarray) -> list[np.ndarray]:
        """Of each clip which patches speak for its label (clips,): float32 (T, g, g)."""
