"""Clips that are one and the same under two ids: linked or copied, perhaps in train and test."""

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

import pandas as pd

from dfer.check.findings import Finding
from dfer.clips.images import frame_names
from dfer.datasets.release import Release, first_few
from dfer.files import sha256


def check_copies(root: Path, present: pd.DataFrame, release: Release) -> list[Finding]:
    """Name the clips that are one and the same, and the folds that have them on both sides.

    Args:
        present: the rows of `release.clips` that are on disk.
    """
    groups = find_copies(root, present)
    if not groups:
        return []
    shown = first_few((" = ".join(group) for group in groups), 20)
    overlaps = list(_overlaps(groups, release.folds))
    text = f"{len(groups)} clips stand under more than one id, linked or copied: {shown}."
    if not overlaps:
        remedy = "They count twice in training, or in the scores: keep one id of each, if you can."
        return [Finding("note", "copies", text, remedy)]
    return [
        Finding(
            "wrong",
            "copies",
            f"{text} In train and test of one fold: {first_few(overlaps, 20)}.",
            "A model is tested on what it was trained on. Keep one id of each, or one side.",
        )
    ]


def find_copies(root: Path, clips: pd.DataFrame) -> list[list[str]]:
    """Groups of ids whose files are the same, by their bytes; each sorted, and the groups too.

    Only files of equal size are read. Of folders, whose images must all be the same, only those as
    long as another whose first and last image are as large; one that shows a single image over and
    over is like many others and tells nothing. Empty files and what cannot be read are left out.
    """
    groups = []
    for media, stages in (("video", VIDEO), ("frames", FOLDER)):
        rows = clips.loc[clips["media"] == media, ["clip", "path"]]
        found = [[(clip, root / path) for clip, path in rows.itertuples(index=False, name=None)]]
        for stage in stages:
            found = [part for group in found for part in _parted(group, stage)]
        groups += [sorted(clip for clip, _ in group) for group in found]
    return sorted(groups)


Clip = tuple[str, Path]


def _parted(group: list[Clip], key: Callable[[Path], Hashable]) -> Iterable[list[Clip]]:
    """The clips of a group that are alike by `key`; None is like no other."""
    parts: dict[Hashable, list[Clip]] = defaultdict(list)
    for clip, path in group:
        try:
            value = key(path)
        except OSError:
            continue
        if value is not None:
            parts[value].append((clip, path))
    return (part for part in parts.values() if len(part) > 1)


def _size(path: Path) -> int | None:
    return path.stat().st_size or None


def _images(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [folder / name for name in frame_names(entry.name for entry in entries)[0]]


def _ends(folder: Path) -> tuple[int, int, int] | None:
    """How many images, and the sizes of the first and the last."""
    images = _images(folder)
    return (len(images), _size(images[0]) or 0, _size(images[-1]) or 0) if images else None


def _end_digests(folder: Path) -> tuple[str, str] | None:
    images = _images(folder)
    first, last = sha256(images[0]), sha256(images[-1])
    return None if first == last else (first, last)


def _all_digests(folder: Path) -> tuple[str, ...]:
    return tuple(map(sha256, _images(folder)))


VIDEO = (_size, sha256)  # each looks only at what the one before it found alike
FOLDER = (_ends, _end_digests, _all_digests)


def _overlaps(groups: list[list[str]], folds: pd.DataFrame) -> Iterable[str]:
    """ "fold 1: a in train, b and c in test", of every group on both sides of a fold."""
    group_of = {clip: number for number, group in enumerate(groups) for clip in group}
    rows = folds[folds["clip"].isin(group_of)]
    rows = rows.assign(group=rows["clip"].map(group_of)).sort_values(["group", "fold", "clip"])
    for (_, fold), part in rows.groupby(["group", "fold"]):
        sides = {side: " and ".join(own["clip"]) for side, own in part.groupby("split")}
        if len(sides) > 1:
            yield f"fold {fold}: {sides['train']} in train, {sides['test']} in test"
