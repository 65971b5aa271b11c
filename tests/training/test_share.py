"""A share of the train clips: stratified, nested, drawn by address."""

from collections import Counter
from itertools import compress, pairwise

import pytest

from dfer.training.share import chosen

CLIPS = [f"clip{number}" for number in range(200)]
LABELS = ["happy"] * 120 + ["sad"] * 60 + ["fear"] * 20


def taken(share, seed=0, clips=CLIPS, labels=LABELS):
    return set(compress(clips, chosen(clips, labels, share, seed)))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.99, 1.0])
def test_each_class_gives_its_share(share):
    label = dict(zip(CLIPS, LABELS, strict=True))
    counts = Counter(label[clip] for clip in taken(share))
    expected = {"happy": round(120 * share), "sad": round(60 * share), "fear": round(20 * share)}
    assert counts == expected


def test_no_class_is_left_without_a_clip():
    label = dict(zip(CLIPS, LABELS, strict=True))
    assert {label[clip] for clip in taken(0.001)} == {"happy", "sad", "fear"}
    assert len(taken(0.001)) == 3


def test_the_smaller_share_lies_in_the_larger_one():
    shares = [taken(share) for share in (0.05, 0.1, 0.3, 0.31, 0.8, 1.0)]
    assert all(small <= large for small, large in pairwise(shares))


def test_order_does_not_matter_and_seeds_do():
    assert taken(0.3) == taken(0.3, clips=CLIPS[::-1], labels=LABELS[::-1])
    assert taken(0.3) != taken(0.3, seed=1)


def test_a_class_hangs_on_no_other():
    """Nor a clip's rank on which other clips there are."""
    happy = {clip for clip in taken(0.5) if int(clip[4:]) < 120}
    assert taken(0.5, clips=CLIPS[:120], labels=LABELS[:120]) == happy
    fewer = taken(0.5, clips=CLIPS[1:], labels=LABELS[1:])
    assert len(taken(0.5) ^ fewer) <= 2
