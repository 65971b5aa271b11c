"""From 68 landmarks to an upright face of a fixed size, by a similarity transform.

The transform is fitted to four points that lie on bone and that expressions hardly move: the two
eyes (midpoints between their corners, so that a blink does not count), the bridge of the nose and
its base. The corners of the mouth are left out on purpose: fitted to them, a smile would move and
shrink the whole face.
"""

from collections.abc import Sequence

import cv2
import numpy as np

# Where the four points come to lie, as shares of the side of the output. Eyes a third of the side
# apart leave the chin of an open mouth inside the picture.
TEMPLATE = np.array([[0.33, 0.36], [0.67, 0.36], [0.50, 0.44], [0.50, 0.566]])


def anchors(points: np.ndarray) -> np.ndarray:
    """The four points that a face is aligned by.

    Args:
        points: (68, 2), in the order of the 300-W annotation.

    Returns:
        float64 (4, 2): the eye on the image's left, the one on its right, bridge, base of the nose.
    """
    points = np.asarray(points, dtype=np.float64)
    return np.stack(
        [
            points[[36, 39]].mean(0),
            points[[42, 45]].mean(0),
            points[27:31].mean(0),
            points[31:36].mean(0),
        ]
    )


def fit(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity transform that maps `source` to `target` with the least squared error.

    Points as complex numbers: turn and scale are one factor w, and the w that minimises
    Σ |w z − z'|² over centred points is Σ z̄ z' / Σ |z|². In two dimensions this is the solution of
    Umeyama (TPAMI 1991) without reflections.

    Args:
        source, target: (n, 2), n ≥ 2, source points not all equal.

    Returns:
        float64 (2, 3), the matrix [sR | t].
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    z, z_target = (points @ np.array([1, 1j]) for points in (source, target))
    centred = z - z.mean()
    w = np.vdot(centred, z_target - z_target.mean()) / np.vdot(centred, centred)
    t = z_target.mean() - w * z.mean()
    return np.array([[w.real, -w.imag, t.real], [w.imag, w.real, t.imag]])


def face_transform(points: np.ndarray, size: int) -> np.ndarray:
    """The transform (2, 3) from pixels of the frame to those of a face of `size`×`size`."""
    return fit(anchors(points), TEMPLATE * size)


def transforms(points: Sequence[np.ndarray | None], size: int) -> np.ndarray:
    """The transform of every frame of a clip.

    A frame without a face takes that of the nearest frame with one, the earlier of two as near.

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


def warp(frame: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Cut the aligned face out of a frame.

    Interpolation is bilinear. A face that has to shrink by 2 or more is first reduced by the whole
    number below, by the mean over pixels, so that every pixel of the frame counts (cv2 cannot
    average areas while it warps). What lies outside the frame repeats the frame's border: a face
    that is partly outside gets no hard black edge, which a network would learn to see.

    Args:
        frame: uint8 (H, W, 3).
        matrix: (2, 3), frame → face.

    Returns:
        uint8 (size, size, 3).
    """
    shrink = int(1 / np.sqrt(np.linalg.det(matrix[:, :2])))
    if shrink >= 2:
        height, width = (side // shrink for side in frame.shape[:2])
        frame = cv2.resize(
            frame[: height * shrink, : width * shrink],
            (width, height),
            interpolation=cv2.INTER_AREA,
        )
        # A pixel's centre: x = shrink·x' + (shrink − 1)/2
        matrix = np.column_stack(
            [matrix[:, :2] * shrink, matrix[:, 2] + matrix[:, :2].sum(1) * (shrink - 1) / 2]
        )
    return cv2.warpAffine(
        frame, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
