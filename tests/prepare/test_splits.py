"""Accepting clips: rejects are counted and listed, and a validation tenth is held out."""

import pandas as pd
import pytest

from dfer.errors import UserError
from dfer.prepare.splits import REJECTS, accept, split


def fold_list(fold=1, clips=60, folds=2):
    """The list of a fold: three classes by turns, each clip tested in one of the folds."""
    return pd.DataFrame(
        {
            "clip": [f"c{i:03d}" for i in range(clips)],
            "split": ["test" if i % folds + 1 == fold else "train" for i in range(clips)],
            "label": [["happy", "sad", "fear"][i % 3] for i in range(clips)],
            "subject": None,
        }
    )


def rejected(*clips, reason="no face in any frame"):
    rows = [(clip, f"v/{clip}.mp4", int(clip[1:]) % 4, "align", reason) for clip in clips]
    return pd.DataFrame(rows, columns=REJECTS.names)


def test_a_stratified_tenth_of_train_is_held_out():
    held = []
    for fold in (1, 2):
        splits = split(fold, fold_list(fold, 300), rejected())
        assert len(splits) == 300 and (splits.fold == fold).all()
        assert not splits.held_out[splits.split == "test"].any()
        shares = splits[splits.split == "train"].groupby("label").held_out.agg(["sum", "size"])
        assert (shares["sum"] == (shares["size"] / 10).round()).all()
        held.append(set(splits["clip"][splits.held_out]))
    assert len(held[0] & held[1]) == 0  # train sets of two halves are disjoint


def test_a_rejected_clip_leaves_the_held_out_ones_of_other_classes():
    clips = fold_list(1, 300)
    before = split(1, clips, rejected())
    gone = clips["clip"].iloc[1]
    after = split(1, clips, rejected(gone))
    both = before.merge(after, on=["fold", "clip"], suffixes=("", "_after"))
    assert (both.held_out != both.held_out_after).sum() <= 2
    assert gone not in set(after["clip"]) and len(after) == 299


def test_more_rejects_than_allowed_stop_with_one_summary():
    rejects = rejected(*(f"c{i:03d}" for i in range(12)))
    with pytest.raises(UserError) as error:
        accept(rejects, 11, "landmarks/*.parquet")
    message = str(error.value)
    assert message.startswith("12 clips were rejected, 11 are allowed")
    assert "12 × no face in any frame" in message
    assert "c000: v/c000.mp4" in message and "and 2 more" in message
    assert accept(rejects, 12, "") == "12 clips rejected, 12 allowed\n"


def test_the_summary_names_each_shard_to_redo_once():
    with pytest.raises(UserError, match=r"--forcerun store/1\.arrow store/3\.arrow\n"):
        accept(rejected("c003", "c001", "c005"), 0, "store/*.arrow")


def test_a_class_that_loses_all_its_clips_is_named():
    clips = fold_list(1, 12)
    gone = clips["clip"][clips.label == "sad"]
    with pytest.raises(UserError, match=r"fold 1: all 2 test clips of class sad were rejected"):
        split(1, clips, rejected(*gone))


def test_a_single_clip_of_a_class_stays_in_train():
    clips = fold_list()
    clips.loc[[0, 1], "label"] = "disgust"
    splits = split(1, clips, rejected())
    assert not splits.held_out[splits.label == "disgust"].any()
