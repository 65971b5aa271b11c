"""What a clip is on disk: a video file or a folder of images, below the root of its release."""

from pathlib import PurePosixPath
from typing import Literal

Media = Literal["video", "frames"]

VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".wmv", ".flv"),
    *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".3gp", ".ogv"),
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
