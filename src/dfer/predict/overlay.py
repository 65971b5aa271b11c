"""A clip again, drawn upon: the face, the top class over time, the heat map."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from dfer.analysis.relevance import upsample
from dfer.clips.store import FACE_SIZE
from dfer.faces.similarity import face_transform
from dfer.faces.track import Face
from dfer.figures.heat import heat_over
from dfer.predict.classify import Prediction
from dfer.predict.face import Footage
from dfer.predict.pictures import FAINT, INK, PAPER, colour_of, font, write_video

IMAGES_A_SECOND = 25  # of the overlay of a folder of images
MOMENTS = 500  # of the line of time, at most


def write_overlay(
    path: Path, footage: Footage, predictions: Sequence[Prediction], classes: Sequence[str]
) -> None:
    """Write a clip as MP4, `annotated`.

    Raises:
        ClipError: the clip cannot be read again.
    """
    times = footage.times
    if times is None:
        times = np.arange(len(footage.faces) + 1) / IMAGES_A_SECOND
    write_video(path, annotated(footage, predictions, classes, times), times)


def annotated(
    footage: Footage, predictions: Sequence[Prediction], classes: Sequence[str], times: np.ndarray
) -> Iterator[np.ndarray]:
    """The frames of a clip, uint8 RGB (H, W, 3), drawn upon.

    Each has the face's box in the colour of its window's top class, that class and its probability
    at the top left, and the heat map, if there is one, on the face; below is a line of time in the
    classes' colours, grey where there is no prediction. Where windows overlap, a frame shows the
    one whose middle is nearest.

    Args:
        times: (frames + 1,) seconds, as `frame_times` gives them.

    Raises:
        ClipError: the clip cannot be read again.
    """
    owners = _owners(predictions, len(footage.faces))
    moments = (np.arange(MOMENTS) + 0.5) / MOMENTS * times[-1]
    shown = [owners[number] for number in np.searchsorted(times, moments, side="right") - 1]
    colours = [FAINT if owner is None else colour_of(owner.label) for owner in shown]
    for number, frame in enumerate(footage.frames()):
        face, owner = footage.faces[number], owners[number]
        text = "no prediction" if owner is None else owner.text(classes, 1)
        if face.points is None:
            text += " (no face)"
        elif owner is not None and owner.maps is not None:
            frame = heat_over(frame, _heat(owner, face, number, frame.shape))
        page = Image.fromarray(frame)
        colour = FAINT if owner is None else colour_of(owner.label)
        _draw(page, face.box, text, colour, colours, times[number] / times[-1])
        yield np.asarray(page)


def _owners(predictions: Sequence[Prediction], frames: int) -> list[Prediction | None]:
    """The prediction that each frame shows."""
    owners: list[Prediction | None] = [None] * frames
    nearest = np.full(frames, np.inf)
    for prediction in predictions:
        start, stop = prediction.window.start, prediction.window.stop
        for number in range(start, stop):
            off = abs(2 * number + 1 - start - stop)
            if off < nearest[number]:
                nearest[number], owners[number] = off, prediction
    return owners


def _heat(prediction: Prediction, face: Face, number: int, shape: tuple[int, ...]) -> np.ndarray:
    """The heat map where the face is in the frame: float32 (H, W), 0 … 1.

    It is that of the nearest frame which the model saw, the later one of two.
    """
    away = np.abs(prediction.chosen - number)
    nearest = int(np.flatnonzero(away == away.min())[-1])
    heat = upsample(torch.from_numpy(prediction.maps), FACE_SIZE)[nearest].numpy()
    matrix = face_transform(face.points, FACE_SIZE)  # frame → face, as WARP_INVERSE_MAP wants it
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(heat, matrix, shape[1::-1], flags=flags)


def _draw(
    page: Image.Image,
    box: np.ndarray | None,
    text: str,
    colour: tuple[int, int, int],
    colours: Sequence[tuple[int, int, int]],
    now: float,
) -> None:
    """Draw box, text, and the line of time with a mark at `now` (0 … 1), to the page's scale."""
    pen = ImageDraw.Draw(page)
    width, height = page.size
    unit = max(1, min(width, height) // 160)
    if box is not None:
        pen.rectangle([round(float(side)) for side in box], outline=colour, width=2 * unit)
    letters, margin = font(max(10, 9 * unit)), 3 * unit
    x0, y0, x1, y1 = pen.textbbox((margin, margin), text, letters)
    pen.rectangle((x0 - margin, y0 - margin, x1 + margin, y1 + margin), INK)
    pen.text((margin, margin), text, PAPER, letters)
    top = height - 5 * unit
    for number, of_moment in enumerate(colours):
        left, right = (width * n / len(colours) for n in (number, number + 1))
        pen.rectangle((left, top, right, height), of_moment)
    mark = now * (width - 1)
    pen.rectangle((mark - unit / 2, top - 2 * unit, mark + unit / 2, height), INK)
