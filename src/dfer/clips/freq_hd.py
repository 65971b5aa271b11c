"""Freq-HD: which frames of a clip move most, by frequency, and not by movement of the head.

Tao et al., "Freq-HD: An Interpretable Frequency-based High-Dynamics Affective Clip Selection
Method for in-the-Wild Facial Expression Recognition in Videos", ACM MM 2023.

    low, high = a Gaussian low pass of a grey frame, and the rest
    A = |temporal DFT|² at k = 2, 3 of a window of 4 frames, mean over pixels, / 4   of low and high
    r = distance of (A_low, A_high), each / its maximum, from a line fitted by RANSAC
    weight of a window = A_high / softmax over windows of 10 r                       (MBC)

A pass that is symmetric in frequency leaves pictures real, so that by Parseval's theorem a mean
over pixels is a sum over frequencies and no picture is transformed back.
"""

import cv2
import numpy as np
from sklearn.linear_model import RANSACRegressor

from dfer.clips.sampling import sample_frames

WINDOW = 4  # frames
BINS = (2, 3)  # of a window's temporal DFT
SUPPRESSION = 10.0  # of windows off the line
RADIUS = 20.0  # of the low pass, in cycles a frame
SEED = 123  # of RANSAC


def amplitudes(frames: np.ndarray, radius: float = RADIUS) -> tuple[np.ndarray, np.ndarray]:
    """How much windows change in low and in high spatial frequencies.

    Args:
        frames: (N, H, W, 3) uint8, RGB, N ≥ 4.
        radius: of the low pass; the public code has 20 at 224 pixels. It counts cycles a frame, so
            it is the same for the same picture at any size.

    Returns:
        A_low and A_high (N − 3,), of the windows that begin at each frame.
    """
    count, height, width = frames.shape[:3]
    # The public code takes blue for red and red for blue, and so does this.
    grey = cv2.cvtColor(frames.reshape(-1, width, 3), cv2.COLOR_BGR2GRAY)
    spectra = np.fft.fft2(grey.reshape(count, height, width).astype(np.float32))
    down, across = np.fft.fftfreq(height, 1 / height), np.fft.fftfreq(width, 1 / width)
    low = np.exp(-(down[:, None] ** 2 + across**2) / (2 * radius**2))
    passes = np.stack([low, 1 - low]) ** 2 / (WINDOW * (height * width) ** 2)
    turns = np.exp(-2j * np.pi * np.outer(BINS, np.arange(WINDOW)) / WINDOW).astype(np.complex64)
    found = []
    for start in range(count - WINDOW + 1):
        window = np.tensordot(turns, spectra[start : start + WINDOW], axes=1)  # (bins, H, W)
        found.append((passes * (np.abs(window) ** 2).sum(axis=0)).sum(axis=(1, 2)))
    return tuple(np.array(found).T)


def window_weights(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A_low and A_high (W,) of at least two windows → the weight of each (W,)."""
    x, y = (a / max(a.max(), np.finfo(float).tiny) for a in (low, high))
    line = RANSACRegressor(random_state=SEED).fit(x[:, None], y)
    off = SUPPRESSION * np.abs(y - line.predict(x[:, None]))
    share = np.exp(off - off.max())
    return y * share.sum() / share


def select(frames: np.ndarray, number: int, radius: float = RADIUS) -> np.ndarray:
    """The frames of the windows of highest weight: indices (number,) int64, never falling.

    How many windows and how many frames the authors take is not public. Here windows are taken by
    falling weight until they cover `number` frames, of the last one those that come first; a clip
    of at most `number` frames, or without two windows, is sampled evenly.
    """
    length = len(frames)
    if length <= max(number, WINDOW):
        return sample_frames(length, number, None)
    weights = window_weights(*amplitudes(frames, radius))
    chosen: dict[int, None] = {}  # in the order in which they are taken
    for start in np.argsort(-weights, kind="stable"):
        chosen |= dict.fromkeys(range(start, start + WINDOW))
    return np.sort(list(chosen)[:number]).astype(np.int64)
