"""Find the folders of a release under the names that copies of it have, and the clips in them."""

import errno
import os
import re
import unicodedata
from pathlib import Path, PurePosixPath

from dfer.clips.media import VIDEO_SUFFIXES, Media, is_inside
from dfer.datasets.release import first_few
from dfer.errors import UserError

NUMBER = re.compile(r"[0-9]{1,5}")
NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)  # nothing is there, or can be


class Folders:
    """Listings of folders under a root; each folder is scanned at most once."""

    def __init__(self, root: Path) -> None:
        """Raise `UserError` unless `root` is a folder."""
        if not os.path.isdir(root):
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
                        entry.name: _is_folder(entry) for entry in entries if entry.name[0] != "."
                    }
            except OSError as error:
                if error.errno not in NOWHERE:
                    raise UserError(
                        f"{self.root / folder}: this folder cannot be listed ({error.strerror}). "
                        "Ask for access to it, or mend its disk."
                    ) from None
                self._listings[folder] = {}
        return self._listings[folder]

    def media(self, path: str) -> Media | None:
        """What is at `path`: "frames" if a folder, "video" if a file, None if nothing."""
        parent, _, name = path.rpartition("/")
        is_folder = self.listing(parent or ".").get(name)
        return None if is_folder is None else "frames" if is_folder else "video"

    def spelt(self, path: str) -> str:
        """`path` as it is spelt on disk: letters may be composed (é) or not (e and an accent).

        macOS and archives made there part them, lists that are typed elsewhere do not. A path that
        is not on disk in either form is returned as it is.
        """
        if path.isascii() or self.media(path) is not None:
            return path
        found = ""
        for part in path.split("/"):
            alike = [
                name for name in self.listing(found or ".") if _composed(name) == _composed(part)
            ]
            if len(alike) != 1:
                return path
            found = f"{found}/{alike[0]}".lstrip("/")
        return found

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
        """The folder in `folder` that has this name, in whatever spelling."""
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

    def need(self, wanted: str, *paths: str) -> str:
        """As `find`, but there must be one; `wanted` names in the message what is looked for.

        Raises:
            UserError: none of `paths` is here.
        """
        found = self.find(*paths)
        if found is None:
            here = first_few(sorted(self.listing(".")), 10) or "nothing"
            raise UserError(
                f"{self.root}: {wanted} not found. Looked for {' and '.join(paths)}; the root has "
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


def number_id(number: str) -> str:
    """The id of a clip that is named by number: five digits, "7" → "00007"."""
    return f"{int(number):05d}"


def check_inside(path: str, place: str) -> str:
    """Return `path` normalised ("./a//b" → "a/b").

    Raises:
        UserError: `path` is absolute, empty, leaves the root (`is_inside`), or has a backslash in
            it; the message starts with `place`.
    """
    if not is_inside(path) or "\\" in path:
        raise UserError(
            f"{place}: the path {path!r} does not lie inside the root. Give a path relative to "
            "the root, with '/' between folders and without '..'."
        )
    return "/".join(PurePosixPath(path).parts)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say
        return False


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
