"""One clip from its file to predictions, pictures, rows of the tables, and lines to print."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np

from dfer.clips.evaluation import EvaluationClips
from dfer.clips.media import refused
from dfer.clips.progress import Progress
from dfer.clips.video import ClipError
from dfer.errors import UserError
from dfer.faces.settings import LandmarkSettings
from dfer.faces.track import Backend
from dfer.predict.classify import Prediction, classify, stored
from dfer.predict.face import Footage, follow
from dfer.predict.footage import Clip
from dfer.predict.predictor import Predictor
from dfer.predict.windows import Window

TOP = 3  # classes in the print-out


@dataclass(frozen=True)
class Wanted:
    """What is asked for of every clip.

    Attributes:
        seconds: length of a window.
        stride: seconds between windows, at most `seconds`.
        overlays: folder of the videos to write; None: none.
        strips: folder of the pictures to write, one a window; None: none.
        faces: whether predictions keep the faces that the model saw (1.2 MB a window at T = 8), and
            their heat maps, of methods that have them.
    """

    seconds: float
    stride: float
    overlays: Path | None = None
    strips: Path | None = None
    faces: bool = False

    def check_apart(self, clips: Sequence[Clip], names: Sequence[str]) -> None:
        """Refuse to write over what is to be predicted.

        Args:
            names: of the outputs of each clip, without suffix.

        Raises:
            UserError: an overlay would replace a video, or strips lie among a clip's images.
        """
        inputs = {clip.path.resolve() for clip in clips}
        if self.overlays is not None:
            for name in names:
                if (path := self.overlays / f"{name}.mp4").resolve() in inputs:
                    raise UserError(
                        f"{path}: its overlay would replace this video. Name another folder."
                    )
        if self.strips is not None and self.strips.resolve() in inputs:
            raise UserError(
                f"{self.strips}: pictures would lie among the images of this clip. Name another "
                "folder."
            )

    @property
    def maps(self) -> bool:
        """Whether heat maps are shown somewhere."""
        return self.faces or self.overlays is not None or self.strips is not None


@dataclass(frozen=True)
class Outcome:
    """What became of a clip.

    Attributes:
        rows, rejects: of the tables, see `dfer.predict.tables`.
        lines: to print.
        footage: the clip with its face; None where it could not be used.
        predictions: one a row.
    """

    rows: list[tuple] = field(default_factory=list)
    rejects: list[tuple] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    footage: Footage | None = None
    predictions: list[Prediction] = field(default_factory=list)


def predict_clip(
    run: Predictor,
    clip: Clip,
    name: str,
    backend: Backend,
    landmarks: LandmarkSettings,
    wanted: Wanted,
    progress: Progress | None = None,
) -> Outcome:
    """Predict all windows of a clip that show a face; a clip that cannot be used is a reject.

    Args:
        name: of the clip's pictures, without suffix.
        backend: of `landmarks`.
        progress: told of each frame that is read; None: nobody is.
    """
    try:
        footage = follow(clip, backend, landmarks.every, progress)
        windows = footage.windows(wanted.seconds, wanted.stride)
        shares = [footage.face_share(window) for window in windows]
        reasons = [reason_against(share, landmarks.min_face_share) for share in shares]
        usable = [window for window, reason in zip(windows, reasons, strict=True) if not reason]
        predictions = predict_windows(run, footage, usable, name, wanted)
    except (ClipError, OSError, av.FFmpegError) as caught:
        error = caught if isinstance(caught, ClipError) else refused(clip.path, caught)
        reject = (str(clip.path), None, None, None, str(error))
        return Outcome(rejects=[reject], lines=[f"not used: {error}"])
    outcome = Outcome(lines=[described(footage)], footage=footage, predictions=predictions)
    found = {prediction.window.number: prediction for prediction in predictions}
    for window, share, reason in zip(windows, shares, reasons, strict=True):
        place = (str(clip.path), window.number, window.start_s, window.end_s)
        if reason:
            outcome.rejects.append((*place, reason))
            line = f"not used: {reason}"
        else:
            prediction = found[window.number]
            label = run.classes[prediction.label]
            outcome.rows.append((*place, label, share, *prediction.probabilities))
            line = prediction.text(run.classes, TOP)
        outcome.lines.append(f"  {window.text():>20}   {line}")
    return outcome


def predict_windows(
    run: Predictor, footage: Footage, windows: Sequence[Window], name: str, wanted: Wanted
) -> list[Prediction]:
    """Classify windows, each with a face somewhere, and write the pictures that are wanted.

    Raises:
        ClipError: the clip cannot be read again.
    """
    predictions: list[Prediction] = []
    if windows:
        maps = wanted.maps and not run.no_maps
        with stored(run, footage, windows) as data:
            predictions = classify(run, data, windows, maps=maps)
            if wanted.faces:
                predictions = [
                    replace(prediction, faces=faces_of(data, prediction))
                    for prediction in predictions
                ]
            if wanted.strips is not None:
                _write_strips(wanted.strips, name, footage, predictions, data, run.classes)
        if footage.progress is not None:
            footage.progress.passed()
    if wanted.overlays is not None:
        from dfer.predict.overlay import write_overlay

        write_overlay(wanted.overlays / f"{name}.mp4", footage, predictions, run.classes)
    return predictions


def faces_of(data: EvaluationClips, prediction: Prediction) -> np.ndarray:
    """The faces that the model saw in a window, uint8 RGB (T, FACE_SIZE, FACE_SIZE, 3)."""
    return data.store.frames(str(prediction.window.number), range(data.frames))


def _write_strips(
    folder: Path,
    name: str,
    footage: Footage,
    predictions: Sequence[Prediction],
    data: EvaluationClips,
    classes: Sequence[str],
) -> None:
    """Write the picture of each window."""
    from dfer.predict.strip import write_strip  # which needs torch

    for prediction in predictions:
        path = folder / f"{name}-{prediction.window.number:03}.png"
        write_strip(path, footage, prediction, faces_of(data, prediction), classes)
        if footage.progress is not None:
            footage.progress.say()


def reason_against(share: float, least: float) -> str:
    """Why a window that shows a face in this share of its frames is not used; empty if it is."""
    if share == 0:
        return "no face found in any of its frames."
    if share < least:
        return f"a face in only {share:.1%} of its frames, less than min_face_share {least:g}."
    return ""


def described(footage: Footage) -> str:
    """Length of a clip and in how many frames it shows a face, for the print-out."""
    frames = len(footage.faces)
    found = sum(face.found != "missing" for face in footage.faces)
    length = f"{frames} images" if footage.times is None else f"{footage.times[-1]:.2f} s"
    lost = f"; {footage.lost} more do not decode" if footage.lost else ""
    notes = "".join(f"; {note}" for note in footage.notes)
    return f"{length}, a face in {found} of {frames} frames{lost}{notes}"
