"""Layout `dfew`: DFEW, 7 classes, 5 folds (11,697 single-labelled clips of 16,372).

    Clip/original/00001.mp4               source "video"
    Clip/clip_224x224/00001/*.jpg         source "crops": aligned faces (many are 256 × 256)
    EmoLabel_DataSplit/train(single-labeled)/set_1.csv … set_5.csv, and test(single-labeled)/…

The lists have the columns `video_name,label` with labels 1 … 7; some copies call them
`train_set_1.csv` and `test_set_1.csv`. Copies rewritten for other code have labels 0 … 6: a label 0
is refused, since every class would be shifted.
`Clip/clip_224x224_16f` (each clip interpolated to 16 frames) is read where `Clip/clip_224x224` is
not there, and a note says so.
"""

import csv
from pathlib import Path

from dfer.datasets.folders import NUMBER, Folders, number_id
from dfer.datasets.lists import Entry, assemble, read_lines
from dfer.datasets.release import Release, Source, Split
from dfer.errors import UserError

SOURCES: tuple[Source, ...] = ("video", "crops")
LABELS = {
    "1": "happy",
    "2": "sad",
    "3": "neutral",
    "4": "angry",
    "5": "surprise",
    "6": "disgust",
    "7": "fear",
}
LISTS = "EmoLabel_DataSplit"
SPLITS: tuple[Split, ...] = ("train", "test")
FOLDS = range(1, 6)
HEADER = ["video_name", "label"]


def label_files(root: Path) -> list[Path]:
    """The lists that `read` opens.

    Raises:
        UserError: their folders are not there, or are ambiguous.
    """
    return list(_lists(Folders(root)).values())


def read(root: Path, source: Source) -> Release:
    """Read the release at `root`.

    Args:
        source: "video" (`Clip/original`) or "crops" (`Clip/clip_224x224`).

    Raises:
        UserError: a folder or list is not there, or a list is not the release's own.
    """
    folders = Folders(root)
    notes = []
    if source == "video":
        clips, expected, media = folders.need("the videos", "Clip/original"), "{clip}.mp4", "video"
    else:
        clips = folders.need("the face crops", "Clip/clip_224x224", "Clip/clip_224x224_16f")
        expected, media = "{clip}", "frames"
        if "16f" in clips:
            notes.append(
                f"{clips}: its clips are interpolated in time to 16 frames. Clip/clip_224x224 has "
                "the frames themselves; published results mostly sample from those."
            )
    entries = _entries(folders)
    found = folders.numbered(clips, media)
    return assemble(entries, found, f"{clips}/{expected}", media, notes)


def _list_folder(folders: Folders, split: Split) -> str:
    paths = f"{LISTS}/{split}(single-labeled)", f"{LISTS}/{split}"
    return folders.need(f"the {split} lists", *paths)


def _lists(folders: Folders) -> dict[tuple[int, Split], Path]:
    """(fold, split) → path of each list that is there."""
    lists = {}
    for split in SPLITS:
        folder = _list_folder(folders, split)
        for fold in FOLDS:
            for name in (f"set_{fold}.csv", f"{split}_set_{fold}.csv"):
                if name in folders.listing(folder):
                    lists[fold, split] = folders.root / folder / name
                    break
    return lists


def _entries(folders: Folders) -> list[Entry]:
    lists = _lists(folders)
    if not lists:
        folder = folders.root / _list_folder(folders, "train")
        raise UserError(f"{folder}: no set_1.csv … set_5.csv. Copy them.")
    entries = []
    for fold in FOLDS:
        here = [split for split in SPLITS if (fold, split) in lists]
        if len(here) == 1:
            other = "test" if here == ["train"] else "train"
            raise UserError(
                f"{lists[fold, here[0]]}: fold {fold} has this {here[0]} list but no {other} list "
                f"in {folders.root / _list_folder(folders, other)}. Copy it from the release."
            )
        for split in here:
            entries += _read_list(lists[fold, split], fold, split)
    return entries


def _read_list(path: Path, fold: int, split: Split) -> list[Entry]:
    lines = read_lines(path)
    rows = [(cells, place) for line, place in lines for cells in csv.reader([line])]
    if not rows or [cell.strip() for cell in rows[0][0]] != HEADER:
        raise UserError(
            f"{path}: the first line is not {','.join(HEADER)!r}. This is no list of the release: "
            "copy it anew."
        )
    return [_entry(cells, place, fold, split) for cells, place in rows[1:]]


def _entry(cells: list[str], place: str, fold: int, split: Split) -> Entry:
    cells = [cell.strip() for cell in cells]
    if len(cells) != 2 or not NUMBER.fullmatch(cells[0]):
        raise UserError(f"{place}: {','.join(cells)!r} is not a clip's number and a label.")
    number, label = cells
    if label == "0":
        raise UserError(
            f"{place}: label 0. DFEW's own lists have labels 1 to 7; this is a copy rewritten to "
            "0 to 6 for other code, which would give every clip the next class. Put the release's "
            f"own {LISTS} back."
        )
    if label not in LABELS:
        raise UserError(f"{place}: label {label!r} is not 1 … 7. Copy the list anew.")
    return Entry(number_id(number), LABELS[label], fold, split, place)
