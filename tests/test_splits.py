"""Accepting clips: rejects are counted and listed, and a validation tenth is held out."""

import pandas as pd
import pytest

from dfer.files import UserError
from dfer.splits import REJECTS, accept


def release(clips=60, folds=2):
    manifest = pd.DataFrame(
        {
            "clip": [f"c{i:03d}" for i in range(clips)],
            "path": [f"v/c{i:03d}.mp4" for i in range(clips)],
            "label": [["happy", "sad", "fear"][i % 3] for i in range(clips)],
            "subject": None,
        }
    )
    rows = [
        (clip, fold, "test" if i % folds + 1 == fold else "train")
        for fold in range(1, folds + 1)
        for i, clip in enumerate(manifest["clip"])
    ]
    return manifest, pd.DataFrame(rows, columns=["clip", "fold", "split"])


def rejected(*clips, reason="no face in any frame"):
    rows = [(clip, f"v/{clip}.mp4", "align", reason) for clip in clips]
    return pd.DataFrame(rows, columns=REJECTS.names)


def test_a_stratified_tenth_of_train_is_held_out():
    splits = accept(*release(300), rejected(), allowed=0)
    assert len(splits) == 600
    assert not splits.held_out[splits.split == "test"].any()
    shares = (
        splits[splits.split == "train"].groupby(["fold", "label"]).held_out.agg(["sum", "size"])
    )
    assert (shares["sum"] == (shares["size"] / 10).round()).all()
    per_fold = [set(rows["clip"][rows.held_out]) for _, rows in splits.groupby("fold")]
    assert len(per_fold[0] & per_fold[1]) == 0  # train sets of two halves are disjoint


def test_a_further_clip_leaves_the_held_out_ones_of_other_classes():
    manifest, folds = release(300)
    before = accept(manifest, folds, rejected(), allowed=0)
    gone = manifest["clip"].iloc[1]
    after = accept(manifest, folds, rejected(gone), allowed=1)
    both = before.merge(after, on=["fold", "clip"], suffixes=("", "_after"))
    assert (both.held_out != both.held_out_after).sum() <= 2
    assert gone not in set(after["clip"])


def test_more_rejects_than_allowed_stop_with_one_summary():
    clips = [f"c{i:03d}" for i in range(12)]
    with pytest.raises(UserError) as error:
        accept(*release(300), rejected(*clips), allowed=11)
    message = str(error.value)
    assert message.startswith("12 clips were rejected, 11 are allowed")
    assert "12 × no face in any frame" in message
    assert "c000: v/c000.mp4" in message and "and 2 more" in message
    assert len(accept(*release(300), rejected(*clips), allowed=12)) == 2 * 288


def test_a_class_that_loses_all_its_clips_is_named():
    manifest, folds = release(12)
    gone = manifest["clip"][manifest.label == "sad"]
    with pytest.raises(UserError, match=r"fold 1: all 2 test clips of class sad were rejected"):
        accept(manifest, folds, rejected(*gone), allowed=99)


def test_a_single_clip_of_a_class_stays_in_train():
    manifest, folds = release(60)
    manifest.loc[0, "label"] = "disgust"
    manifest.loc[1, "label"] = "disgust"
    splits = accept(manifest, folds, rejected(), allowed=0)
    assert not splits.held_out[splits.label == "disgust"].any()
