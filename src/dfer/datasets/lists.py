"""From a release's label lists, and the clips found on disk, to a `Release`."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dfer.clips.media import Media
from dfer.datasets.release import CLIP_COLUMNS, FOLD_COLUMNS, Release, Split
from dfer.errors import UserError


class Entry(NamedTuple):
    """One line of a release's list: a clip with its label, in one part of one fold."""

    clip: str
    label: str
    fold: int
    split: Split
    place: str  # file and line, for messages


def read_lines(path: Path) -> list[tuple[str, str]]:
    """The lines of a text file that are not blank, each with its place ("path: line 3").

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
        UserError: a clip has two labels, or is twice in a fold.
    """
    labels: dict[str, Entry] = {}
    placed: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        first = labels.setdefault(entry.clip, entry)
        if first.label != entry.label:
            raise UserError(
                f"{entry.place}: clip {entry.clip!r} is {entry.label!r} here and {first.label!r} "
                f"in {first.place}. The lists do not belong together: copy them anew from the "
                "release."
            )
        twin = placed.setdefault((entry.clip, entry.fold), entry)
        if twin is not entry:
            raise UserError(
                f"{entry.place}: clip {entry.clip!r} is in fold {entry.fold} already "
                f"({twin.split}: {twin.place}). Delete one of the lines."
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
