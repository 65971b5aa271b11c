"""Stage extract: the clips of a shard → aligned faces, all frames, in one shard of the clip store.

    python -m dfer.prepare.extract --shard-list shards/3.parquet --root data/mine \
        --landmarks landmarks/3.parquet --rejects landmarks/3.rejects.parquet \
        --out store/3.arrow --out-rejects store/3.rejects.parquet

Each frame is warped by the transform of its own landmarks; a frame without a face by that of the
nearest frame with one (the earlier of two as near). Clips that the align stage rejected are left
out; a clip that is rejected here is in this stage's table of rejects.

Without `--landmarks`, the clips are taken for face crops that are aligned already (folders of
images, or videos), as DFEW and FERV39k ship them: each frame is resized to a square. All frames are
encoded anew, also those that have the right size, so that the store has one format.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa

from dfer.arguments import positive
from dfer.clips.shard import REJECTS_SCHEMA, read_shard, work_through, write_rejects
from dfer.clips.store import FACE_SIZE, ShardWriter
from dfer.clips.video import ClipError, Frames
from dfer.errors import UserError, stage
from dfer.faces.similarity import transforms, warp
from dfer.files import read_parquet

POINTS_SCHEMA = pa.schema(
    [("clip", pa.string()), ("frame", pa.int32()), ("points", pa.list_(pa.float32()))]
)
Landmarks = dict[str, list[np.ndarray | None]]  # clip → (136,) a frame; None: no face found


def aligned(frames: Frames, matrices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Warp each frame by its own transform.

    Args:
        matrices: (n, 2, 3), as `transforms` gives them.

    Raises:
        ClipError: the clip does not have as many frames as there are transforms.
    """
    count = 0
    for frame in frames:
        if count < len(matrices):
            yield warp(frame, matrices[count], size)
        count += 1
    if count != len(matrices):
        raise ClipError(
            f"{frames.path.name} has {count} frames but landmarks for {len(matrices)}: the file "
            "has changed since it was aligned. Run the align stage again."
        )


def resized(frames: Frames, size: int) -> Iterator[np.ndarray]:
    """Resize each frame to a square, whatever its shape; by area when it shrinks."""
    for frame in frames:
        is_larger = max(frame.shape[:2]) > size
        interpolation = cv2.INTER_AREA if is_larger else cv2.INTER_LINEAR
        yield cv2.resize(frame, (size, size), interpolation=interpolation)


def read_landmarks(path: Path) -> Landmarks:
    """The landmarks of the clips of a shard, as the align stage wrote them."""
    table = read_parquet(path, POINTS_SCHEMA).sort_values(["clip", "frame"])
    return {clip: rows["points"].tolist() for clip, rows in table.groupby("clip", sort=False)}


def to_extract(clips: pd.DataFrame, landmarks: Landmarks, rejects: pd.DataFrame) -> pd.DataFrame:
    """The clips that the align stage has not rejected.

    Raises:
        UserError: a clip has neither landmarks nor a reason for having none.
    """
    kept = clips[~clips["clip"].isin(rejects["clip"])]
    for clip in kept["clip"]:
        if clip not in landmarks:
            raise UserError(
                f"clip {clip!r} is neither in the landmarks nor in the align stage's rejects: they "
                "are of another list of clips. Run the align stage again."
            )
    return kept


def extract_shard(
    clips: pd.DataFrame, root: Path, landmarks: Landmarks | None, size: int, out: Path
) -> pd.DataFrame:
    """Extract the clips of one shard, one after the other, in this process.

    Args:
        clips: as `read_shard` gives them.
        landmarks: of every clip; None: the clips are face crops.
        size: pixels a side of the faces.
        out: path of the shard.

    Returns:
        rejects, one row a clip.
    """
    with ShardWriter(out) as store:

        def work(clip: str, frames: Frames) -> str:
            if landmarks is None:
                faces = resized(frames, size)
            else:
                faces = aligned(frames, transforms(landmarks[clip], size), size)
            return f"{store.add(clip, faces)} frames"

        return work_through(clips, root, "extract", work)


def main(args: argparse.Namespace) -> None:
    """Write one shard of the clip store, and its rejects."""
    cv2.setNumThreads(1)
    clips = read_shard(args.shard_list, args.root)
    landmarks = None
    if args.landmarks is not None:
        landmarks = read_landmarks(args.landmarks)
        clips = to_extract(clips, landmarks, read_parquet(args.rejects, REJECTS_SCHEMA))
    rejects = extract_shard(clips, args.root, landmarks, args.size, args.out)
    write_rejects(rejects, args.out_rejects)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--shard-list", required=True, type=Path, help="the manifest's rows of the shard")
    add("--root", required=True, type=Path, help="folder of the release")
    add("--landmarks", type=Path, help="of every frame, from align; none: clips are face crops")
    add("--rejects", type=Path, help="rejected clips; those of align, with --landmarks")
    add("--size", type=positive, default=FACE_SIZE, help="side of written images, in pixels")
    add("--out", required=True, type=Path, help="output (shard of the clip store)")
    add("--out-rejects", required=True, type=Path, help="output (clips not used, with reasons)")
    return parser


if __name__ == "__main__":
    stage(main, parser())
