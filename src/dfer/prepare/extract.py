"""Stage extract: the clips of a shard → aligned faces, all frames, in one shard of the clip store.

    python -m dfer.prepare.extract --clips shards/3.parquet --root data/mine \
        --landmarks landmarks/3.parquet --align-rejects rejects/align/3.parquet \
        --size 224 --out store/3.arrow --rejects rejects/extract/3.parquet

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

from dfer.clips.shard import read_shard, work_through, write_rejects
from dfer.clips.store import ShardWriter
from dfer.clips.video import ClipError, Frames
from dfer.errors import UserError, stage
from dfer.faces.similarity import face_transform, warp
from dfer.files import read_parquet


def transforms(points: list[np.ndarray | None], size: int) -> np.ndarray:
    """The transform of every frame of a clip.

    Args:
        points: (68, 2) or flat (136,) landmarks a frame, None where no face was found; at least
            one is not None.

    Returns:
        float64 (n, 2, 3), frame → face of `size`×`size`.
    """
    found = np.array([number for number, face in enumerate(points) if face is not None])
    fitted = [face_transform(np.reshape(points[number], (68, 2)), size) for number in found]
    numbers = np.arange(len(points))
    nearest = np.abs(numbers[:, None] - found).argmin(1)  # the first of equals: the earlier frame
    return np.stack(fitted)[nearest]


def aligned(frames: Frames, matrices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Warp each frame by its own transform.

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
        smaller = max(frame.shape[:2]) > size
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        yield cv2.resize(frame, (size, size), interpolation=how)


def read_landmarks(path: Path) -> dict[str, list[np.ndarray | None]]:
    """Clip → the flat (136,) landmarks of its frames, None where no face was found."""
    table = read_parquet(path, ["clip", "frame", "points"]).sort_values(["clip", "frame"])
    return {clip: rows["points"].tolist() for clip, rows in table.groupby("clip", sort=False)}


def to_extract(
    clips: pd.DataFrame, landmarks: dict[str, list[np.ndarray | None]], rejects: pd.DataFrame
) -> pd.DataFrame:
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


def main(args: argparse.Namespace) -> None:
    """Extract the clips of one shard, one after the other, in this process."""
    cv2.setNumThreads(1)
    clips = read_shard(args.clips, args.root)
    landmarks = None
    if args.landmarks is not None:
        landmarks = read_landmarks(args.landmarks)
        clips = to_extract(clips, landmarks, read_parquet(args.align_rejects))

    with ShardWriter(args.out) as store:

        def work(clip: str, frames: Frames) -> str:
            if landmarks is None:
                faces = resized(frames, args.size)
            else:
                faces = aligned(frames, transforms(landmarks[clip], args.size), args.size)
            return f"{store.add(clip, faces)} frames"

        rejects = work_through(clips, args.root, "extract", work)
    write_rejects(rejects, args.rejects)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--clips", required=True, type=Path, help="the manifest's rows of the shard")
    add("--root", required=True, type=Path, help="folder of the release")
    add("--landmarks", type=Path, help="landmarks of the align stage; none: clips are face crops")
    add("--align-rejects", type=Path, help="rejects of the align stage; goes with --landmarks")
    add("--size", required=True, type=int, help="side of the face images in pixels")
    add("--out", required=True, type=Path, help="output: shard of the clip store")
    add("--rejects", required=True, type=Path, help="output: table of rejected clips")
    return parser


if __name__ == "__main__":
    stage(main, parser())
