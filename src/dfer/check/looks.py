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

from dfer.clips.images import frame_names, natural_key
from dfer.clips.media import ClipError
from dfer.clips.progress import EVERY as SECONDS
from dfer.clips.progress import Progress
from dfer.clips.store import FACE_SIZE, QUALITY, SUBSAMPLING
from dfer.clips.video import Frames

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
        notes: what is done to its frames, or left out, when it is read.
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
    notes: tuple[str, ...] = ()


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
    scrambled = sorted(names) != names
    frames = Frames(root / path, media, progress)
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
    return Look(*seen, unsure=doubt(names), notes=tuple(frames.notes))


def doubt(names: list[str]) -> str:
    """Why images may not be in the order of time; `names` as of `frame_names`, empty if no reason.

    Their order is that of the numbers in their names, decimals and signs included.
    """
    stems = [os.path.splitext(name)[0] for name in names]
    if len(names) > 1:
        for stem, name in zip(stems, names, strict=True):
            if not re.search(r"\d", stem):
                return f"{name} has no number in its name"
    for stem, name, next_stem, next_name in zip(stems, names, stems[1:], names[1:], strict=False):
        if natural_key(stem)[0] == natural_key(next_stem)[0]:
            return f"{name} and {next_name} have one number"
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
    """The names of a folder's frames, in the order of time."""
    try:
        with os.scandir(folder) as entries:
            return frame_names(entry.name for entry in entries)[0]
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
