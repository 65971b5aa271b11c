"""One's own footage: which clips the given files and folders are, and when their frames show."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from dfer.clips.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Media
from dfer.clips.video import natural_key
from dfer.errors import UserError


@dataclass(frozen=True)
class Clip:
    """A video, or a folder of images."""

    path: Path
    media: Media


def find_clips(paths: Iterable[Path]) -> tuple[list[Clip], list[tuple[Path, str]]]:
    """The clips in the given files and folders.

    A file is a video, whatever its name. A folder that has videos, by their suffix, stands for
    them all, in natural order; one that has images and no videos is one clip. Folders in it are
    not entered, and hidden files are ignored.

    Returns:
        the clips, each once, and (path, reason) of what is not used.

    Raises:
        UserError: a path does not exist, or a folder has neither videos nor images.
    """
    clips: dict[Clip, None] = {}
    unused = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder.")
        if not path.is_dir():
            if path.suffix.lower() in IMAGE_SUFFIXES:
                reason = "is one image. Put the images of a clip into a folder and name that."
                unused.append((path, f"{path.name} {reason}"))
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
            own = "videos" if videos else "images"
            counted = ", ".join(f"{count} × {kind}" for kind, count in sorted(others.items()))
            unused.append((path, f"beside its {own} it has what was not used: {counted}."))
    return list(clips), unused


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


def _is(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.suffix.lower() in suffixes and not file.is_dir()
