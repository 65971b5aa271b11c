"""The face in a clip: followed from the first frame to the last, and cut out for the model."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dfer.clips.progress import Progress
from dfer.clips.store import FACE_SIZE
from dfer.clips.video import ClipError, Frames
from dfer.faces.similarity import transforms, warp
from dfer.faces.track import Backend, Face, track
from dfer.predict.footage import Clip, frame_times
from dfer.predict.windows import Window, cut_windows, whole


@dataclass(frozen=True)
class Footage:
    """A clip whose face was followed.

    Attributes:
        faces: one a frame.
        times: as `frame_times` gives them; None where the clip is a folder of images.
        lost: frames that do not decode.
        notes: what was done to the frames, or left out.
        progress: told of each frame that is read again; None: nobody is.
    """

    clip: Clip
    faces: list[Face]
    times: np.ndarray | None
    lost: int
    notes: tuple[str, ...] = ()
    progress: Progress | None = None

    def frames(self) -> Frames:
        """The frames of the clip, read again."""
        return Frames(self.clip.path, self.clip.media, self.progress)

    def windows(self, seconds: float, stride: float) -> list[Window]:
        """The windows, see `cut_windows`; a folder of images is one, whatever its length."""
        if self.times is None:
            return [whole(len(self.faces))]
        return cut_windows(self.times, seconds, stride)

    def face_share(self, window: Window) -> float:
        """The share of a window's frames that show a face."""
        faces = self.faces[window.start : window.stop]
        return sum(face.found != "missing" for face in faces) / len(faces)


def follow(clip: Clip, backend: Backend, every: int, progress: Progress | None = None) -> Footage:
    """Follow the face of a clip from its first frame to its last.

    Args:
        every: detect in every n-th frame, carry the box between.
        progress: told of each frame, now and later; None: nobody is.

    Raises:
        ClipError: the clip cannot be decoded, or has no face at all.
    """
    frames = Frames(clip.path, clip.media, progress)
    faces = track(frames, backend, every)
    if all(face.found == "missing" for face in faces):
        raise ClipError(f"no face found in any of the {len(faces)} frames.")
    times = None
    if clip.media == "video":
        times = frame_times(frames.path, len(faces), frames.stamps)
    return Footage(clip, faces, times, frames.lost, tuple(frames.notes), progress)


def cut_faces(
    footage: Footage, windows: Sequence[Window], count: int, sampler: str = "segments"
) -> Iterator[tuple[int, np.ndarray]]:
    """Read the clip again and cut out the aligned faces that the model sees.

    A frame without a face is aligned by the nearest frame of its window that has one. No more is
    kept than the faces of windows that are not complete yet.

    Args:
        windows: each with a face somewhere.
        count: T.
        sampler: of the model's run.

    Yields:
        a window's number, and its faces, uint8 RGB (T, FACE_SIZE, FACE_SIZE, 3), in the order in
            which the sampler chooses them.

    Raises:
        ClipError: the clip has fewer frames than it had when its face was followed.
    """
    wanted: dict[int, list[tuple[int, int, np.ndarray]]] = defaultdict(list)
    for window in windows:
        points = [face.points for face in footage.faces[window.start : window.stop]]
        matrices = transforms(points, FACE_SIZE)
        for place, frame in enumerate(window.chosen(count, sampler).tolist()):
            wanted[frame].append((window.number, place, matrices[frame - window.start]))
    cut: dict[int, dict[int, np.ndarray]] = defaultdict(dict)
    for number, frame in enumerate(footage.frames()):
        for window, place, matrix in wanted.pop(number, ()):
            cut[window][place] = warp(frame, matrix, FACE_SIZE)
            if len(cut[window]) == count:
                faces = cut.pop(window)
                yield window, np.stack([faces[place] for place in range(count)])
    if wanted:
        raise ClipError(f"{footage.clip.path.name} has lost frames while it was read.")
