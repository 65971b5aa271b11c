"""The windows of a clip, each of which is classified as one, and the frames that stand for it."""

import math
from dataclasses import dataclass

import numpy as np

from dfer.clips.sampling import sample_frames

INSTANT = 1e-6  # seconds that are no time: below any video's clock, above rounding


@dataclass(frozen=True)
class Window:
    """A stretch of a clip that is classified as one.

    Attributes:
        number: 0, 1, … in the clip.
        start, stop: its frames, start ≤ frame < stop.
        start_s, end_s: when they show, in seconds from the clip's first frame; NaN where the clip
            is a folder of images, which have no times.
    """

    number: int
    start: int
    stop: int
    start_s: float
    end_s: float

    def text(self) -> str:
        """When it is, for people."""
        if math.isnan(self.start_s):
            return f"{self.stop} images"
        return f"{self.start_s:.2f} – {self.end_s:.2f} s"

    def chosen(self, count: int, sampler: str) -> np.ndarray:
        """The frames int64 (T,) of the clip that a model sees, see `sample_frames`."""
        return self.start + sample_frames(self.stop - self.start, count, None, sampler)


def cut_windows(times: np.ndarray, seconds: float, stride: float) -> list[Window]:
    """Windows of `seconds`, one every `stride`; a clip that is no longer is one window.

    What is left at the end and is too short for a window gets one that ends with the clip, so that
    every frame is in a window and all windows are equally long. A frame belongs to the window in
    which it begins to show. A window in which none does has the frame that is on show then.

    Args:
        times: as `frame_times` gives them.
        seconds, stride: 0 < stride ≤ seconds.
    """
    length, frames = float(times[-1]), len(times) - 1
    seconds, stride = min(seconds, length), min(stride, length)
    count = max(0, int(np.floor((length - seconds) / stride + INSTANT))) + 1
    begins = [number * stride for number in range(count)]

    def frames_of(begin: float) -> tuple[int, int]:
        start, stop = np.searchsorted(times[:-1], (begin - INSTANT, begin + seconds - INSTANT))
        return min(start, stop - 1), stop

    if frames_of(begins[-1])[1] < frames:
        begins.append(length - seconds)
    spans = [frames_of(begin) for begin in begins]
    return [
        Window(number, int(start), int(stop), float(times[start]), float(times[stop]))
        for number, (start, stop) in enumerate(spans)
    ]


def whole(frames: int) -> Window:
    """The one window of a folder of images, whatever its length."""
    return Window(0, 0, frames, math.nan, math.nan)
