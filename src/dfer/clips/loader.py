"""Batches of clips for training and for evaluation.

Randomness by address: the order of an epoch is drawn from (seed, epoch), the frames and the
augmentation of a clip from (seed, epoch, clip), where an epoch repeats it from the number of the
repeat, too. Workers, their number, and a training that was interrupted change nothing.

Where the model is on a GPU, a clip is augmented there: workers decode, and a batch crosses once, as
bytes, while the GPU computes on the one before.
"""

import hashlib
import multiprocessing
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dfer.clips.augment import (
    Maps,
    augment,
    augment_on_device,
    changes_nothing,
    draw,
    resize,
    rotate,
)
from dfer.clips.evaluation import EvaluationClips, choose
from dfer.clips.planes import to_planes
from dfer.clips.store import ClipStore
from dfer.settings import AugmentSettings

# Of what is seen of a clip: (epoch, index); where an epoch has it again (epoch, index, how often
# before), so that other frames and changes are drawn.
Address = tuple[int, ...]


class TrainClips:
    """Clips with random frames and random changes, all drawn by address."""

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
        sampler: str = "segments",
    ) -> None:
        self.store, self.clips, self.labels = store, list(clips), list(labels)
        self.frames, self.size, self.augment, self.seed = frames, size, augment, seed
        self.sampler = sampler
        # A random crop is smaller than the frame: decode large enough that it is never magnified.
        self.decoded_size = round(size / min(augment.crop_scale) ** 0.5)

    def decode(self, address: Address, out: np.ndarray | None = None) -> tuple[np.ndarray, Maps]:
        """Frames (T, H, W, 3) uint8, in `out` if that has their size, and maps to change them."""
        epoch, index, *again = address
        clip = self.clips[index]
        rng = np.random.default_rng([self.seed, epoch, *_words(clip), *again])
        chosen = choose(self.store, clip, self.frames, rng, self.sampler)
        frames = self.store.frames(clip, chosen, min_size=self.decoded_size, out=out)
        maps = draw(self.augment, *frames.shape[1:3], rng)
        if self.augment.rotation:
            rotate(frames, rng.uniform(-1, 1) * self.augment.rotation)
        return frames, maps

    def as_they_are(self) -> EvaluationClips | None:
        """The same clips as in test, where nothing is drawn for them at random; else None."""
        if self.sampler != "middle" or not changes_nothing(self.augment):
            return None
        view = {"frames": self.frames, "size": self.size, "sampler": self.sampler}
        return EvaluationClips(self.store, self.clips, self.labels, **view)

    def labels_of(self, addresses: Sequence[Address]) -> Tensor:
        """Class indices (B,) int64."""
        return torch.tensor([self.labels[index] for _, index, *_ in addresses])


class AugmentedBatches(Dataset):
    """Batches of clips that are augmented by who decodes them; an item is a list of addresses."""

    def __init__(self, data: TrainClips) -> None:
        self.data = data

    def __getitem__(self, addresses: Sequence[Address]) -> tuple[Tensor, Tensor]:
        """Clips (B, T, 3, size, size) uint8 and class indices (B,) int64."""
        data = self.data
        clips = np.empty((len(addresses), data.frames, 3, data.size, data.size), np.uint8)
        for address, clip in zip(addresses, clips, strict=True):
            augment(*data.decode(address), clip)
        return torch.from_numpy(clips), data.labels_of(addresses)


class DecodedBatches(Dataset):
    """Batches of clips that are augmented elsewhere; an item is a list of addresses."""

    def __init__(self, data: TrainClips) -> None:
        self.data = data

    def __getitem__(self, addresses: Sequence[Address]) -> tuple[Tensor, Maps, Tensor]:
        """Frames (B, T, H, W, 3) uint8, the maps to change them, class indices (B,) int64.

        Where clips differ in size, smaller frames stand in the upper left corner: no map leaves
        the frame that it was drawn for.
        """
        first = self.data.decode(addresses[0])
        batch = np.empty((len(addresses), *first[0].shape), np.uint8)
        batch[0] = first[0]
        rest = zip(addresses[1:], batch[1:], strict=True)
        decoded = [first, *(self.data.decode(address, out) for address, out in rest)]
        if len({frames.shape for frames, _ in decoded}) > 1:
            largest = np.max([frames.shape for frames, _ in decoded], axis=0)
            batch = np.zeros((len(addresses), *largest), np.uint8)
            for (frames, _), out in zip(decoded, batch, strict=True):
                out[:, : frames.shape[1], : frames.shape[2]] = frames
        maps = zip(*(maps for _, maps in decoded), strict=True)
        plane, colour = (torch.from_numpy(np.stack(part)) for part in maps)
        return torch.from_numpy(batch), Maps(plane, colour), self.data.labels_of(addresses)


class EpochBatches(Sampler[list[Address]]):
    """The batches of epochs `first` … `last` - 1, each epoch in an order of its own.

    One pass over this sampler is the whole training, so that workers start once and read ahead
    across the border of two epochs.

    Args:
        clips: how many there are, and how many an epoch has.
        batch: clips of a batch; an epoch's last one may be smaller, or left out by `drop_last`.
        labels: class of each clip, where epochs are to be balanced (`dfer.clips.balanced`); else
            an epoch has each clip once.
    """

    def __init__(
        self,
        clips: int,
        batch: int,
        *,
        first: int,
        last: int,
        seed: int,
        drop_last: bool = False,
        labels: Sequence[int] | None = None,
    ) -> None:
        self.clips, self.batch, self.labels = clips, batch, labels
        self.first, self.last, self.seed = first, last, seed
        self.steps = clips // batch if drop_last else -(-clips // batch)

    def __len__(self) -> int:
        return self.steps * (self.last - self.first)

    def __iter__(self) -> Iterator[list[Address]]:
        for epoch in range(self.first, self.last):
            order = [(epoch, *one) for one in self._order(epoch)]
            for start in range(0, self.steps * self.batch, self.batch):
                yield order[start : start + self.batch]

    def _order(self, epoch: int) -> list[tuple[int, ...]]:
        """The addresses of an epoch's clips, less the epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        if self.labels is None:
            return [(int(index),) for index in rng.permutation(self.clips)]
        from dfer.clips.balanced import draw

        return draw(self.labels, rng)


def train_batches(
    data: TrainClips, batches: EpochBatches, device: torch.device, workers: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields (clips (B, T, 3, size, size) uint8, labels (B,) int64) on `device`, all epochs."""
    whole = {"sampler": batches, "batch_size": None}  # an item of these is a batch
    if device.type == "cpu":
        yield from _loader(AugmentedBatches(data), workers, **whole)
    else:
        loader = _loader(DecodedBatches(data), workers, **whole)
        for frames, plane, colour, labels in _copied_ahead(loader, device):
            yield augment_on_device(frames, Maps(plane, colour), data.size), labels


def evaluation_batches(data: EvaluationClips, batch: int, workers: int) -> DataLoader:
    """Yields (clips (B, T, 3, size, size) uint8, labels (B,) int64) in the order of `data`."""
    return _loader(_ResizedByTorch(data), workers, batch_size=batch)


class _ResizedByTorch(Dataset):
    """Test clips with the very pixels of `dfer.clips.planes`, in a tenth of its time or less."""

    def __init__(self, data: EvaluationClips) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        frames, size = self.data.decode(index), self.data.size
        if frames.shape[1:3] != (size, size):
            frames = resize(frames, size)
        pixels = np.empty((len(frames), 3, size, size), np.uint8)
        to_planes(frames, pixels)
        return torch.from_numpy(pixels), self.data.labels[index]


def _loader(data: Dataset, workers: int, **options) -> DataLoader:
    context = None
    if workers:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])  # imported once, not in each worker
    return DataLoader(
        data,
        num_workers=workers,
        multiprocessing_context=context,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # torch's own is the model's: a loader would draw from it
        **options,
    )


def _copied_ahead(batches: DataLoader, device: torch.device) -> Iterator[list[Tensor]]:
    """Frames, both maps and labels on a GPU, which computes on a batch while the next one comes."""
    copying = torch.cuda.Stream(device)

    def sent(batch: tuple[Tensor, Maps, Tensor]) -> list[Tensor]:
        frames, maps, labels = batch
        with torch.cuda.stream(copying):
            return [part.to(device, non_blocking=True) for part in (frames, *maps, labels)]

    def arrived(parts: list[Tensor]) -> list[Tensor]:
        computing = torch.cuda.current_stream(device)
        computing.wait_stream(copying)
        for part in parts:
            part.record_stream(computing)  # its memory is not given away before it is used
        return parts

    coming = None
    for batch in batches:
        here = None if coming is None else arrived(coming)
        coming = sent(batch)
        if here is not None:
            yield here
    if coming is not None:
        yield arrived(coming)


def _words(clip: str) -> list[int]:
    """A clip id as numbers that seed a generator."""
    return list(np.frombuffer(hashlib.blake2b(clip.encode(), digest_size=16).digest(), np.uint32))
