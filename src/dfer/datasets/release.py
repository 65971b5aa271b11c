"""What a reader makes of a dataset release on disk, and the helpers that readers share."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from dfer.files import UserError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")
CLIP_COLUMNS = ["clip", "path", "media", "label", "subject"]
FOLD_COLUMNS = ["clip", "fold", "split"]


@dataclass(frozen=True)
class Release:
    """A release on disk, as its own label files state it.

    Attributes:
        clips: one row a listed clip; columns `clip` (unique id), `path` (relative to the root,
            POSIX), `media` ("video", or "frames" for a folder of images), `label` (name),
            `subject` (id or None). A clip that is listed but not on disk keeps its row, with the
            path where it should be: the stage that opens it rejects it by name.
        folds: one row a clip and fold; columns `clip`, `fold` (1-based) and `split` ("train" or
            "test").
        missing: ids of the listed clips that are not on disk, sorted.
        notes: sentences about what was found: counts, what was ignored and why.
    """

    clips: pd.DataFrame
    folds: pd.DataFrame
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Folders:
    """Listings of folders under a root; each folder is scanned once, whatever is asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[str, dict[str, bool]] = {}

    def listing(self, folder: str) -> dict[str, bool]:
        """Entries of `folder` (relative, POSIX): name → whether it is a folder.

        A folder that does not exist has none; entries whose names start with a dot are left out.
        """
        if folder not in self._listings:
            try:
                with os.scandir(self.root / folder) as entries:
                    self._listings[folder] = {
                        entry.name: entry.is_dir() for entry in entries if entry.name[0] != "."
                    }
            except (FileNotFoundError, NotADirectoryError):
                self._listings[folder] = {}
        return self._listings[folder]

    def media(self, path: str) -> str | None:
        """ "frames" if `path` is a folder, "video" if it is a file, None if there is nothing."""
        parent, _, name = path.rpartition("/")
        is_folder = self.listing(parent or ".").get(name)
        return None if is_folder is None else "frames" if is_folder else "video"


def check_root(root: Path) -> None:
    """Raise `UserError` unless `root` is a folder."""
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder. Set the dataset's `root` to where the release is."
        )


def check_inside(path: str, where: str) -> str:
    """Return `path` normalised ("./a//b" → "a/b").

    The check is of the text: a symbolic link inside the root is the user's own and is followed.

    Raises:
        UserError: `path` is absolute, empty, or leaves the root; the message starts with `where`.
    """
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in path or "\0" in path:
        raise UserError(
            f"{where}: the path {path!r} does not lie inside the root. Give a path relative to "
            "the root, with '/' between folders and without '..'."
        )
    return "/".join(parts)


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few of `names` as text: "a, b, c and 7 more"."""
    names = list(names)
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def missing_note(missing: list[str], total: int) -> list[str]:
    """The note on listed clips that are not on disk; none if all are there."""
    if not missing:
        return []
    return [
        f"{len(missing)} of {total} listed clips are not on disk ({some(missing)}); they stay in "
        "the manifest and are rejected by name where they would be opened."
    ]
