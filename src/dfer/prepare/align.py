"""Stage align: the clips of a shard → 68 landmarks in every frame.

    python -m dfer.prepare.align --shard-list shards/3.parquet --root data/mine \
        --landmark-settings '{"backend": "dlib", "every": 8}' \
        --out landmarks/3.parquet --out-rejects landmarks/3.rejects.parquet

Reads each clip once, frame by frame. A clip that cannot be decoded, or that shows a face in too
few of its frames, is not in the output but in the table of rejects, with the reason.

- landmarks: clip, frame, box x0 … y1 in pixels, detector's score (NaN when carried), points
  (68 × (x, y) in pixels), found ("detected" | "carried" | "missing"); a missing frame has NaN as
  its box and null as its points; decoder (who decoded the clip, and what was done to its frames,
  such as "PyAV; deinterlaced");
- rejects: clip, path, stage, reason.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa

from dfer.clips.shard import read_shard, work_through, write_rejects
from dfer.clips.video import ClipError, Frames
from dfer.errors import stage
from dfer.faces.backends import open_backend, parse_settings
from dfer.faces.settings import LandmarkSettings
from dfer.faces.track import Backend, Face, track
from dfer.files import write_parquet

LANDMARKS_SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("frame", pa.int32()),
        *((side, pa.float32()) for side in ("x0", "y0", "x1", "y1")),
        ("score", pa.float32()),
        ("points", pa.list_(pa.float32())),
        ("found", pa.string()),
        ("decoder", pa.string()),
    ]
)


def align_clip(frames: Frames, backend: Backend, settings: LandmarkSettings) -> list[Face]:
    """Track the face of one clip.

    Raises:
        ClipError: the clip cannot be decoded, or too few of its frames show a face.
    """
    faces = track(frames, backend, settings.every)
    found = sum(face.found != "missing" for face in faces)
    if found == 0:
        raise ClipError(f"no face found in any of the {len(faces)} frames.")
    if found < settings.min_face_share * len(faces):
        raise ClipError(
            f"a face in only {found} of {len(faces)} frames, less than the share "
            f"{settings.min_face_share:g} that min_face_share asks for."
        )
    return faces


def to_rows(clip: str, faces: list[Face], decoder: str = "") -> pd.DataFrame:
    """One row a frame, in the columns of `LANDMARKS_SCHEMA`."""
    nowhere = np.full(4, np.nan)
    boxes = np.stack([nowhere if face.box is None else face.box for face in faces])
    return pd.DataFrame(
        {
            "clip": clip,
            "frame": np.arange(len(faces)),
            **dict(zip(("x0", "y0", "x1", "y1"), boxes.T, strict=True)),
            "score": [face.score for face in faces],
            "points": [None if face.points is None else face.points.ravel() for face in faces],
            "found": [face.found for face in faces],
            "decoder": decoder,
        }
    )


def align_shard(
    clips: pd.DataFrame, root: Path, settings: LandmarkSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Align the clips of one shard, one after the other, in this process.

    Args:
        clips: as `read_shard` gives them.

    Returns:
        landmarks, one row a frame, and rejects, one row a clip.
    """
    backend = open_backend(settings)
    tables = [pd.DataFrame(columns=LANDMARKS_SCHEMA.names)]

    def work(clip: str, frames: Frames) -> str:
        faces = align_clip(frames, backend, settings)
        tables.append(to_rows(clip, faces, frames.described()))
        missing = sum(face.found == "missing" for face in faces)
        return f"{len(faces)} frames" + f", {missing} without a face" * (missing > 0)

    rejects = work_through(clips, root, "align", work)
    return pd.concat(tables), rejects


def main(args: argparse.Namespace) -> None:
    """Write the landmarks and the rejects of one shard."""
    cv2.setNumThreads(1)
    settings = parse_settings(args.landmark_settings)
    clips = read_shard(args.shard_list, args.root)
    landmarks, rejects = align_shard(clips, args.root, settings)
    write_rejects(rejects, args.out_rejects)
    write_parquet(landmarks, args.out, LANDMARKS_SCHEMA)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--shard-list", required=True, type=Path, help="the manifest's rows of the shard")
    add("--root", required=True, type=Path, help="folder of the release")
    add("--landmark-settings", required=True, help="JSON: backend and how it follows a face")
    add("--out", required=True, type=Path, help="output (landmarks of every frame)")
    add("--out-rejects", required=True, type=Path, help="output (clips not used, with reasons)")
    return parser


if __name__ == "__main__":
    stage(main, parser())
