"""Frames as a model takes them: of its size, channel by channel; without torch.

They are resized to the pixels of torch's bilinear filter with antialiasing, bit by bit. A pixel of
the result is the mean of those of the frame, weighted by a triangle about its place, one pixel wide
to each side, or one of the result where that is larger: along rows, then along columns, rounded to
8 bits both times. torch does it on whole numbers: weights are scaled to 16 bits, and half a unit is
added before the sum is cut. float32 adds such numbers exactly below 2²⁴, float64 all of them.
"""

from functools import cache

import cv2
import numpy as np

BITS = 15  # of a weight at most, without its sign
EXACT = 16  # bits of weights whose sums float32 adds exactly: 255 · 2¹⁶ < 2²⁴


def planes(frames: np.ndarray, size: int) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 → (T, 3, size, size) uint8."""
    found = np.empty((len(frames), 3, *frames.shape[1:3]), np.uint8)
    to_planes(frames, found)
    if found.shape[3] != size:
        weights, shift = _filter(found.shape[3], size)
        found = _rounded(found.astype(weights.dtype) @ weights.T, shift)
    if found.shape[2] != size:
        weights, shift = _filter(found.shape[2], size)
        found = _rounded(weights @ found.astype(weights.dtype), shift)
    return found


def to_planes(frames: np.ndarray, out: np.ndarray) -> None:
    """Write frames (T, H, W, 3) uint8 to `out`, (T, 3, H, W), in a quarter of numpy's time."""
    for frame, its_planes in zip(frames, out, strict=True):
        cv2.split(frame, list(its_planes))


@cache
def _filter(length: int, size: int) -> tuple[np.ndarray, int]:
    """Whole weights (size, length) of pixels along an axis, and the bits they are scaled by."""
    step = length / size
    reach = max(step, 1.0)
    centres = step * (np.arange(size) + 0.5)
    first = np.maximum((centres - reach + 0.5).astype(int), 0)
    last = np.minimum((centres + reach + 0.5).astype(int), length)
    places = np.arange(length)
    weights = 1 - np.abs((places - centres[:, None] + 0.5) * (1 / reach))
    weights *= (weights > 0) & (places >= first[:, None]) & (places < last[:, None])
    weights /= weights.cumsum(axis=1)[:, -1:]  # summed one after the other, as torch does
    shift = 0
    while shift < 22 and int(0.5 + weights.max() * 2 ** (shift + 1)) < 2**BITS:
        shift += 1
    kind = np.float32 if shift <= EXACT else np.float64
    return np.floor(0.5 + weights * 2**shift).astype(kind), shift


def _rounded(sums: np.ndarray, shift: int) -> np.ndarray:
    """Sums of whole weights and pixels as pixels."""
    return np.minimum((sums.astype(np.int32) + (1 << shift >> 1)) >> shift, 255).astype(np.uint8)
