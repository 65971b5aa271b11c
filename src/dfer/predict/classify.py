"""What a trained run says of the windows of a clip."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dfer.clips.evaluation import EvaluationClips
from dfer.clips.progress import Progress
from dfer.clips.store import ClipStore, ShardWriter
from dfer.predict.face import Footage, cut_faces
from dfer.predict.predictor import Predictor
from dfer.predict.windows import Window


@dataclass(frozen=True)
class Prediction:
    """What a model says of one window.

    Attributes:
        chosen: int64 (T,), the frames of the clip that the model saw.
        probabilities: float64 (#class,).
        maps: float32 (T, g, g), `Predictor.heat_maps` for the top class; None if not asked for.
        faces: uint8 RGB (T, FACE_SIZE, FACE_SIZE, 3), as the model saw them; None if not asked for.
    """

    window: Window
    chosen: np.ndarray
    probabilities: np.ndarray
    maps: np.ndarray | None
    faces: np.ndarray | None = None

    @property
    def label(self) -> int:
        """The top class."""
        return int(self.probabilities.argmax())

    def text(self, classes: Sequence[str], top: int) -> str:
        """The `top` classes with their probabilities, the surest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:top]
        return "   ".join(f"{classes[i]} {self.probabilities[i]:.2f}" for i in order)


@contextmanager
def stored(
    run: Predictor, footage: Footage, windows: Sequence[Window]
) -> Iterator[EvaluationClips]:
    """The faces of windows, as long as the `with` block lasts, as the run takes test clips.

    They go through a clip store, so that the model sees them as `dfer.training.evaluate` would
    show them. A window's number is its clip id.

    Args:
        windows: each with a face somewhere.

    Raises:
        ClipError: the clip cannot be read again.
    """
    count, sampler = run.settings.model.frames, run.settings.train.sampler
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "faces.arrow"
        with ShardWriter(shard) as writer:
            for number, faces in cut_faces(footage, windows, count, sampler):
                writer.add(str(number), faces)
        yield _Windows(
            footage.progress,
            ClipStore([shard]),
            [str(window.number) for window in windows],
            [0] * len(windows),  # there are no labels
            frames=count,
            size=run.image_size,
            sampler="segments",  # of as many frames as there are: each of them
        )


class _Windows(EvaluationClips):
    """Windows of a clip, of which one is told as it is read."""

    def __init__(self, progress: Progress | None, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self._progress = progress

    def decode(self, index: int) -> np.ndarray:
        if self._progress is not None:
            self._progress.at(index / len(self))
        return super().decode(index)


def classify(
    run: Predictor, data: EvaluationClips, windows: Sequence[Window], *, maps: bool
) -> list[Prediction]:
    """Predict windows, one by one: none changes another's numbers.

    Args:
        data: as `stored` gives them, of these windows.
        maps: whether to make heat maps.
    """
    from scipy.special import softmax  # not at the top: a wrong argument is answered sooner

    probabilities = softmax(run.logits(data).astype(np.float64), axis=1)
    heat = run.heat_maps(data, probabilities.argmax(1)) if maps else [None] * len(windows)
    count, sampler = run.settings.model.frames, run.settings.train.sampler
    return [
        Prediction(window, window.chosen(count, sampler), row, map_)
        for window, row, map_ in zip(windows, probabilities, heat, strict=True)
    ]
