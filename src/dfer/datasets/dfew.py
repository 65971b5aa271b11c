"""Reader `dfew`: DFEW, 7 classes, 5 folds (11,697 single-labelled clips of 16,372).

    Clip/original/00001.mp4               source "video"
    Clip/clip_224x224/00001/*.jpg         source "crops": aligned faces (many are 256 × 256)
    EmoLabel_DataSplit/train(single-labeled)/set_1.csv … set_5.csv, and test(single-labeled)/…

The lists have the columns `video_name,label` with labels 1 … 7. Copies rewritten for other code
have the same columns with labels 0 … 6: a label 0 is refused, since every class would be shifted.
`Clip/clip_224x224_16f` (each clip interpolated to 16 frames) is read where `Clip/clip_224x224` is
not there, and a note says so.
"""

import csv
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
HEADER = ["video_name", "label"]


def read(root: Path, source: str) -> Release:
    """Read the release at `root`.

    Args:
        source: "video" (`Clip/original`) or "crops" (`Clip/clip_224x224`).

    Raises:
        UserError: a folder or list is not there, or a list is not the release's own.
    """
    folders = Folders(Path(root))
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


def _entries(folders: Folders) -> list[Entry]:
    lists = {
        split: folders.need(
            f"the {split} lists",
            f"{LISTS}/{split}(single-labeled)",
            f"{LISTS}/{split}",
        )
        for split in ("train", "test")
    }
    entries = []
    for fold in range(1, 6):
        names = [f"set_{fold}.csv", f"{{split}}_set_{fold}.csv"]
        paths = {}
        for split, folder in lists.items():
            here = folders.listing(folder)
            name = next((n.format(split=split) for n in names if n.format(split=split) in here), "")
            if name:
                paths[split] = folders.root / folder / name
        if len(paths) == 1:
            (split, path), other = *paths.items(), "test" if "train" in paths else "train"
            raise UserError(
                f"{path}: fold {fold} has this {split} list but no {other} list in "
                f"{folders.root / lists[other]}. Copy it from the release."
            )
        for split, path in paths.items():
            entries += _list(path, fold, split)
    if not entries:
        raise UserError(f"{folders.root / lists['train']}: no set_1.csv … set_5.csv. Copy them.")
    return entries


def _list(path: Path, fold: int, split: Split) -> list[Entry]:
    lines = read_lines(path)
    rows = [(cells, where) for line, where in lines for cells in csv.reader([line])]
    if not rows or [cell.strip() for cell in rows[0][0]] != HEADER:
        raise UserError(
            f"{path}: the first line is not {','.join(HEADER)!r}. This is no list of the release: "
            "copy it anew."
        )
    return [_entry(cells, where, fold, split) for cells, where in rows[1:]]


def _entry(cells: list[str], where: str, fold: int, split: Split) -> Entry:
    cells = [cell.strip() for cell in cells]
    if len(cells) != 2 or not NUMBER.fullmatch(cells[0]):
        raise UserError(f"{where}: {','.join(cells)!r} is not a clip's number and a label.")
    number, label = cells
    if label == "0":
        raise UserError(
            f"{where}: label 0. DFEW's own lists have labels 1 to 7; this is a copy rewritten to "
            "0 to 6 for other code, which would give every clip the next class. Put the release's "
            f"own {LISTS} back."
        )
    if label not in LABELS:
        raise UserError(f"{where}: label {label!r} is not 1 … 7. Copy the list anew.")
    return Entry(number_id(number), LABELS[label], fold, split, where)
