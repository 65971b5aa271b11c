"""Class-balanced epochs: exact counts, repeats that are seen anew, the same after a kill."""

from collections import Counter

import numpy as np
import pytest

from dfer.clips.balanced import draw
from dfer.clips.loader import EpochBatches, TrainClips
from dfer.clips.store import ClipStore
from dfer.settings import AugmentSettings

DFEW_LIKE = [60, 60, 60, 40, 40, 20, 40]  # the demo's clips by class


def labels_of(sizes):
    """Class indices of so many clips a class, shuffled."""
    return np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes)).tolist()


def drawn(labels, seed=0):
    return draw(labels, np.random.default_rng(seed))


@pytest.mark.parametrize(
    "sizes",
    [DFEW_LIKE, [100, 1], [5, 5, 5], [7, 2, 1], [3, 0, 4], [9], [1000, 500, 10]],
    ids=str,
)
@pytest.mark.parametrize("seed", [0, 1])
def test_counts_are_exact(sizes, seed):
    """Of each class, and of each clip within its class."""
    labels = labels_of(sizes)
    order = [index for index, *_ in drawn(labels, seed)]
    assert len(order) == len(labels)
    classes = [k for k, size in enumerate(sizes) if size]
    per_class = Counter(labels[index] for index in order)
    base, more = divmod(len(labels), len(classes))
    assert sorted(per_class.values()) == sorted([base] * (len(classes) - more) + [base + 1] * more)
    times = Counter(order)
    for k in classes:
        own = [times[index] for index, label in enumerate(labels) if label == k]
        least, again = divmod(per_class[k], sizes[k])
        assert Counter(own) == Counter([least] * (sizes[k] - again) + [least + 1] * again)


def test_repeats_are_numbered_in_their_order():
    numbers: dict[int, list[int]] = {}
    for index, *again in drawn(labels_of([30, 2])):
        numbers.setdefault(index, []).append(again[0] if again else 0)
    assert max(map(len, numbers.values())) == 8
    assert all(own == list(range(len(own))) for own in numbers.values())


def test_over_epochs_no_clip_and_no_class_is_left_behind():
    labels, epochs = labels_of([60, 7, 4]), 200
    times = Counter(index for seed in range(epochs) for index, *_ in drawn(labels, seed))
    for k, size in enumerate([60, 7, 4]):
        own = [times[index] for index, label in enumerate(labels) if label == k]
        assert sum(own) == pytest.approx(epochs * 71 / 3, rel=0.02)
        assert min(own) > 0.6 * sum(own) / size


def batches(labels, first=0, last=4, seed=0, **options):
    return list(
        EpochBatches(len(labels), 16, first=first, last=last, seed=seed, labels=labels, **options)
    )


def test_an_epoch_has_its_own_order_and_a_killed_training_gets_the_same():
    labels = labels_of(DFEW_LIKE)
    whole, steps = batches(labels), 20
    assert len(whole) == 4 * steps  # as many as without
    assert whole[2 * steps :] == batches(labels, first=2)
    assert all(epoch == n // steps for n, batch in enumerate(whole) for epoch, *_ in batch)
    orders = [[rest for batch in whole[n : n + steps] for _, *rest in batch] for n in (0, steps)]
    assert orders[0] != orders[1]
    assert whole != batches(labels, seed=1)


def test_a_balanced_epoch_s_last_batch_can_be_left_out():
    labels = labels_of([10, 8])
    assert [len(batch) for batch in batches(labels, last=1)] == [16, 2]
    assert batches(labels, last=1, drop_last=True) == batches(labels, last=1)[:1]


def test_a_repeat_is_seen_in_another_way_and_the_first_time_as_ever(tiny_store):
    store = ClipStore(sorted(tiny_store[0].glob("*.arrow")))
    view = {"frames": 4, "size": 32, "augment": AugmentSettings(), "seed": 0}
    data = TrainClips(store, ["c0-00", "c1-05"], [0, 1], **view)
    maps = [data.decode(address)[1].plane for address in ((3, 1), (3, 1, 1), (3, 1, 2), (4, 1))]
    for one in range(4):
        for other in range(one):
            assert not np.array_equal(maps[one], maps[other])
    assert np.array_equal(maps[1], data.decode((3, 1, 1))[1].plane)
    assert data.labels_of([(3, 1), (3, 0, 7)]).tolist() == [1, 0]
