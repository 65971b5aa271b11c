"""Which T frames of a clip the model sees (Section 4.1)."""

import numpy as np


def sample_frames(
    length: int, frames: int, rng: np.random.Generator | None, sampler: str = "segments"
) -> np.ndarray:
    """Indices (frames,) int64, never falling, one from each of `frames` equal segments of a clip.

    A segment's random frame where `rng` is given (training), its middle frame where it is None
    (test). A clip shorter than `frames` repeats frames.

    Args:
        sampler: "segments", as above. "middle": the middle frames in training, too. "dfer_clip":
            as the loader of that method, whose segments in training have whole numbers of frames,
            so that it never sees a rest at the end; a clip of at most `frames` frames is shown
            whole, with its last frame repeated.
    """
    if sampler == "dfer_clip":
        if length <= frames:
            return np.minimum(np.arange(frames), length - 1)
        if rng is not None:
            segment = length // frames
            return np.arange(frames) * segment + rng.integers(segment, size=frames)
    if sampler == "middle":
        rng = None
    position = np.full(frames, 0.5) if rng is None else rng.random(frames)
    return np.floor((np.arange(frames) + position) * length / frames).astype(np.int64)
