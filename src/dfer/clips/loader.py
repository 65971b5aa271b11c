"""Batches of clips for training and for evaluation.

Randomness by address: the order of an epoch is drawn from (seed, epoch), the frames and the
augmentation of a clip from (seed, epoch, clip). Workers, their number, and a training that was
interrupted change nothing.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms.v2 import functional as F

from dfer.clips.augment import Augment
from dfer.clips.sampling import sample_frames
from dfer.clips.store import ClipStore
from dfer.settings import AugmentSettings


class TrainClips(Dataset):
    """Augmented clips; an item is addressed by (epoch, index)."""

    def __init__(
        self,
        store: ClipStore,
        clips: Sequence[str],
        labels: Sequence[int],
        *,
        frames: int,
        size: int,
        augment: AugmentSettings,
        seed: int,
    ) -> None:
        self.store, self.clips, self.labels = store, list(clips), list(labels)
        self.frames, self.size, self.seed = frames, size, seed
        self.augment = Augment(augment, size)
        # A random crop is smaller than the frame: decode large enough that it is never magnified.
        self.decoded = round(size / min(augment.crop_scale) ** 0.5)

    def __getitem__(self, address: tuple[int, int]) -> tuple[torch.Tensor, int]:
        """Frames (T, 3, size, size) uint8 and the class index."""
        epoch, index = address
        clip = self.clips[index]
        rng = np.random.default_rng([self.seed, epoch, *_words(clip)])
        chosen = sample_frames(self.store.length(clip), self.frames, rng)
        frames = self.store.frames(clip, chosen, min_size=self.decoded)
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
        return self.augment(pixels, int(rng.integers(2**63))), self.labels[index]


class EvaluationClips(Dataset):
    """Clips as they are: middle frames, resized; an item is addressed by its index."""

    def __init__(
        self,
        store: ClipStore,
        clips: Sequence[str],
        labels: Sequence[int],
        *,
        frames: int,
        size: int,
    ) -> None:
        self.store, self.clips, self.labels = store, list(clips), list(labels)
        self.frames, self.size = frames, size

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Frames (T, 3, size, size) uint8 and the class index."""
        clip = self.clips[index]
        chosen = sample_frames(self.store.length(clip), self.frames, None)
        frames = self.store.frames(clip, chosen, min_size=self.size)
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
        return F.resize(pixels, [self.size, self.size], antialias=True), self.labels[index]


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """The batches of epochs `first` … `last` - 1, each epoch in an order of its own.

    One pass over this sampler is the whole training, so that workers start once and read ahead
    across the border of two epochs.
    """

    def __init__(self, clips: int, batch: int, *, first: int, last: int, seed: int) -> None:
        self.clips, self.batch = clips, batch
        self.first, self.last, self.seed = first, last, seed
        self.steps = -(-clips // batch)  # batches an epoch; the last one may be smaller

    def __len__(self) -> int:
        return self.steps * (self.last - self.first)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(self.first, self.last):
            order = np.random.default_rng([self.seed, epoch]).permutation(self.clips)
            for start in range(0, self.clips, self.batch):
                yield [(epoch, int(index)) for index in order[start : start + self.batch]]


def train_batches(data: TrainClips, batches: EpochBatches, workers: int) -> DataLoader:
    """Yields (clips (B, T, 3, size, size) uint8, labels (B,) int64), epoch after epoch."""
    return _loader(data, workers, batch_sampler=batches)


def evaluation_batches(data: EvaluationClips, batch: int, workers: int) -> DataLoader:
    """Yields (clips (B, T, 3, size, size) uint8, labels (B,) int64) in the order of `data`."""
    return _loader(data, workers, batch_size=batch)


def _loader(data: Dataset, workers: int, **options) -> DataLoader:
    return DataLoader(
        data,
        num_workers=workers,
        multiprocessing_context="forkserver" if workers else None,
        pin_memory=torch.cuda.is_available(),
        **options,
    )


def _words(clip: str) -> list[int]:
    """A clip id as numbers that seed a generator."""
    return list(np.frombuffer(hashlib.blake2b(clip.encode(), digest_size=16).digest(), np.uint32))
