"""One's own footage: which clips the given files and folders are, and when their frames show."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfer.clips.decoder import read_facts
from dfer.clips.images import natural_order
from dfer.clips.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Media
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
        visible = (file.name for file in path.iterdir() if not file.name.startswith("."))
        inside = [path / name for name in natural_order(visible)]
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


def frame_times(
    video: Path, frames: int, stamps: Sequence[float | None] | None = None
) -> np.ndarray:
    """When each frame of a video shows, by its own time stamps; nothing more is decoded.

    Frames with the same stamp are parted: they share the time until the next one. Where there are
    not as many stamps as frames, because some did not decode or have none, the frames are spread
    evenly over the same time.

    Args:
        video: a file that could be decoded.
        frames: how many frames it gave.
        stamps: seconds of each of them, where the decoder knows (`Frames.stamps`).

    Returns:
        float64 (frames + 1,): seconds from the first frame, rising; then the end of the last.
    """
    facts = read_facts(video)
    packets = np.array(facts.stamps)
    if stamps is not None and len(stamps) == frames and None not in stamps:
        shown = np.array(stamps, float)
    else:
        shown = packets
    if not len(shown):
        return np.arange(frames + 1) / facts.rate
    shown = _rising(shown, 1 / facts.rate)
    last = facts.end - packets[-1] if len(packets) else 0.0
    starts = shown - shown[0]
    times = np.append(starts, starts[-1] + (last if last > 0 else 1 / facts.rate))
    if len(starts) == frames:
        return _parted(times)
    return np.linspace(0, times[-1], frames + 1)


def _rising(stamps: np.ndarray, step: float) -> np.ndarray:
    """Time stamps that never fall: where a clock begins anew, time goes on by one `step`."""
    steps = np.diff(stamps)
    return stamps[0] + np.append(0, np.cumsum(np.where(steps < 0, step, steps)))


def _parted(times: np.ndarray) -> np.ndarray:
    """Times of which none are equal: a run of equal ones is spread until the next."""
    changes = np.append(True, np.diff(times) > 0)
    places = np.flatnonzero(changes)
    return np.interp(np.arange(len(times)), places, times[places])


def _is(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.suffix.lower() in suffixes and not file.is_dir()
