"""Follow one face through a clip: detect now and then, place landmarks in every frame.

Detection costs ten times as much as landmarks. It runs in every n-th frame at full resolution;
between, the box is carried by the landmarks: it keeps its place and size relative to them. Carried
landmarks differ from those of a detection in every frame by no more than the detector's own noise.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Found = Literal["detected", "carried", "missing"]


class Backend(Protocol):
    """What finds faces and places landmarks: `Dlib68` or `FaceAlignment68`."""

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """(n, 5): x0, y0, x1, y1, score."""

    def landmarks(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        """(68, 2) float32 for the face in `box`."""


@dataclass(frozen=True)
class Face:
    """The face in one frame.

    Attributes:
        box: (4,) x0, y0, x1, y1 in pixels; None if missing.
        score: the detector's; NaN when carried or missing.
        points: float32 (68, 2) in pixels; None if missing.
        found: "detected", "carried" (by the landmarks of the frame before) or "missing".
    """

    box: np.ndarray | None
    score: float
    points: np.ndarray | None
    found: Found


MISSING = Face(None, float("nan"), None, "missing")


def track(frames: Iterable[np.ndarray], backend: Backend, every: int) -> list[Face]:
    """Follow one face.

    The first face of a clip is the largest one; later the one nearest to where it was last. Where
    a detection that is due finds nothing, the frame is missing and the next frame is searched,
    until a face is found; the next detection is then due `every` frames later. A carried box whose
    centre has left the frame is given up, and the frame is searched.

    Args:
        frames: uint8 RGB (H, W, 3) each, read once, one at a time.
        every: detect in every n-th frame; 1 detects in all.

    Returns:
        one `Face` a frame.
    """
    faces: list[Face] = []
    last: Face | None = None  # the face in the last frame that showed it
    relation = np.zeros(4)  # of its detected box to its landmarks, see `relate`
    due = 0  # the frame in which to detect next
    for number, frame in enumerate(frames):
        face = None
        if number < due:
            face = _carried(frame, backend, last.points, relation)
        if face is None:
            face = _detected(frame, backend, last)
            if face is None:
                due = number + 1
            else:
                due = number + every
                relation = relate(face.box, face.points)
        faces.append(face or MISSING)
        last = face or last
    return faces


def _carried(
    frame: np.ndarray, backend: Backend, points: np.ndarray, relation: np.ndarray
) -> Face | None:
    box = carry(relation, points)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if not (0 <= x < frame.shape[1] and 0 <= y < frame.shape[0]):
        return None
    return Face(box, float("nan"), backend.landmarks(frame, box), "carried")


def _detected(frame: np.ndarray, backend: Backend, last: Face | None) -> Face | None:
    boxes = backend.detect(frame)
    if len(boxes) == 0:
        return None
    chosen = largest(boxes) if last is None else nearest(boxes, last.box)
    box = boxes[chosen, :4]
    return Face(box, float(boxes[chosen, 4]), backend.landmarks(frame, box), "detected")


def largest(boxes: np.ndarray) -> int:
    """Which of (n, 4 or 5) boxes has the largest area."""
    return int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))


def nearest(boxes: np.ndarray, to: np.ndarray) -> int:
    """Which of (n, 4 or 5) boxes has its centre nearest to that of `to`."""
    centres = boxes[:, 0:2] + boxes[:, 2:4]
    return int(np.argmin(((centres - (to[0:2] + to[2:4])) ** 2).sum(1)))


def relate(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The corners (4,) of `box` as seen from the landmarks: from their mean, in their spread."""
    centre = points.mean(0)
    return ((box.reshape(2, 2) - centre) / spread(points)).reshape(4)


def carry(relation: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The box (4,) that stands to `points` in the given `relation`."""
    return (relation.reshape(2, 2) * spread(points) + points.mean(0)).reshape(4)


def spread(points: np.ndarray) -> float:
    """Root mean squared distance of the points from their mean, in pixels."""
    return float(np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean()))
