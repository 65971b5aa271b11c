"""A trained run in Python, and its predictions as pandas frames.

    import dfer

    model = dfer.load("results/demo/runs/<settings>/fold1-seed0")
    model.predict("clip.mp4")
    model.predict(["clip.mp4", "folder of videos"], window=2.0, stride=1.0)
    model.predict(frames)  # the pictures of a clip, (N, H, W, 3) uint8
    dfer.load("exported.zip"), dfer.load("user/name"), dfer.load("exported/model.onnx")

What comes is what `dfer predict` finds: the same faces, windows and numbers.
"""

import dataclasses
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd

from dfer.clips.progress import Progress
from dfer.errors import UserError
from dfer.faces.settings import LandmarkSettings
from dfer.predict.clip import Outcome, Wanted, predict_clip
from dfer.predict.footage import Clip, find_clips
from dfer.predict.predictor import Predictor
from dfer.predict.run import check_run, landmark_settings, open_faces, open_run
from dfer.predict.tables import REJECTS, predictions_schema

ARRAY = "frames"  # stands for the file of a clip that is given as an array


class Model:
    """A trained run that predicts.

    Attributes:
        classes: labels, in the order of the probabilities.
        run: all else that is known of it (`dfer.predict.predictor.Predictor`).
        landmarks: how faces are found.
    """

    def __init__(self, run: Predictor, landmarks: LandmarkSettings):
        self.run, self.landmarks = run, landmarks
        self.backend = open_faces(landmarks)

    @property
    def classes(self) -> list[str]:
        return self.run.classes

    def predict(
        self,
        clips: str | Path | np.ndarray | Iterable[str | Path],
        *,
        window: float = 4.0,
        stride: float | None = None,
    ) -> pd.DataFrame:
        """Expressions in clips, window by window.

        Args:
            clips: videos, folders of videos, folders of images; or the pictures of one clip, which
                is then one window, (N, H, W, 3) uint8, RGB.
            window: seconds that are classified as one.
            stride: seconds between windows, at most `window`; None: as long as one.

        Returns:
            A row a window: file, window (from 0), start_s, end_s, label, face_share, a
            `probability_<class>` a class, and reason: why it could not be used, else None. A file
            that could not be used has one row. Without a window there is NA, without a label None.

        Raises:
            UserError: a path does not exist, or an argument is wrong.
        """
        wanted = _windows(window, stride)
        if isinstance(clips, np.ndarray):
            return self._of_frames(clips, wanted)
        paths = [clips] if isinstance(clips, str | Path) else clips
        found, unused = find_clips(map(Path, paths))
        return self._of_clips(found, wanted, [(str(p), None, None, None, why) for p, why in unused])

    def explain(
        self,
        video: str | Path,
        *,
        window: float = 4.0,
        stride: float | None = None,
        overlays: Path | None = None,
        progress: Progress | None = None,
    ) -> Outcome:
        """One video, with what its predictions rest on.

        Args:
            window: seconds that are classified as one.
            stride: seconds between windows, at most `window`; None: as long as one.
            overlays: folder to write the annotated video to, `<name>.mp4`; None: it is not written.
            progress: told of each frame that is read; None: nobody is.

        Returns:
            beside rows and rejects the footage, with the face of every frame, and the predictions,
            with the faces that the model saw and their heat maps (None without CLIP).

        Raises:
            UserError: an argument is wrong, or the overlay would replace the video.
        """
        path = Path(video)
        wanted = dataclasses.replace(_windows(window, stride), overlays=overlays, faces=True)
        clip, parts = Clip(path, "video"), (self.backend, self.landmarks, wanted, progress)
        wanted.check_apart([clip], [path.stem])
        return predict_clip(self.run, clip, path.stem, *parts)

    def _of_clips(self, clips: Iterable[Clip], wanted: Wanted, rejects: list) -> pd.DataFrame:
        rows = []
        for clip in clips:
            parts = (self.backend, self.landmarks, wanted)
            outcome = predict_clip(self.run, clip, clip.path.stem, *parts)
            rows += outcome.rows
            rejects += outcome.rejects
        columns = predictions_schema(self.classes).names
        used = pd.DataFrame(rows, columns=columns).assign(reason=None)
        refused = pd.DataFrame(rejects, columns=REJECTS.names).reindex(columns=[*columns, "reason"])
        parts = [part for part in (used, refused) if len(part)] or [used]
        texts = ["label", "reason"]
        table = pd.concat(parts, ignore_index=True).astype(
            {"window": "Int32", "start_s": float, "end_s": float} | dict.fromkeys(texts, object)
        )
        table[texts] = table[texts].where(table[texts].notna(), None)
        return table

    def _of_frames(self, frames: np.ndarray, wanted: Wanted) -> pd.DataFrame:
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
            raise UserError(
                f"frames of {frames.dtype} {frames.shape}: give uint8 of (N, H, W, 3), red first."
            )
        with tempfile.TemporaryDirectory() as folder:
            for number, frame in enumerate(frames):
                cv2.imwrite(str(Path(folder) / f"{number:06}.png"), frame[..., ::-1])
            found = self._of_clips([Clip(Path(folder), "frames")], wanted, [])
        return found.assign(file=ARRAY)


def _windows(window: float, stride: float | None) -> Wanted:
    wanted = Wanted(window, window if stride is None else stride)
    if not 0 < wanted.stride <= wanted.seconds:
        raise UserError(
            f"stride of {wanted.stride:g} s: give seconds above 0, and no more than a window has, "
            f"{window:g} here."
        )
    return wanted


def load(
    run: str | Path,
    *,
    onnx: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    threads: int = 1,
    landmarks: str | None = None,
) -> Model:
    """A trained run, ready to predict.

    Args:
        run: its folder (with `checkpoint.safetensors`); what `dfer export` made of it, a folder or
            a zip; the same on Hugging Face's hub, "user/name" or "user/name@revision"; or the path
            of an exported `model.onnx`.
        onnx: compute with ONNX Runtime, which needs no torch, wherever the `model.onnx` comes from.
        device: auto: a GPU if there is one.
        precision: of matrix products; None: as it was trained.
        threads: to compute with.
        landmarks: JSON, backend and how it follows a face; None: as for the run's dataset.

    Raises:
        UserError: there is no such run, it is damaged or may not be read, there is no network or no
            such device, or the run cannot predict videos.
    """
    loaded = open_run(run, onnx=onnx, threads=threads, device=device, precision=precision)
    check_run(loaded, run, Wanted(1.0, 1.0))
    return Model(loaded, landmark_settings(loaded, landmarks))
