"""The clips that a run did not train on: of its own fold alone, in the order of the splits."""

import dataclasses

import pytest
from small_run import small_run

from dfer.errors import UserError
from dfer.files import write_parquet
from dfer.prepare.splits import SPLITS
from dfer.settings import TrainSettings
from dfer.training import test_set


def test_only_the_test_clips_of_the_run_s_fold_come(tiny_store, tmp_path):
    """The table has both folds, and what is a test clip in one is a train clip in the other."""
    store, splits = tiny_store
    write_parquet(splits.iloc[::-1], tmp_path / "splits.parquet", SPLITS)
    found = {}
    for fold in (1, 2):
        run = small_run(fold=fold)
        data = test_set.tested_clips(run, tmp_path / "splits.parquet", sorted(store.iterdir()))
        rows = splits[(splits.fold == fold) & (splits.split == "test")].iloc[::-1]
        assert data.clips == rows["clip"].tolist()
        assert [run.classes[i] for i in data.labels] == rows.label.tolist()
        frames, label = data[0]
        assert frames.shape == (8, 3, 32, 32) and label == data.labels[0]
        found[fold] = set(data.clips)
    assert len(found[1]) == len(found[2]) == 18 and not found[1] & found[2]


def test_splits_without_the_run_s_fold_are_refused(tiny_store, tmp_path):
    store, splits = tiny_store
    write_parquet(splits[splits.fold == 2], tmp_path / "splits.parquet", SPLITS)
    with pytest.raises(UserError, match=r"splits\.parquet: no test clips of fold 1"):
        test_set.tested_clips(small_run(), tmp_path / "splits.parquet", sorted(store.iterdir()))


@pytest.mark.parametrize("recipe", [{"hold_out": True}, {"checkpoint": "val"}], ids=str)
def test_held_out_clips_are_train_clips_of_a_run_that_left_them_out(tiny_store, tmp_path, recipe):
    store, splits = tiny_store
    write_parquet(splits, tmp_path / "splits.parquet", SPLITS)
    run = small_run(fold=2)
    where = tmp_path / "splits.parquet", sorted(store.iterdir())
    with pytest.raises(UserError, match=r"of fold 2 has held out no train clips"):
        test_set.held_out_clips(run, *where)
    settings = dataclasses.replace(run.settings, train=TrainSettings(**recipe))
    data = test_set.held_out_clips(dataclasses.replace(run, settings=settings), *where)
    rows = splits[(splits.fold == 2) & splits.held_out]
    assert data.clips == rows["clip"].tolist() and len(data.clips) == 3
    assert [run.classes[i] for i in data.labels] == rows.label.tolist()
    assert not set(data.clips) & set(test_set.tested_clips(run, *where).clips)
