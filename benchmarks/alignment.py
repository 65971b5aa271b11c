"""Following a face with dlib: speed and deviation against a detection in every frame.

    python benchmarks/alignment.py
    python benchmarks/alignment.py --frames 125 --rounds 5

Videos are made here: a photograph of a face that shifts, turns and grows in a known way, H.264 of
360 and 720 lines. Three ways to align each (`dfer.prepare.align`, decoding in it): a detection in
every frame; in every 8th whole frame, the box carried between; in every 8th, around the carried
box. clips/s are those of one core: CPU time of the process and of its decoder. The deviation is the
mean distance of landmarks from those of the first way, in % of the distance between the eyes; the
detector's own noise is the distance of those from where the known motion brings their median.
"""

import argparse
import resource
import tempfile
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
from measuring import Measured, by_turns, ratio, report

from dfer.clips.video import Frames
from dfer.faces.dlib_68 import Dlib68
from dfer.faces.settings import LandmarkSettings
from dfer.faces.similarity import anchors
from dfer.prepare.align import align_clip

PHOTO = skimage.data.astronaut()
FACE = np.array([224.0, 120.0])  # the middle of hers
FACE_SIDE = 100  # about, in pixels of the photograph
EVERY_FRAME, WHOLE, AROUND = (
    "detection in every frame",
    "in every 8th, whole frame",
    "in every 8th, around the carried box",
)


class WholeFrames(Dlib68):
    """The same detector, always given whole frames."""

    searches_parts = False


def motions(height: int, count: int) -> list[np.ndarray]:
    """Photograph → frame, (2, 3) each: the face a quarter of the frame high, and in motion."""
    size, width = height / 4 / FACE_SIDE, height * 16 // 9
    found = []
    for i in range(count):
        scale, turn = size * (1 + 0.2 * np.sin(i / 13)), 0.12 * np.sin(i / 9)
        c, s = scale * np.cos(turn), scale * np.sin(turn)
        matrix = np.array([[c, -s], [s, c]])
        to = [width * (0.5 + 0.12 * np.sin(i / 15)), height * (0.42 + 0.08 * np.cos(i / 11))]
        found.append(np.column_stack([matrix, to - matrix @ FACE]))
    return found


def write_video(path: Path, matrices: list[np.ndarray], height: int) -> None:
    """The moving photograph as H.264, mirrored beyond its borders."""
    size = (height * 16 // 9, height)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "20"})
        stream.width, stream.height = size
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for matrix in matrices:
            frame = cv2.warpAffine(PHOTO, matrix, size, borderMode=cv2.BORDER_REFLECT)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        file.mux(stream.encode())


class Case:
    """One way to align one video; `points` are those of the last time, (frames, 68, 2)."""

    def __init__(self, path: Path, backend: Dlib68, every: int) -> None:
        self.path, self.backend = path, backend
        self.settings = LandmarkSettings("dlib", every=every)
        self.points = np.zeros(0)

    def clips_per_second(self) -> float:
        """Align once."""
        began = cpu_seconds()
        faces = align_clip(Frames(self.path, "video"), self.backend, self.settings)
        taken = cpu_seconds() - began
        self.points = np.stack([face.points for face in faces])
        return 1 / taken


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def deviation(points: np.ndarray, others: np.ndarray) -> float:
    """Mean distance of landmarks (frames, 68, 2) in % of that between the eyes of `others`."""
    eyes = [np.linalg.norm(np.subtract(*anchors(face)[:2])) for face in others]
    return float(100 * (np.linalg.norm(points - others, axis=2).mean(1) / eyes).mean())


def known(points: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Where the motion brings the median of all landmarks, seen from the photograph."""
    there = [m[:, :2] for m in matrices], [m[:, 2] for m in matrices]
    back = [np.linalg.solve(m, (face - t).T).T for face, m, t in zip(points, *there, strict=True)]
    middle = np.median(back, axis=0)
    return np.stack([middle @ m.T + t for m, t in zip(*there, strict=True)])


def main(args: argparse.Namespace) -> None:
    """Measure and write the table."""
    cv2.setNumThreads(1)
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for height in (360, 720):
            path = Path(folder) / f"{height}.mp4"
            matrices = motions(height, args.frames)
            write_video(path, matrices, height)
            cases = {
                EVERY_FRAME: Case(path, WholeFrames(), 1),
                WHOLE: Case(path, WholeFrames(), 8),
                AROUND: Case(path, Dlib68(), 8),
            }
            turns = {name: partial(Case.clips_per_second, case) for name, case in cases.items()}
            values = by_turns(turns, args.rounds)
            truth = cases[EVERY_FRAME].points
            under = {"precision": None, "frames": args.frames}

            def add(name: str, unit: str, found: list[float]) -> None:
                measured.append(Measured(f"{height}p: {name}", unit, found, **under))  # noqa: B023

            for name, found in values.items():
                add(name, "clips/s", found)
            for name in (WHOLE, AROUND):
                add(name, "×", ratio(values[name], values[EVERY_FRAME]))
                add(name, "% of eyes' distance", [deviation(cases[name].points, truth)])
            noise = deviation(truth, known(truth, matrices))
            add("the detector's own noise", "% of eyes' distance", [noise])
    report("alignment", measured, args.out, threads=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100, help="of each video")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default="results/benchmarks/alignment.parquet")
    main(parser.parse_args())
