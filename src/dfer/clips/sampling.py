"""Which T frames of a clip the model sees (Section 4.1; the segments of DFER-CLIP's loader)."""

import numpy as np


def sample_frames(length: int, frames: int, rng: np.random.Generator | None) -> np.ndarray:
    """Indices (frames,) int64, never falling, one from each of `frames` equal segments of a clip.

    A segment's random frame where `rng` is given (training), its middle frame where it is None
    (test). A clip shorter than `frames` repeats frames.
    """
    position = np.full(frames, 0.5) if rng is None else rng.random(frames)
    return np.floor((np.arange(frames) + position) * length / frames).astype(np.int64)
