"""Layout `mafw`: MAFW, 11 classes, 5 folds (9,172 single-labelled clips).

    data/clips/00025.mp4                 source "video" (or, without it, data/frames/00025/*)
    data/faces/00025/*                   source "crops"
    Train & Test Set/single/no_caption/set_1/train.txt, test.txt … set_5/…

The lists have lines like `00025.mp4 anger`. `data/frames` has whole video frames: taken for faces
they cost most of the accuracy and raise no error, so they are never read as crops. Classes are
known by name alone: three orders of their numbers are in use.
"""

import difflib
from pathlib import Path

from dfer.datasets.folders import NUMBER, Folders, number_id
from dfer.datasets.lists import Entry, assemble, read_lines
from dfer.datasets.release import Release, Source, Split
from dfer.errors import UserError

SOURCES: tuple[Source, ...] = ("video", "crops")
LABELS = (
    "happiness",
    "sadness",
    "neutral",
    "anger",
    "surprise",
    "disgust",
    "fear",
    "contempt",
    "anxiety",
    "helplessness",
    "disappointment",
)
LISTS = "single/no_caption"


def label_files(root: Path) -> list[Path]:
    """The lists that `read` opens, as far as they are there.

    Raises:
        UserError: their folder is not there, or is ambiguous.
    """
    return [path for path in _lists(Folders(root)).values() if path.is_file()]


def read(root: Path, source: Source) -> Release:
    """Read the release at `root`.

    Args:
        source: "video" (`data/clips`, or `data/frames`) or "crops" (`data/faces`).

    Raises:
        UserError: a folder or list is not there, there are only raw frames where crops are asked
            for, or a line of a list is not in the release's form.
    """
    folders = Folders(root)
    notes = []
    if source == "video":
        clips = folders.need("the videos", "data/clips", "data/frames")
        media = "frames" if clips == folders.find("data/frames") else "video"
        if media == "frames":
            notes.append(f"{clips}: no data/clips here, the video frames are read instead.")
    else:
        if folders.find("data/frames") and not folders.find("data/faces"):
            raise UserError(
                f"{folders.root}: no data/faces, and data/frames has whole video frames, not "
                "faces: a model trained on them fails without an error. Set `source` to video "
                "to have the faces aligned here, or put your aligned faces in data/faces."
            )
        clips, media = folders.need("the face crops", "data/faces"), "frames"
    entries = _entries(folders)
    expected = f"{clips}/{{clip}}" + (".mp4" if media == "video" else "")
    return assemble(entries, folders.numbered(clips, media), expected, media, notes)


def _list_folder(folders: Folders) -> str:
    return folders.need("the lists", f"Train & Test Set/{LISTS}", f"split/{LISTS}")


def _lists(folders: Folders) -> dict[tuple[int, Split], Path]:
    """(fold, split) → path of its list, of each fold that has a folder."""
    folder = _list_folder(folders)
    return {
        (fold, split): folders.root / folder / f"set_{fold}" / f"{split}.txt"
        for fold in range(1, 6)
        if f"set_{fold}" in folders.listing(folder)
        for split in ("train", "test")
    }


def _entries(folders: Folders) -> list[Entry]:
    entries = [
        _entry(line, place, fold, split)
        for (fold, split), path in _lists(folders).items()
        for line, place in read_lines(path)
    ]
    if not entries:
        raise UserError(
            f"{folders.root / _list_folder(folders)}: no clips in set_1/train.txt … "
            "set_5/test.txt. Copy the lists from the release."
        )
    return entries


def _entry(line: str, place: str, fold: int, split: Split) -> Entry:
    words = line.split()
    number = words[0].removesuffix(".mp4")
    if len(words) < 2 or not NUMBER.fullmatch(number):
        raise UserError(
            f"{place}: {line!r} is not of the form '00025.mp4 anger'. Copy the list anew from the "
            "release."
        )
    label = words[1].lower()
    if label not in LABELS:
        near = difflib.get_close_matches(label, LABELS, n=1)
        raise UserError(
            f"{place}: label {words[1]!r} is none of MAFW's ({', '.join(LABELS)})."
            + (f" Did you mean {near[0]!r}?" if near else "")
            + " Lists with numbers for labels were rewritten for other code: three orders are in "
            "use, so only names are read."
        )
    return Entry(number_id(number), label, fold, split, place)
