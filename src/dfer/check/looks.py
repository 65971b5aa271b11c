"""Look at the clips of a release: count their images, decode a sample of them."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import simplejpeg

from dfer.clips.media import IMAGE_SUFFIXES
from dfer.clips.progress import EVERY as SECONDS
from dfer.clips.progress import Progress
from dfer.clips.readable import ReadableFrames
from dfer.clips.store import FACE_SIZE, QUALITY, SUBSAMPLING
from dfer.clips.video import ClipError, natural_key

EVERY = 10  # of a clip's frames, one in so many is encoded for the estimate
CHUNK = 64  # clips that are queued for a worker at a time
PART = 8  # clips that a worker looks at before it reports

Row = tuple[str, str, str]  # clip, path, media


class Look(NamedTuple):
    """What decoding one clip showed.

    Attributes:
        clip: its id.
        frames: frames that decode.
        lost: frames that do not.
        sizes: the (width, height) of its frames in pixels, each size once, sorted.
        encoded: frames that were encoded as the store encodes them.
        bytes: what those took.
        scrambled: sorted as plain text, the names of its images are in another order.
        error: why it cannot be used; empty if it can.
        unsure: why the order of its images may not be that of time; empty if nothing says so.
    """

    clip: str
    frames: int
    lost: int
    sizes: tuple[tuple[int, int], ...]
    encoded: int
    bytes: int
    scrambled: bool
    error: str
    unsure: str = ""


def count_images(root: Path, clips: pd.DataFrame) -> dict[str, int]:
    """Images in the folder of every clip whose media is "frames": clip → number.

    One scan a folder, no file is opened. A folder that is not there, or may not be read, counts 0.
    """
    counts = {}
    for clip, path, media in clips[["clip", "path", "media"]].itertuples(index=False):
        if media == "frames":
            counts[clip] = len(_images(root / path))
    return counts


def look(root: Path, row: Row, progress: Progress | None = None) -> Look:
    """Decode all frames of a clip."""
    clip, path, media = row
    names = _images(root / path) if media == "frames" else []
    scrambled = sorted(names) != sorted(names, key=natural_key)
    frames = ReadableFrames(root / path, media, progress)
    sizes: set[tuple[int, int]] = set()
    count, encoded, size, error = 0, 0, 0, ""
    try:
        for count, frame in enumerate(frames, 1):
            sizes.add(frame.shape[1::-1])
            if count % EVERY == 1:
                encoded += 1
                size += _stored_bytes(frame)
    except ClipError as caught:
        error = str(caught)
    seen = clip, count, frames.lost, tuple(sorted(sizes)), encoded, size, scrambled, error
    return Look(*seen, unsure=doubt(names))


def doubt(names: list[str]) -> str:
    """Why images that are sorted by the numbers in their names may not be in the order of time."""
    ordered = sorted(names, key=natural_key)
    stems = [os.path.splitext(name)[0] for name in ordered]
    if len(names) > 1:
        for stem, name in zip(stems, ordered, strict=True):
            if not re.search(r"\d", stem):
                return f"{name} has no number in its name"
    for one, other, *names in zip(stems, stems[1:], ordered, ordered[1:], strict=False):
        if natural_key(one)[0] == natural_key(other)[0]:
            return f"{names[0]} and {names[1]} have one number"
    numbers = [re.fullmatch(r"(.*?)(-?\d+(?:\.\d+)?)", stem, re.S) for stem in stems]
    if all(numbers) and len({match[1] for match in numbers}) == 1:
        values = [float(match[2]) for match in numbers]
        for name, after, value, following in zip(
            ordered, ordered[1:], values, values[1:], strict=False
        ):
            if following < value:
                return f"{after} comes after {name}, as if its sign or decimals were not there"
    return ""


def look_at(root: Path, clips: pd.DataFrame, workers: int) -> Iterator[Look]:
    """`look` at every clip, in the order of `clips`, in `workers` processes."""
    rows = clips[["clip", "path", "media"]].itertuples(index=False, name=None)
    progress = Progress("check", len(clips))
    if workers == 1:
        for row in rows:
            yield look(root, row, progress)
            progress.done()
        return
    # decord must not cross a fork; and 39,000 clips are not queued at once.
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        while queued := list(islice(rows, CHUNK * workers)):
            parts = [queued[start : start + PART] for start in range(0, len(queued), PART)]
            for future in [pool.submit(_look_at_part, root, part) for part in parts]:
                while not wait([future], timeout=SECONDS).done:
                    progress.say()
                for seen in future.result():
                    yield seen
                    progress.done(seen.frames)


def _look_at_part(root: Path, rows: list[Row]) -> list[Look]:
    return [look(root, row) for row in rows]


def sample(clips: pd.DataFrame, size: int) -> pd.DataFrame:
    """`size` of the clips (all if there are fewer), the same at every call, sorted by id."""
    ordered = clips.sort_values("clip", ignore_index=True)
    if size >= len(ordered):
        return ordered
    chosen = np.random.default_rng([size, len(ordered)]).choice(len(ordered), size, replace=False)
    return ordered.iloc[np.sort(chosen)]


def _images(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in entries
                if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.name[0] != "."
            ]
    except OSError:  # `look` says why
        return []


def _stored_bytes(frame: np.ndarray) -> int:
    """What the largest centred square of a frame takes in the clip store."""
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = frame[top : top + side, left : left + side]
    face = cv2.resize(square, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)
    return len(simplejpeg.encode_jpeg(face, QUALITY, "RGB", colorsubsampling=SUBSAMPLING))
