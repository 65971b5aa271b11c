"""Batches of clips: randomness by address, the same for all frames of a clip."""

import numpy as np
import pytest
import torch

from dfer.clips.augment import Augment
from dfer.clips.loader import EpochBatches, EvaluationClips, TrainClips, train_batches
from dfer.clips.store import ClipStore
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
    return [(f.clone(), y.clone()) for f, y in train_batches(data, batches, workers)]


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
    assert not torch.equal(data[0, 0][0], data[1, 0][0])
    assert not torch.equal(data[0, 0][0], train_clips(tiny_store, seed=1)[0, 0][0])


def test_an_epoch_has_every_clip_once():
    batches = EpochBatches(18, 5, first=0, last=1, seed=3)
    drawn = [index for batch in batches for _, index in batch]
    assert sorted(drawn) == list(range(18))
    assert drawn != sorted(drawn)
    assert [len(batch) for batch in batches] == [5, 5, 5, 3]


def test_all_frames_of_a_clip_are_augmented_alike():
    still = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 48, 48), np.uint8))
    clip = still.expand(8, -1, -1, -1)
    augment = Augment(AugmentSettings(), 32)
    augmented = augment(clip, seed=5)
    assert augmented.shape == (8, 3, 32, 32) and augmented.dtype == torch.uint8
    assert (augmented == augmented[:1]).all()
    assert not torch.equal(augmented, augment(clip, seed=6))


def test_augmentation_leaves_torchs_generator_alone():
    before = torch.random.get_rng_state()
    Augment(AugmentSettings(), 16)(torch.zeros(2, 3, 20, 20, dtype=torch.uint8), seed=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_test_clips_are_the_middle_frames(tiny_store):
    folder, splits = tiny_store
    store, clip = store_in(folder), splits["clip"].iloc[0]
    data = EvaluationClips(store, [clip], [0], frames=4, size=40)
    length = store.length(clip)
    middle = [int((k + 0.5) * length / 4) for k in range(4)]
    expected = torch.from_numpy(store.frames(clip, middle)).permute(0, 3, 1, 2)
    assert torch.equal(data[0][0], expected)
