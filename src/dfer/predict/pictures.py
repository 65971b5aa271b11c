"""What pictures of predictions share: class colours, letters, files."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import matplotlib
import numpy as np
from av.codec.context import Flags
from PIL import Image, ImageFont

from dfer.files import atomic

INK, PAPER, FAINT = (40, 40, 40), (250, 250, 250), (170, 170, 170)
CLOCK = 90_000  # ticks a second of written videos


def colour_of(label: int) -> tuple[int, int, int]:
    """The RGB colour of a class: ten strong ones, then ten pale ones."""
    red, green, blue, _ = matplotlib.colormaps["tab20"](2 * label % 20 + label // 10 % 2)
    return round(255 * red), round(255 * green), round(255 * blue)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings: Latin, Greek and Cyrillic, the same everywhere."""
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def write_png(path: Path, picture: Image.Image) -> None:
    """Write a PNG."""
    with atomic(path) as temporary:
        picture.save(temporary, "PNG")


def write_video(path: Path, frames: Iterable[np.ndarray], times: np.ndarray) -> None:
    """Write an H.264 video without sound; the same frames give the same bytes.

    Args:
        path: an `.mp4`.
        frames: uint8 RGB (H, W, 3). The first one's size is the video's, an odd side one more by
            repeating the border; others are scaled to it.
        times: (n + 1,) seconds: when each frame begins to show, and when the last one ends.
    """
    ticks = np.round(times * CLOCK).astype(int).tolist()
    with atomic(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        # Without B-frames, and with this flag, the last frame ends when it should.
        stream = container.add_stream("libx264", options={"crf": "20", "bf": "0"})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, CLOCK)
        stream.codec_context.flags |= Flags.frame_duration
        for number, picture in enumerate(_even(frames)):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.time_base = Fraction(1, CLOCK)
            frame.pts, frame.duration = ticks[number], ticks[number + 1] - ticks[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _even(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames of one size with even sides, as H.264 needs them."""
    size = None
    for frame in frames:
        size = size or frame.shape[1::-1]
        if frame.shape[1::-1] != size:
            frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        yield np.pad(frame, ((0, size[1] % 2), (0, size[0] % 2), (0, 0)), mode="edge")
