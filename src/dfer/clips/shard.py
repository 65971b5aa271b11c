"""Work through the clips of a shard: what the stages that open clips have in common.

A clip that cannot be used neither ends its shard nor is dropped in silence: it goes to the shard's
table of rejects (clip, path, stage, reason), which is written even when it is empty.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow as pa

from dfer.clips.media import Media, is_inside
from dfer.clips.progress import Progress
from dfer.clips.video import ClipError, Frames
from dfer.errors import UserError
from dfer.files import read_parquet, write_parquet

CLIPS_SCHEMA = pa.schema([(name, pa.string()) for name in ("clip", "path", "media")])
REJECTS_SCHEMA = pa.schema([(name, pa.string()) for name in ("clip", "path", "stage", "reason")])


def read_shard(shard: Path, root: Path) -> pd.DataFrame:
    """The manifest's rows of a shard, checked before anything is opened.

    Raises:
        UserError: no root, or a row that is not a clip inside the root.
    """
    if not os.path.isdir(root):
        raise UserError(f"{root}: no such folder. Set the dataset's root to where its release is.")
    clips = read_parquet(shard, CLIPS_SCHEMA)
    for clip, path, media in clips.itertuples(index=False):
        if not isinstance(clip, str) or not isinstance(path, str):
            raise UserError(f"{shard}: a row without clip or path. Run the manifest stage again.")
        if not is_inside(path):
            raise UserError(
                f"{shard}: clip {clip!r} has the path {path!r}, which leaves the root. Paths are "
                "relative to the root, without '..'. Correct the release's list."
            )
        if media not in get_args(Media):
            raise UserError(
                f"{shard}: clip {clip!r} has media {media!r}, not 'video' or 'frames'. "
                "Run the manifest stage again."
            )
    return clips


def work_through(
    clips: pd.DataFrame, root: Path, stage: str, work: Callable[[str, Frames], str]
) -> pd.DataFrame:
    """Call `work(clip, frames)` for each clip, in order, with one line of log on stderr a clip.

    Where a clip takes long there are more, with the frames so far and the time that is left.

    Args:
        clips: as `read_shard` gives them.
        stage: its name, for the log and the rejects.
        work: uses the frames of one clip and returns its line of log; raises `ClipError` to reject
            it.

    Returns:
        the rejects, in the columns of `REJECTS_SCHEMA`.
    """
    start, rejects, incomplete = time.monotonic(), [], 0
    progress = Progress(stage, len(clips))
    for number, (clip, path, media) in enumerate(clips.itertuples(index=False), start=1):
        frames = Frames(root / path, media, progress)
        try:
            message = work(clip, frames)
        except ClipError as error:
            rejects.append((clip, path, stage, str(error)))
            message = f"REJECTED: {error}"
        else:
            message += "".join(f", {note}" for note in frames.notes)
            if frames.lost:
                incomplete += 1
                message += f", {frames.lost} lost: they do not decode"
        _log(f"[{number}/{len(clips)}] {clip}: {message}")
        progress.done()
    _log(
        f"{stage}: {len(clips) - len(rejects)} clips done, {incomplete} of them with lost frames; "
        f"{len(rejects)} rejected; {time.monotonic() - start:.0f} s"
    )
    return pd.DataFrame(rejects, columns=REJECTS_SCHEMA.names)


def write_rejects(rejects: pd.DataFrame, path: Path) -> None:
    """Write a table of rejects."""
    write_parquet(rejects, path, REJECTS_SCHEMA)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
