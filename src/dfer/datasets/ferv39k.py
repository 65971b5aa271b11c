"""Layout `ferv39k`: FERV39k, 7 classes, one official split (38,935 clips of 22 scenes).

    2_ClipsforFaceCrop/<Scene>/<Emotion>/<NNNN>/*.jpg      source "crops"
    4_setups/All_scenes/train_All.csv, test_All.csv

The lists have lines like `Action/Sad/0010 Sad`, separated by a space, and no header: the first
line is a clip. A clip's id is its folder below 2_ClipsforFaceCrop. There is no source "video":
only the face frames have a layout that is known here.
"""

import difflib
from pathlib import Path

from dfer.datasets.folders import Folders, check_inside
from dfer.datasets.lists import Entry, assemble, read_lines
from dfer.datasets.release import Release, Source, Split
from dfer.errors import UserError

SOURCES: tuple[Source, ...] = ("crops",)
LABELS = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")


def label_files(root: Path) -> list[Path]:
    """The lists that `read` opens, as far as they are there.

    Raises:
        UserError: their folder is not there, or is ambiguous.
    """
    return [path for path in _lists(Folders(root)).values() if path.is_file()]


def read(root: Path, source: Source) -> Release:
    """Read the release at `root`.

    Raises:
        UserError: `source` is "video", a folder or list is not there, or a line of a list is not
            in the release's form.
    """
    if source == "video":
        raise UserError(
            f"{root}: FERV39k is read from its face frames (2_ClipsforFaceCrop). Set `source` to "
            "crops; to align videos of your own, describe them in a CSV (`layout: csv`)."
        )
    folders = Folders(root)
    clips = folders.need("the face crops", "2_ClipsforFaceCrop")
    lists = _lists(folders)
    entries = [entry for split, path in lists.items() for entry in _read_list(path, split)]
    found = {}
    for scene in _folders(folders, clips):
        for emotion in _folders(folders, f"{clips}/{scene}"):
            for number in _folders(folders, f"{clips}/{scene}/{emotion}"):
                found[f"{scene}/{emotion}/{number}"] = f"{clips}/{scene}/{emotion}/{number}"
    notes = []
    other = [e.clip for e in entries if e.clip.split("/")[1].lower() != e.label]
    if other:
        notes.append(
            f"{len(other)} clips have a label other than their folder's name says, one is "
            f"{other[0]}; the label counts."
        )
    return assemble(entries, found, f"{clips}/{{clip}}", "frames", notes)


def _lists(folders: Folders) -> dict[Split, Path]:
    """Split → path of its list, whether it is there or not."""
    folder = folders.need("the lists", "4_setups/All_scenes", "All_scenes")
    return {split: folders.root / folder / f"{split}_All.csv" for split in ("train", "test")}


def _folders(folders: Folders, path: str) -> list[str]:
    return [name for name, is_folder in folders.listing(path).items() if is_folder]


def _read_list(path: Path, split: Split) -> list[Entry]:
    entries = []
    for line, place in read_lines(path):
        words = line.split()
        if len(words) != 2 or words[0].count("/") != 2 or not all(words[0].split("/")):
            raise UserError(
                f"{place}: {line!r} is not of the form 'Action/Sad/0010 Sad'. The release's lists "
                "have a space between path and label, and no header: copy this one anew."
            )
        clip, label = words[0], words[1].lower()
        check_inside(clip, place)
        if label not in LABELS:
            near = difflib.get_close_matches(label, LABELS, n=1)
            raise UserError(
                f"{place}: label {words[1]!r} is none of FERV39k's ({', '.join(LABELS)})."
                + (f" Did you mean {near[0]!r}?" if near else " Copy the list anew.")
            )
        entries.append(Entry(clip, label, 1, split, place))
    if not entries:
        raise UserError(f"{path}: the list is empty. Copy it anew from the release.")
    return entries
