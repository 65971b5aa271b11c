"""Batches of clips: randomness by address, whatever the workers, wherever they are augmented."""

import numpy as np
import pytest
import torch

from dfer.clips.augment import augment_on_device
from dfer.clips.loader import (
    AugmentedBatches,
    DecodedBatches,
    EpochBatches,
    TrainClips,
    train_batches,
)
from dfer.clips.store import ClipStore, ShardWriter
from dfer.settings import AugmentSettings


def store_in(folder):
    return ClipStore(sorted(folder.glob("*.arrow")))


def train_clips(tiny_store, seed=0):
    folder, splits = tiny_store
    rows = splits[(splits.fold == 1) & (splits.split == "train")]
    return TrainClips(
        store_in(folder),
        rows["clip"].tolist(),
        rows.label.map({"happy": 0, "sad": 1, "neutral": 2}).tolist(),
        frames=4,
        size=32,
        augment=AugmentSettings(),
        seed=seed,
    )


def all_batches(data, workers, first=0, last=2):
    batches = EpochBatches(len(data.clips), 5, first=first, last=last, seed=data.seed)
    return list(train_batches(data, batches, torch.device("cpu"), workers))


def assert_same(ours, others):
    assert len(ours) == len(others)
    for (frames, labels), (other_frames, other_labels) in zip(ours, others, strict=True):
        assert torch.equal(frames, other_frames)
        assert torch.equal(labels, other_labels)


@pytest.mark.slow
def test_workers_and_interruption_change_nothing(tiny_store):
    data = train_clips(tiny_store)
    alone = all_batches(data, workers=0)
    assert_same(alone, all_batches(data, workers=2))
    steps = len(alone) // 2
    assert_same(alone[steps:], all_batches(data, workers=0, first=1))


def test_epochs_and_seeds_differ(tiny_store):
    data = train_clips(tiny_store)
    (frames, maps), (others, _), (_, other_maps) = (
        clips.decode(address)
        for clips, address in (
            (data, (0, 0)),
            (data, (1, 0)),
            (train_clips(tiny_store, seed=1), (0, 0)),
        )
    )
    assert not np.array_equal(frames, others)
    assert not np.array_equal(maps.plane, other_maps.plane)
    assert np.array_equal(maps.plane, data.decode((0, 0))[1].plane)


def test_an_epoch_has_every_clip_once():
    batches = EpochBatches(18, 5, first=0, last=1, seed=3)
    drawn = [index for batch in batches for _, index in batch]
    assert sorted(drawn) == list(range(18))
    assert drawn != sorted(drawn)
    assert [len(batch) for batch in batches] == [5, 5, 5, 3]


def test_a_batch_that_is_augmented_elsewhere_has_the_same_clips(tiny_store):
    data = train_clips(tiny_store)
    addresses = [(0, index) for index in range(6)]
    clips, labels = AugmentedBatches(data)[addresses]
    frames, maps, same_labels = DecodedBatches(data)[addresses]
    assert frames.dtype == torch.uint8 and frames.shape == (6, 4, 40, 40, 3)
    elsewhere = augment_on_device(frames, maps, data.size)
    assert elsewhere.shape == clips.shape == (6, 4, 3, 32, 32)
    assert elsewhere.is_contiguous() and clips.is_contiguous()
    assert torch.equal(labels, same_labels)
    assert (clips.int() - elsewhere.int()).abs().max() <= 3


def test_frames_of_different_size_make_a_batch(tmp_path):
    """The larger clip's pixels do not reach into the smaller one, nor the filling into either."""
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "0.arrow") as writer:
        for clip, shape in (("small", (40, 56)), ("large", (80, 48))):
            writer.add(clip, rng.integers(120, 136, (4, *shape, 3), np.uint8))
    data = TrainClips(
        store_in(tmp_path),
        ["small", "large"],
        [0, 1],
        frames=4,
        size=48,
        augment=AugmentSettings(crop_scale=(1.0, 1.0), crop_ratio=(1.4, 1.4)),
        seed=0,
    )
    addresses = [(0, 0), (0, 1)]
    frames, maps, _ = DecodedBatches(data)[addresses]
    assert frames.shape == (2, 4, 80, 56, 3)
    ours, elsewhere = AugmentedBatches(data)[addresses][0], augment_on_device(frames, maps, 48)
    assert (ours.int() - elsewhere.int()).abs().max() <= 3
