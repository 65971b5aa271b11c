"""What a clip is on disk: a video file or a folder of images, below the root of its release."""

from pathlib import Path, PurePosixPath
from typing import Literal

Media = Literal["video", "frames"]

VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".wmv", ".flv"),
    *(".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".3gp", ".ogv"),
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class ClipError(Exception):
    """A clip that cannot be used. The message is a sentence for the table of rejects."""


def is_inside(path: str) -> bool:
    """Whether a POSIX path stays below the folder that it is relative to.

    Only its text counts: a symbolic link inside the root is the user's own, and is followed.
    """
    parts = PurePosixPath(path).parts
    return bool(parts) and path[0] != "/" and ".." not in parts and "\0" not in path


def refused(path: Path, error: Exception) -> ClipError:
    """What the operating system, or FFmpeg, said of a clip, as a reason to reject it."""
    name = path.name if len(path.name) <= 80 else f"{path.name[:80]}…"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ClipError(f"{name} cannot be read ({reason}).")
