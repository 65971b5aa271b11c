"""Reader `mafw`: MAFW, 11 classes, 5 folds (9,172 single-labelled clips).

    data/clips/00025.mp4                 source "video" (or, without it, data/frames/00025/*)
    data/faces/00025/*                   source "crops"
    Train & Test Set/single/no_caption/set_1/train.txt, test.txt … set_5/…

The lists have lines like `00025.mp4 anger`. `data/frames` has whole video frames: taken for faces
they cost most of the accuracy and raise no error, so they are never read as crops. Classes are
known by name alone: three orders of their numbers are in use.
"""

import difflib
from pathlib import Path

from dfer.datasets.release import (
    NUMBER,
    Entry,
    Folders,
    Release,
    Split,
    assemble,
    number_id,
    read_lines,
)
from dfer.errors import UserError

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


def read(root: Path, source: str) -> Release:
    """Read the release at `root`.

    Args:
        source: "video" (`data/clips`, or `data/frames`) or "crops" (`data/faces`).

    Raises:
        UserError: a folder or list is not there, there are only raw frames where crops are asked
            for, or a line of a list is not in the release's form.
    """
    folders = Folders(Path(root))
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


def _entries(folders: Folders) -> list[Entry]:
    lists = folders.need("the lists", f"Train & Test Set/{LISTS}", f"split/{LISTS}")
    entries = []
    for fold in range(1, 6):
        if f"set_{fold}" in folders.listing(lists):
            for split in ("train", "test"):
                path = folders.root / lists / f"set_{fold}" / f"{split}.txt"
                entries += [_entry(line, where, fold, split) for line, where in read_lines(path)]
    if not entries:
        raise UserError(
            f"{folders.root / lists}: no clips in set_1/train.txt … set_5/test.txt. Copy the "
            "lists from the release."
        )
    return entries


def _entry(line: str, where: str, fold: int, split: Split) -> Entry:
    words = line.split()
    number = words[0].removesuffix(".mp4")
    if len(words) < 2 or not NUMBER.fullmatch(number):
        raise UserError(
            f"{where}: {line!r} is not of the form '00025.mp4 anger'. Copy the list anew from the "
            "release."
        )
    label = words[1].lower()
    if label not in LABELS:
        near = difflib.get_close_matches(label, LABELS, n=1)
        raise UserError(
            f"{where}: label {words[1]!r} is none of MAFW's ({', '.join(LABELS)})."
            + (f" Did you mean {near[0]!r}?" if near else "")
            + " Lists with numbers for labels were rewritten for other code: three orders are in "
            "use, so only names are read."
        )
    return Entry(number_id(number), label, fold, split, where)
