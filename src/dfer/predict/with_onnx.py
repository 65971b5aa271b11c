"""A trained run that predicts with ONNX Runtime alone: no torch is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dfer.clips.evaluation import EvaluationClips
from dfer.errors import UserError
from dfer.predict.package import Config, other_version
from dfer.settings import RunSettings

if TYPE_CHECKING:
    import onnxruntime

INPUT, OUTPUT = "frames", "logits"  # (B, T, 3, S, S) uint8 → (B, #class) float32


@dataclass(frozen=True)
class OnnxRun:
    """A trained run, see `dfer.predict.predictor.Predictor`. It computes in float32, on the CPU."""

    session: "onnxruntime.InferenceSession"
    settings: RunSettings
    dataset: str
    classes: list[str]
    landmarks: Mapping[str, Any] | None
    synthetic: bool
    fold: int
    seed: int
    image_size: int
    no_maps: str = "heat maps need gradients, and ONNX has none"

    def logits(self, data: EvaluationClips) -> np.ndarray:
        clips = (data[index][0][None] for index in range(len(data)))
        return np.concatenate([self.session.run([OUTPUT], {INPUT: clip})[0] for clip in clips])

    def heat_maps(self, data: EvaluationClips, labels: np.ndarray) -> list[np.ndarray]:
        raise NotImplementedError(self.no_maps)


def open_onnx(graph: Path, config: Config, threads: int) -> OnnxRun:
    """The run of a graph and the configuration beside it.

    Raises:
        UserError: ONNX Runtime is not installed, or cannot read the graph; or the settings are of
            another version.
    """
    try:
        settings = RunSettings.from_dict(config.settings)
    except (TypeError, ImportError) as error:
        raise other_version(graph, config, error) from None
    known = ("dataset", "classes", "landmarks", "synthetic", "fold", "seed", "image_size")
    values = {name: getattr(config, name) for name in known}
    return OnnxRun(session_of(graph, threads), settings, **values)


def session_of(graph: Path, threads: int) -> "onnxruntime.InferenceSession":
    """A graph, ready to run.

    Raises:
        UserError: as `open_onnx`.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            f"{graph}: onnxruntime is not installed. Install it: pip install 'dfer[onnx]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each fault has a class of its own, and none a public base
        raise UserError(
            f"{graph}: ONNX Runtime cannot read it ({str(error).splitlines()[0]}). Export it again."
        ) from None
