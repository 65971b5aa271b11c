"""Follow one face through a clip: detect now and then, place landmarks in every frame.

Detection costs ten times as much as landmarks. It runs in every n-th frame at full resolution;
between, the box is carried by the landmarks: it keeps its place and size relative to them. Where
the backend allows, a frame that is due is searched around the carried box, and as a whole only
where nothing is found there. Landmarks differ from those of a detection in every whole frame by no
more than the detector's own noise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np

Found = Literal["detected", "carried", "missing"]

REGION = 2.0  # side of the square around a carried box that is searched, in sides of the box


class Backend(Protocol):
    """What finds faces and places landmarks: `Dlib68` or `FaceAlignment68`.

    Attributes:
        searches_parts: whether `detect` finds in a part of a frame what it finds there in the whole
            one, in less time.
        batch: in how many frames at a time landmarks are placed where their boxes are known before.
            Those of a carried box are not: they hang on the landmarks of the frame before.
    """

    searches_parts: ClassVar[bool] = False
    batch: int = 1

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """(n, 5): x0, y0, x1, y1, score."""

    def landmarks(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        """(68, 2) float32 for the face in `box`."""

    def landmarks_of(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> Sequence[np.ndarray]:
        """`landmarks` of each frame and its box."""
        return [self.landmarks(*face) for face in zip(frames, boxes, strict=True)]


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
    a detection that is due finds nothing in the whole frame, the frame is missing and the next one
    is searched, until a face is found; the next detection is then due `every` frames later. A
    carried box whose centre has left the frame is given up, and the frame is searched.

    Args:
        frames: uint8 RGB (H, W, 3) each, read once, one after the other.
        every: detect in every n-th frame; 1 detects in all, each as a whole.

    Returns:
        one `Face` a frame.
    """
    if every == 1 and backend.batch > 1:
        return _all_detected(frames, backend)
    faces: list[Face] = []
    last: Face | None = None  # the face in the last frame that showed it
    relation = np.zeros(4)  # of its detected box to its landmarks, see `relate`
    due = 0  # the frame in which to detect next
    for number, frame in enumerate(frames):
        face = box = None
        if every > 1 and faces and faces[-1] is last:
            box = _inside(carry(relation, last.points), frame)
        if box is not None and number < due:
            face = Face(box, float("nan"), backend.landmarks(frame, box), "carried")
        if face is None:
            around = box if number == due and backend.searches_parts else None
            face = _detected(frame, backend, last, around)
            if face is None:
                due = number + 1
            else:
                due = number + every
                relation = relate(face.box, face.points)
        faces.append(face or MISSING)
        last = face or last
    return faces


def _all_detected(frames: Iterable[np.ndarray], backend: Backend) -> list[Face]:
    """`track` with a detection in every frame, and landmarks in `backend.batch` at a time."""
    faces: list[Face] = []
    waiting: list[tuple[int, np.ndarray, np.ndarray]] = []  # number, frame, detected box
    last: np.ndarray | None = None

    def place() -> None:
        found = backend.landmarks_of([frame for _, frame, _ in waiting], [w[2] for w in waiting])
        for (number, _, box), points in zip(waiting, found, strict=True):
            faces[number] = Face(box[:4], float(box[4]), points, "detected")
        waiting.clear()

    for number, frame in enumerate(frames):
        faces.append(MISSING)
        boxes = backend.detect(frame)
        if len(boxes):
            last = boxes[largest(boxes) if last is None else nearest(boxes, last)]
            waiting.append((number, frame, last))
        if len(waiting) == backend.batch:
            place()
    if waiting:
        place()
    return faces


def _inside(box: np.ndarray, frame: np.ndarray) -> np.ndarray | None:
    """The box, or None where its centre has left the frame."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return box if 0 <= x < frame.shape[1] and 0 <= y < frame.shape[0] else None


def _detected(
    frame: np.ndarray, backend: Backend, last: Face | None, around: np.ndarray | None
) -> Face | None:
    """The face to follow in a frame; what is found near the box `around` is not looked for afar."""
    boxes = np.zeros((0, 5))
    if around is not None:
        (left, top), part = region(frame, around)
        boxes = backend.detect(part) + np.array([left, top, left, top, 0.0])
    if len(boxes) == 0:
        boxes = backend.detect(frame)
    if len(boxes) == 0:
        return None
    chosen = largest(boxes) if last is None else nearest(boxes, last.box)
    box = boxes[chosen, :4]
    return Face(box, float(boxes[chosen, 4]), backend.landmarks(frame, box), "detected")


def region(frame: np.ndarray, box: np.ndarray) -> tuple[tuple[int, int], np.ndarray]:
    """The part of a frame around a box whose centre is inside, at least a pixel.

    Returns:
        its left upper corner (x, y), and a view of its pixels.
    """
    centre = (box[0:2] + box[2:4]) / 2
    half = REGION / 2 * max(box[2] - box[0], box[3] - box[1])
    left, top = np.maximum(np.floor(centre - half), 0).astype(int).tolist()
    right, bottom = np.maximum(np.ceil(centre + half), [left + 1, top + 1]).astype(int).tolist()
    return (left, top), frame[top:bottom, left:right]


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
