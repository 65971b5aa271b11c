"""Summaries are resampled by address: what a run's folder is called changes nothing."""

import hashlib
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from dfer.tables import summary
from dfer.tables.summary import summarise

KEYS = ["run", "against"]  # columns that name runs


def predictions(seed, key, dataset="demo"):
    """Two folds and two seeds of 30 clips of three classes."""
    rng = np.random.default_rng(seed)
    names = (dataset, key, "", "last")
    return pd.DataFrame(
        [
            (*names, fold, seed, f"{fold}-{i}", "abc"[i % 3], "abc"[rng.integers(3)])
            for fold in (1, 2)
            for seed in (0, 1)
            for i in range(30)
        ],
        columns=[
            *("dataset", "run", "protocol", "checkpoint"),
            *("fold", "seed", "clip", "label", "prediction"),
        ],
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


def one_by_one(runs, counts):
    """Metric → its mean over folds and seeds in each resample, a clip repeated as it is drawn."""
    means = {"UAR": [], "WAR": []}
    for draw in range(len(counts[1])):
        uar, war = [], []
        for (fold, _), rows in runs.groupby(["fold", "seed"]):
            rows = rows.sort_values("clip").reset_index(drop=True)
            taken = rows.loc[rows.index.repeat(counts[fold][draw])]
            hit = taken.label == taken.prediction
            war.append(100 * hit.mean())
            uar.append(100 * hit.groupby(taken.label).mean().mean())
        means["UAR"].append(np.mean(uar))
        means["WAR"].append(np.mean(war))
    return {metric: np.array(values) for metric, values in means.items()}


def test_intervals_are_those_of_clips_drawn_one_resample_at_a_time(monkeypatch):
    """Fold by fold; how many are drawn at once changes nothing."""
    monkeypatch.setattr(summary, "RESAMPLES", 40)
    base, full = predictions(0, "clip.1"), predictions(1, "full.2")
    digest = hashlib.blake2b(b"demo", digest_size=16).digest()
    rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
    counts = {fold: rng.multinomial(30, np.full(30, 1 / 30), 40) for fold in (1, 2)}
    ours, theirs = one_by_one(full, counts), one_by_one(base, counts)
    tables = []
    for at_once in (7 * 30, 1_000_000):
        monkeypatch.setattr(summary, "DRAWN_AT_ONCE", at_once)
        tables.append(summarise(pd.concat([base, full]), {"demo": "clip.1"}))
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    table = tables[0].set_index(["run", "metric"])
    for metric in ("UAR", "WAR"):
        row = table.loc["full.2", metric]
        expected = np.quantile(ours[metric], [0.025, 0.975])
        np.testing.assert_allclose([row.low, row.high], expected)
        expected = np.quantile(ours[metric] - theirs[metric], [0.025, 0.975])
        np.testing.assert_allclose([row.difference_low, row.difference_high], expected)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_resamples_of_a_large_dataset():
    """20,000 clips, of which all weights would take 320 MB, and all signs 1.6 GB."""
    rng = np.random.default_rng(0)
    clips = pd.DataFrame(
        {
            "dataset": "demo",
            "protocol": "",
            "checkpoint": "last",
            "fold": 1,
            "seed": 0,
            "clip": [str(number) for number in range(20_000)],
            "label": rng.integers(7, size=20_000),
        }
    )
    runs = [clips.assign(run=key, prediction=rng.integers(7, size=20_000)) for key in "ab"]
    tracemalloc.start()
    table = summarise(pd.concat(runs), {"demo": "a"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert table.p.notna().sum() == 2
    assert peak < 60e6
