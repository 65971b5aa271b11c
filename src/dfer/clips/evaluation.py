"""Clips as they are in test: chosen frames of the model's size; without torch."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from dfer.clips.planes import planes
from dfer.clips.sampling import sample_frames
from dfer.clips.store import ClipStore


def choose(
    store: ClipStore, clip: str, frames: int, rng: np.random.Generator | None, sampler: str
) -> np.ndarray:
    """Indices (frames,) int64 of the frames that are seen of a clip, in test where `rng` is None.

    Args:
        sampler: see `dfer.clips.sampling`; or freq_hd, which alone looks at the frames.
    """
    if sampler == "freq_hd":
        return _selected(store, clip, frames)
    return sample_frames(store.length(clip), frames, rng, sampler)


@cache
def _selected(store: ClipStore, clip: str, frames: int) -> np.ndarray:
    """Freq-HD's choice, which is the same in every epoch and takes all frames of the clip."""
    from dfer.clips.freq_hd import select

    return select(store.frames(clip, np.arange(store.length(clip))), frames)


class EvaluationClips:
    """Clips with the frames that are chosen in test, resized; an item is addressed by its index."""

    def __init__(
        self,
        store: ClipStore,
        clips: Sequence[str],
        labels: Sequence[int],
        *,
        frames: int,
        size: int,
        sampler: str = "segments",
    ) -> None:
        self.store, self.clips, self.labels = store, list(clips), list(labels)
        self.frames, self.size, self.sampler = frames, size, sampler

    def __len__(self) -> int:
        return len(self.clips)

    def decode(self, index: int) -> np.ndarray:
        """Frames (T, H, W, 3) uint8, each side at least `size`."""
        clip = self.clips[index]
        chosen = choose(self.store, clip, self.frames, None, self.sampler)
        return self.store.frames(clip, chosen, min_size=self.size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """Frames (T, 3, size, size) uint8 and the class index."""
        return planes(self.decode(index), self.size), self.labels[index]
