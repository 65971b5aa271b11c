"""What a reader makes of a dataset release on disk, and the helpers that readers share."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import pandas as pd

from dfer.errors import UserError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")
CLIP_COLUMNS = ["clip", "path", "media", "label", "subject"]
FOLD_COLUMNS = ["clip", "fold", "split"]

Media = Literal["video", "frames"]
Split = Literal["train", "test"]


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
        """Raise `UserError` unless `root` is a folder."""
        if not root.is_dir():
            raise UserError(
                f"{root}: no such folder. Set the dataset's `root` to where the release is."
            )
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
            except PermissionError:
                raise UserError(
                    f"{self.root / folder}: not allowed to list this folder. Ask for access to it."
                ) from None
        return self._listings[folder]

    def media(self, path: str) -> Media | None:
        """What is at `path`: "frames" if a folder, "video" if a file, None if nothing."""
        parent, _, name = path.rpartition("/")
        is_folder = self.listing(parent or ".").get(name)
        return None if is_folder is None else "frames" if is_folder else "video"

    def find(self, *paths: str) -> str | None:
        """The first of `paths` that is a folder here, under the name that it has here.

        Names are compared by their letters and digits alone, since copies of a release spell them
        differently: "train(single-labeled)" finds "train(single_labeled)". A folder that holds
        another of its own name, as unpacked archives do, stands for that one.

        Raises:
            UserError: two folders spell one name.
        """
        for path in paths:
            found = ""
            for name in path.split("/"):
                step = self._step(found, name)
                if step is None:
                    break
                found = step
                if self.listing(found).get(found.rpartition("/")[2]):
                    found = f"{found}/{found.rpartition('/')[2]}"
            else:
                return found
        return None

    def _step(self, folder: str, name: str) -> str | None:
        entries = self.listing(folder or ".").items()
        fits = sorted(
            entry for entry, is_folder in entries if is_folder and _letters(entry) == _letters(name)
        )
        if len(fits) > 1:
            raise UserError(
                f"{self.root / folder}: both {fits[0]!r} and {fits[1]!r} can be {name!r}. "
                "Move the one that is not the release's own elsewhere."
            )
        return f"{folder}/{fits[0]}".lstrip("/") if fits else None

    def need(self, what: str, *paths: str) -> str:
        """As `find`, but there must be one; `what` says in the message what is looked for.

        Raises:
            UserError: none of `paths` is here.
        """
        found = self.find(*paths)
        if found is None:
            here = some(sorted(self.listing(".")), 10) or "nothing"
            raise UserError(
                f"{self.root}: {what} not found. Looked for {' and '.join(paths)}; the root has "
                f"{here}. Set the dataset's `root` to the folder that has {paths[0]} in it."
            )
        return found

    def numbered(self, folder: str, media: Media) -> dict[str, str]:
        """Clips that are named by number in `folder`: id of five digits → path.

        "7.mp4" and "00007.mp4" are clip 00007. What is no video (or no folder, for frames) or has
        no number for a name is left out.

        Raises:
            UserError: two names for one number.
        """
        clips: dict[str, str] = {}
        for name, is_folder in self.listing(folder).items():
            stem, suffix = (name, "") if is_folder else os.path.splitext(name)
            kind = "frames" if is_folder else "video" if suffix.lower() in VIDEO_SUFFIXES else ""
            if kind != media or not NUMBER.fullmatch(stem):
                continue
            clip = number_id(stem)
            if clip in clips:
                raise UserError(
                    f"{self.root / folder}: {Path(clips[clip]).name!r} and {name!r} are both clip "
                    f"{clip}. Keep one of the two."
                )
            clips[clip] = f"{folder}/{name}"
        return clips


NUMBER = re.compile(r"[0-9]{1,5}")


def number_id(number: str) -> str:
    """The id of a clip that is named by number: five digits, "7" → "00007"."""
    return f"{int(number):05d}"


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


class Entry(NamedTuple):
    """One line of a release's list: a clip with its label, in one part of one fold."""

    clip: str
    label: str
    fold: int
    split: Split
    where: str  # file and line, for messages


def assemble(
    entries: list[Entry], found: dict[str, str], expected: str, media: Media, notes: list[str]
) -> Release:
    """The release that lists and folders make together.

    Args:
        entries: all lines of all lists, in their order.
        found: clip → path of the clips on disk, listed or not.
        expected: where a clip that is not on disk should be; "{clip}" stands for its id.
        notes: what the reader found so far.

    Raises:
        UserError: no entries, a clip has two labels, or is twice in a fold.
    """
    labels: dict[str, Entry] = {}
    places: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        first = labels.setdefault(entry.clip, entry)
        if first.label != entry.label:
            raise UserError(
                f"{entry.where}: clip {entry.clip!r} is {entry.label!r} here and {first.label!r} "
                f"in {first.where}. The lists do not belong together: copy them anew from the "
                "release."
            )
        twin = places.setdefault((entry.clip, entry.fold), entry)
        if twin is not entry:
            raise UserError(
                f"{entry.where}: clip {entry.clip!r} is in fold {entry.fold} already "
                f"({twin.split}: {twin.where}). Delete one of the lines."
            )
    missing = sorted(clip for clip in labels if clip not in found)
    extra = len(found) - (len(labels) - len(missing))
    clips = pd.DataFrame(
        [
            (clip, found.get(clip) or expected.format(clip=clip), media, entry.label, None)
            for clip, entry in labels.items()
        ],
        columns=CLIP_COLUMNS,
    )
    folds = pd.DataFrame([(e.clip, e.fold, e.split) for e in entries], columns=FOLD_COLUMNS)
    if extra:
        notes = [*notes, f"{extra} clips on disk are in no list and are left out."]
    return Release(clips, folds, missing, notes)


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


def read_lines(path: Path) -> list[tuple[str, str]]:
    """The lines of a text file that are not blank, each with where it stands ("path: line 3").

    The text is UTF-8 (with or without byte order mark) or else GBK, in which some lists come.

    Raises:
        UserError: no such file, or neither encoding.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file. Copy it from the release.") from None
    for encoding in ("utf-8-sig", "gb18030"):  # a superset of GBK
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        lines = text.splitlines()
        return [(line, f"{path}: line {i}") for i, line in enumerate(lines, 1) if line.strip()]
    raise UserError(f"{path}: neither UTF-8 nor GBK text. Copy it anew from the release.")


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few of `names` as text: "a, b, c and 7 more"."""
    names = list(names)
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
