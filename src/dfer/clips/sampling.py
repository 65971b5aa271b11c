"""Which T frames of a clip the model sees (Section 4.1), and the samplers of other methods.

A sampler is a function of a clip's length N, of T and of a generator, which is None in test. Those
of others are given as their public code has them, N ≥ T or not: no clip is left out here. Where it
draws in test, too, what is drawn stands at its middle.
"""

from collections.abc import Callable

import numpy as np

Generator = np.random.Generator | None  # None: in test
# EST: windows, their length and distance, the clip's length, and what the windows cover of it.
WINDOWS, SNIPPET, STEP, FRAMES = 7, 15, 10, 105
SEEN = STEP * (WINDOWS - 1) + SNIPPET


def sample_frames(
    length: int, frames: int, rng: Generator, sampler: str = "segments"
) -> np.ndarray:
    """Indices (frames,) int64 of the frames that a sampler of `SAMPLERS` chooses of a clip.

    Args:
        length: N, the clip's number of frames.
        frames: T.
        rng: None in test.
    """
    chosen = SAMPLERS[sampler](length, frames, rng)
    return np.minimum(np.floor(chosen).astype(np.int64), length - 1)


def segments(length: int, frames: int, rng: Generator) -> np.ndarray:
    """A random frame of each of T equal segments, in test its middle; short clips repeat frames."""
    position = np.full(frames, 0.5) if rng is None else rng.random(frames)
    return (np.arange(frames) + position) * length / frames


def middle(length: int, frames: int, rng: Generator) -> np.ndarray:
    """The middle frames of `segments`, in training, too."""
    return segments(length, frames, None)


def dfer_clip(length: int, frames: int, rng: Generator) -> np.ndarray:
    """As DFER-CLIP's loader: segments have whole numbers of frames, so a rest is never drawn.

    A clip of at most T frames is shown whole, with its last frame repeated.
    """
    if length <= frames:
        return np.arange(frames)
    if rng is None:
        return segments(length, frames, None)
    segment = length // frames
    return np.arange(frames) * segment + rng.integers(segment, size=frames)


def pairs(length: int, frames: int, rng: Generator) -> np.ndarray:
    """As Former-DFER's loader: T/2 frames, each with the one that follows it.

    A clip of at most T/2 frames (in test one more) shows its first two alone.
    """
    starts = frames // 2
    step = (length - 1) // starts if rng is not None else (length - 1) / starts
    if rng is not None:
        first = np.arange(starts) * step + rng.integers(max(step, 1), size=starts)
    else:
        first = np.floor(step / 2 + np.arange(starts) * step)
    if length <= starts + (rng is None):
        first = np.zeros(starts)
    return np.repeat(first, 2) + np.tile([0, 1], starts)


def grid(length: int, frames: int, rng: Generator) -> np.ndarray:
    """As IAL's loader: segments of whole numbers of frames, in test their middles.

    A clip of fewer than T frames (in test of T, too) shows its first one alone.
    """
    if length < frames + (rng is None):
        return np.zeros(frames)
    return dfer_clip(length, frames, rng) if length > frames else np.arange(frames)


def shifted(length: int, frames: int, rng: Generator) -> np.ndarray:
    """As M3DFEL's loader: an even grid, each frame later by a random number below T.

    The order may break. Its authors draw in test, too.
    """
    shift = np.full(frames, 0.5) if rng is None else rng.random(frames)
    return np.floor(length * np.arange(frames) / frames) + np.floor(frames * shift)


def ordered(length: int, frames: int, rng: Generator) -> np.ndarray:
    """As the loader of DFEW's authors: T different frames at random, in their order.

    A shorter clip is shown again and again until there are T. In test they are evenly spaced from
    the first frame to the last.
    """
    if rng is None:
        return np.linspace(0, length - 1, frames)
    repeated = np.tile(np.arange(length), -(-frames // length))
    return repeated[np.sort(rng.choice(len(repeated), frames, replace=False))]


def snippets(length: int, frames: int, rng: Generator) -> np.ndarray:
    """As EST's loader: 5 of 15 frames in each of seven overlapping windows; T is 35.

    The clip is first stretched to 105 frames, of which 75 from a random place (in test the middle
    one) are seen.
    """
    per_window = frames // WINDOWS
    start = (FRAMES - SEEN) // 2 if rng is None else rng.integers(FRAMES - SEEN)
    chosen = []
    for window in range(WINDOWS):
        if rng is None:
            own = np.arange(per_window) * (SNIPPET // per_window)
        else:
            own = np.sort(rng.choice(SNIPPET, per_window, replace=False))
        chosen.append(start + STEP * window + own)
    return np.concatenate(chosen) * length / FRAMES


SAMPLERS: dict[str, Callable[[int, int, Generator], np.ndarray]] = {
    sampler.__name__: sampler
    for sampler in (segments, middle, dfer_clip, pairs, grid, shifted, ordered, snippets)
}
