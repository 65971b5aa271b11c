"""A picture of one window: the T frames that the model saw, where it looked, its classes."""

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from dfer.analysis.relevance import upsample
from dfer.clips.store import FACE_SIZE
from dfer.figures.heat import heat_over
from dfer.files import printable
from dfer.predict.classify import Prediction
from dfer.predict.face import Footage
from dfer.predict.pictures import INK, PAPER, colour_of, font, write_png

CELL = 160  # pixels of a face
LINE = 22  # pixels of a line of text


def write_strip(
    path: Path,
    footage: Footage,
    prediction: Prediction,
    faces: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Write the picture of one window of a clip as PNG.

    Args:
        prediction: of the window, with heat maps.
        faces: uint8 RGB (T, FACE_SIZE, FACE_SIZE, 3), as the model saw them.
        classes: labels, in class order.
    """
    heat = upsample(torch.from_numpy(prediction.maps), FACE_SIZE).numpy()
    top = prediction.text(classes, 1)
    name = printable(footage.clip.path.name).replace("\n", " ")
    title = f"{name}   {prediction.window.text()}   {top}"
    texts = captions(footage, prediction)
    write_png(path, strip(faces, heat, texts, prediction.probabilities, classes, title))


def captions(footage: Footage, prediction: Prediction) -> list[str]:
    """When each of the T frames shows, for people."""
    if footage.times is None:
        return [f"image {number + 1}" for number in prediction.chosen]
    return [f"{footage.times[number]:.2f} s" for number in prediction.chosen]


def under_heat(face: np.ndarray, warmth: np.ndarray) -> np.ndarray:
    """A face in grey under its heat map, uint8 RGB (S, S, 3); `warmth`: float (S, S), 0 … 1."""
    return heat_over(np.repeat(face.mean(axis=-1, keepdims=True), 3, axis=-1), warmth)


def strip(
    faces: np.ndarray,
    heat: np.ndarray,
    texts: Sequence[str],
    probabilities: np.ndarray,
    classes: Sequence[str],
    title: str,
) -> Image.Image:
    """Draw the frames, below them the same in grey under the heat map, then a bar a class.

    Args:
        faces: uint8 RGB (T, S, S, 3).
        heat: float (T, S, S), 0 … 1.
        texts: a short one for each frame.
        probabilities: (classes,).
        classes: labels, in the order of `probabilities`.
        title: text above.
    """
    bars = 2 * LINE + 2 * CELL  # where they begin
    page = Image.new("RGB", (CELL * len(faces), bars + LINE * len(classes) + LINE // 2), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((4, LINE // 2), title, INK, font(14), anchor="lm")
    for column, (face, warmth, text) in enumerate(zip(faces, heat, texts, strict=True)):
        left = CELL * column
        for row, picture in enumerate((face, under_heat(face, warmth))):
            cell = cv2.resize(picture, (CELL, CELL), interpolation=cv2.INTER_AREA)
            page.paste(Image.fromarray(cell), (left, LINE + CELL * row))
        pen.text((left + CELL // 2, bars - LINE // 2), text, INK, font(12), anchor="mm")
    left = 12 + math.ceil(max(font(13).getlength(label) for label in classes))
    full = page.width - left - 60  # a bar of probability 1
    for label, (name, probability) in enumerate(zip(classes, probabilities, strict=True)):
        top, end = bars + LINE * label, left + full * probability
        pen.text((4, top + LINE // 2), name, INK, font(13), anchor="lm")
        pen.rectangle((left, top + 4, end, top + LINE - 4), colour_of(label))
        pen.text((end + 6, top + LINE // 2), f"{probability:.2f}", INK, font(13), anchor="lm")
    return page
