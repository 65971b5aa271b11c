"""The test clips of a run: of its own fold alone, in the order of the splits."""

import pytest
from small_run import small_run

from dfer.errors import UserError
from dfer.files import write_parquet
from dfer.prepare.splits import SPLITS
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
