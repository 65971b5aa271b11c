"""Summaries are resampled by address: what a run's folder is called changes nothing."""

import numpy as np
import pandas as pd

from dfer.tables.summary import summarise

KEYS = ["run", "against"]  # columns that name runs


def predictions(seed, key, dataset="demo"):
    """Two folds and two seeds of 30 clips of three classes."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        [
            (dataset, key, "last", fold, seed, f"{fold}-{i}", "abc"[i % 3], "abc"[rng.integers(3)])
            for fold in (1, 2)
            for seed in (0, 1)
            for i in range(30)
        ],
        columns=["dataset", "run", "checkpoint", "fold", "seed", "clip", "label", "prediction"],
    )


def test_equal_predictions_have_equal_intervals_whatever_the_run_is_called():
    base, full = predictions(0, "clip.1"), predictions(1, "full.2")
    one = summarise(pd.concat([base, full]), {"demo": "clip.1"})
    renamed = pd.concat([base.assign(run="renamed.3"), full.assign(run="other.4")])
    other = summarise(renamed, {"demo": "renamed.3"}).iloc[[2, 3, 0, 1]]  # sorted by run
    pd.testing.assert_frame_equal(
        one.drop(columns=KEYS), other.drop(columns=KEYS).reset_index(drop=True)
    )
    assert one.p.notna().sum() == 2 and one.low.notna().all()


def test_all_runs_of_a_dataset_have_the_same_draws():
    """A run and its copy: no draw makes a difference between them."""
    copy = pd.concat([predictions(0, "clip.1"), predictions(0, "copy.2")])
    table = summarise(copy, {"demo": "clip.1"}).set_index(["run", "metric"])
    same = ["value", "std", "low", "high", "pooled"]
    assert table.loc["clip.1", same].equals(table.loc["copy.2", same])
    assert (table.loc["copy.2", ["difference_low", "difference_high"]] == 0).all(axis=None)


def test_datasets_are_resampled_by_themselves():
    both = pd.concat([predictions(0, "clip.1"), predictions(0, "clip.1", "other")])
    table = summarise(both).set_index(["dataset", "metric"])
    assert (table.loc["demo"].value == table.loc["other"].value).all()
    intervals = [table.loc[name][["low", "high"]].to_numpy() for name in ("demo", "other")]
    assert not np.array_equal(*intervals)
