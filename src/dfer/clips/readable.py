"""The frames of a clip wherever it lies: what the file system refuses is a reason to reject it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dfer.clips.media import Media
from dfer.clips.progress import Progress
from dfer.clips.video import ClipError, Frames


class ReadableFrames(Frames):
    """`Frames` of a file or folder that may be unreadable, too long a path, or oddly named.

    Args:
        progress: told of each frame; None: nobody is.

    Raises:
        ClipError: while iterating, also where the file system refuses.
    """

    def __init__(self, path: Path | str, media: Media, progress: Progress | None = None) -> None:
        super().__init__(Path(path).absolute(), media)  # FFmpeg takes a bare a:b.mp4 for a URL
        self._progress = progress

    def __iter__(self) -> Iterator[np.ndarray]:
        frames = self._readable()
        if self._progress is not None:
            frames = self._progress.watch(frames, self.path, self.media)
        yield from frames

    def _readable(self) -> Iterator[np.ndarray]:
        try:
            yield from super().__iter__()
        except OSError as error:
            raise refused(self.path, error) from error


def refused(path: Path, error: Exception) -> ClipError:
    """What the operating system, or FFmpeg, said of a clip, as a reason to reject it."""
    name = path.name if len(path.name) <= 80 else f"{path.name[:80]}…"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ClipError(f"{name} cannot be read ({reason}).")
