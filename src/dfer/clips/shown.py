"""A decoded picture as it is shown: standard range, upright, not mirrored, with square pixels.

A decoder gives the pixels that are in the file. How they are to be shown stands beside them: a
display matrix that turns or mirrors them, the aspect ratio of one pixel, and the transfer function
that made light of them. Players heed all three, and faces are looked for in what players show.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

import av
import cv2
import numpy as np

Transfer = Literal["SDR", "HLG", "PQ"]

TRANSFERS: dict[int, Transfer] = {16: "PQ", 18: "HLG"}  # by the number of ITU-T H.273
WHITE = 203.0  # cd/m² of white paper in HDR (ITU-R BT.2408); some converters write 100
PEAK = 1000.0  # cd/m² of the brightest highlight that is kept
KNEE = 0.75  # share of SDR's light up to which light stays as it is
STEPS = (1 << 16) - 1  # of tables over light
SQUARE = 0.01  # an aspect ratio this near 1 is square: some writers round it
ODDEST = 4  # a pixel wider or higher than so many of its other side is a broken header
BT2020_TO_BT709 = np.array(
    [
        [1.6605, -0.5876, -0.0728],
        [-0.1246, 1.1329, -0.0083],
        [-0.0182, -0.1006, 1.1187],
    ],
    np.float32,
)
BT2020_LUMA = np.array([[0.2627, 0.6780, 0.0593]], np.float32)


@dataclass(frozen=True)
class Showing:
    """How the pictures of a stream are to be shown.

    Attributes:
        transfer: the transfer function of its values.
        transposed: rows become columns, before the flips.
        flip_x, flip_y: mirrored left to right, top to bottom.
        aspect: width by height of one pixel as it is stored.
    """

    transfer: Transfer = "SDR"
    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False
    aspect: Fraction = Fraction(1)

    @property
    def mirrored(self) -> bool:
        """Whether it is not merely turned."""
        return self.transposed ^ self.flip_x ^ self.flip_y

    def notes(self) -> list[str]:
        """What a user may want to know of it."""
        notes = []
        if self.transfer != "SDR":
            notes.append(f"tone-mapped from {self.transfer}")
        if self.mirrored:
            notes.append("mirrored as its display matrix says")
        elif self.transposed or self.flip_x:
            notes.append("turned as its display matrix says")
        if self.aspect != 1:
            notes.append(f"pixels of {self.aspect.numerator}:{self.aspect.denominator} made square")
        return notes

    def picture(self, frame: av.VideoFrame) -> np.ndarray:
        """The pixels of a frame as shown: uint8 RGB (H, W, 3)."""
        if self.transfer == "SDR":
            image = _pixels(frame, "rgb24")
        else:
            image = tone_mapped(_pixels(frame, "rgb48le"), self.transfer)
        image = squared(image, self.aspect)
        if self.transposed:
            image = image.swapaxes(0, 1)
        image = image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(image)


def turning(matrix: np.ndarray | None) -> dict[str, bool]:
    """The turn and flips of a display matrix, to the nearest quarter turn.

    Args:
        matrix: nine numbers as FFmpeg gives them: the pixel (x, y) is shown at
            (m0 · x + m3 · y, m1 · x + m4 · y).
    """
    if matrix is None:
        return {}
    a, b, c, d = (float(matrix[i]) for i in (0, 1, 3, 4))
    if a * d == b * c:  # it shows a line: a broken header
        return {}
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return {"transposed": False, "flip_x": a < 0, "flip_y": d < 0}
    return {"transposed": True, "flip_x": c < 0, "flip_y": b < 0}


def pixel_aspect(ratio: Fraction | None) -> Fraction:
    """The aspect ratio of a pixel, 1 where none is stated or none can be meant."""
    if not ratio or abs(ratio - 1) < SQUARE or not 1 / ODDEST <= ratio <= ODDEST:
        return Fraction(1)
    return Fraction(ratio)


def squared(image: np.ndarray, aspect: Fraction) -> np.ndarray:
    """Scale an image to square pixels: the shorter side of a pixel grows, so nothing is lost."""
    if aspect == 1:
        return image
    height, width = image.shape[:2]
    size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def tone_mapped(values: np.ndarray, transfer: Transfer) -> np.ndarray:
    """HDR as it looks on a screen of standard range.

    Light up to `KNEE` of white paper stays as it is, highlights up to `PEAK` are pressed into the
    rest; all three colours by one factor, so that no hue changes.

    Args:
        values: uint16 RGB (H, W, 3) with the primaries of BT.2020.
        transfer: "HLG" or "PQ".

    Returns:
        uint8 RGB (H, W, 3) with the primaries and the display (gamma 2.4) of BT.709.
    """
    light = _to_light(transfer)[values]
    if transfer == "HLG":  # from the light of the scene to that of a display of `PEAK`
        luma = cv2.transform(light, BT2020_LUMA)
        light *= (PEAK / WHITE) * np.maximum(luma, 1e-6)[..., None] ** np.float32(0.2)
    light = np.maximum(cv2.transform(light, BT2020_TO_BT709), 0)
    brightest = light.max(axis=2)
    at = np.minimum(brightest * (STEPS * WHITE / PEAK), STEPS).astype(np.uint16)
    light *= _factors()[at][..., None]
    return _to_values()[np.minimum(light * STEPS, STEPS).astype(np.uint16)]


@cache
def _to_light(transfer: Transfer) -> np.ndarray:
    """Light of every 16-bit value: of the scene, 0 … 1 (HLG); in units of `WHITE` (PQ)."""
    value = np.arange(1 << 16) / 65535
    if transfer == "HLG":  # ITU-R BT.2100
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)
    else:
        power = value ** (1 / 78.84375)
        base = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        light = 10000 / WHITE * base ** (1 / 0.1593017578125)
    return light.astype(np.float32)


@cache
def _factors() -> np.ndarray:
    """By how much light is dimmed, for its brightest colour from 0 to `PEAK`, in `STEPS`."""
    light = np.maximum(np.arange(STEPS + 1) / STEPS, 0.5 / STEPS) * PEAK / WHITE
    top, room = PEAK / WHITE - KNEE, 1 - KNEE
    above = np.maximum(light - KNEE, 0)
    # The slope is 1 at the knee, and `PEAK` becomes 1.
    bent = KNEE + above / (1 + above * (1 / room - 1 / top))
    return (np.where(light > KNEE, bent, light) / light).astype(np.float32)


@cache
def _to_values() -> np.ndarray:
    """The 8-bit value of light from 0 to 1, in `STEPS`."""
    return (255 * (np.arange(STEPS + 1) / STEPS) ** (1 / 2.4)).round().astype(np.uint8)


def _pixels(frame: av.VideoFrame, pixels: str) -> np.ndarray:
    """The values of a frame as RGB; without its colour tags where those make no sense together."""
    try:
        return frame.to_ndarray(format=pixels)
    except av.FFmpegError:
        frame.colorspace = frame.color_trc = frame.color_primaries = 2  # not specified
        return frame.to_ndarray(format=pixels)
