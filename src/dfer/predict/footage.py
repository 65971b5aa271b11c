"""One's own footage: which clips are in the given files, when their frames show, which windows."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from dfer.clips.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Media
from dfer.clips.video import natural_key
from dfer.errors import UserError
from dfer.faces.track import Face

INSTANT = 1e-6  # seconds that are no time: below any video's clock, above rounding


@dataclass(frozen=True)
class Clip:
    """A video, or a folder of images."""

    path: Path
    media: Media


@dataclass(frozen=True)
class Footage:
    """A clip whose face was followed.

    Attributes:
        faces: one a frame.
        times: as `frame_times` gives them; None where the clip is a folder of images.
        lost: frames that do not decode.
    """

    clip: Clip
    faces: list[Face]
    times: np.ndarray | None
    lost: int


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


@dataclass(frozen=True)
class Prediction:
    """What a model says of one window.

    Attributes:
        chosen: int64 (T,), the frames of the clip that the model saw.
        probabilities: float64 (classes,).
        maps: float32 (T, g, g), `dfer.analysis.relevance.relevance` for the top class; None if not asked for.
    """

    window: Window
    chosen: np.ndarray
    probabilities: np.ndarray
    maps: np.ndarray | None

    @property
    def label(self) -> int:
        """The top class."""
        return int(self.probabilities.argmax())

    def text(self, classes: Sequence[str], top: int) -> str:
        """The `top` classes with their probabilities, the surest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:top]
        return "   ".join(f"{classes[i]} {self.probabilities[i]:.2f}" for i in order)


def find_clips(paths: Iterable[Path]) -> tuple[list[Clip], list[tuple[Path, str]]]:
    """The clips in the given files and folders.

    A file is a video, whatever its name. A folder that has videos, by their suffix, stands for
    them all, in natural order; one that has images and no videos is one clip. Folders in it are
    not entered; hidden files are not seen.

    Returns:
        the clips, each once, and (path, reason) of what is left aside.

    Raises:
        UserError: a path does not exist, or a folder has neither videos nor images.
    """
    clips: dict[Clip, None] = {}
    aside = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder.")
        if not path.is_dir():
            if path.suffix.lower() in IMAGE_SUFFIXES:
                reason = "is one image. Put the images of a clip into a folder and name that."
                aside.append((path, f"{path.name} {reason}"))
            else:
                clips[Clip(path, "video")] = None
            continue
        inside = sorted(
            (file for file in path.iterdir() if not file.name.startswith(".")),
            key=lambda file: natural_key(file.name),
        )
        videos = [file for file in inside if _is(file, VIDEO_SUFFIXES)]
        images = [file for file in inside if _is(file, IMAGE_SUFFIXES)]
        if videos:
            clips.update(dict.fromkeys(Clip(file, "video") for file in videos))
        elif images:
            clips[Clip(path, "frames")] = None
        else:
            raise UserError(
                f"{path}: neither a video ({', '.join(VIDEO_SUFFIXES)}) nor an image in this "
                "folder. Name the files themselves, or the folder right above them."
            )
        used = {*videos} if videos else {*images}
        others = Counter(
            "folder" if file.is_dir() else file.suffix or "without suffix"
            for file in inside
            if file not in used
        )
        if others:
            kind = "videos" if videos else "images"
            counted = ", ".join(f"{count} × {what}" for what, count in sorted(others.items()))
            aside.append((path, f"beside its {kind} it has what was not used: {counted}."))
    return list(clips), aside


def frame_times(video: Path, frames: int) -> np.ndarray:
    """When each frame of a video shows, by its own time stamps; nothing is decoded.

    Where there are not as many stamps as frames, because some did not decode or have none, the
    frames are spread evenly over the same time.

    Args:
        video: a file that could be decoded.
        frames: how many frames it gave.

    Returns:
        float64 (frames + 1,): seconds from the first frame, rising; then the end of the last.
    """
    stamps, durations = [], []
    with av.open(str(video), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        rate, unit = float(stream.average_rate or 25), float(stream.time_base)
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    stamps.append(packet.dts if packet.pts is None else packet.pts)
                    durations.append(packet.duration or 0)
        except av.FFmpegError:
            pass  # the end of what can be read
    known = [stamp for stamp in stamps if stamp is not None]
    if not known:
        return np.arange(frames + 1) / rate
    starts = (np.sort(known) - min(known)) * unit
    last = durations[stamps.index(max(known))] * unit or 1 / rate
    times = np.append(starts, starts[-1] + last)
    if len(starts) == frames and (np.diff(times) > 0).all():
        return times
    return np.linspace(0, times[-1], frames + 1)


def cut_windows(times: np.ndarray, seconds: float, stride: float) -> list[Window]:
    """Windows of `seconds`, one every `stride`; a clip that is no longer is one window.

    What is left at the end and is too short for a window gets one that ends with the clip, so that
    every frame is in a window and all windows are equally long. A frame belongs to the window in
    which it begins to show. A window in which none does has the frame that is on show then.

    Args:
        times: as `frame_times` gives them.
        seconds, stride: 0 < stride ≤ seconds.
    """
    length, frames = times[-1], len(times) - 1
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


def _is(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.suffix.lower() in suffixes and not file.is_dir()
