"""UAR, WAR and their summaries against computations by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from dfer.tables.summary import summarise
from dfer.training import metrics
from dfer.training.scores import measure

LABELS = np.array([0, 0, 0, 0, 1, 1, 2])
PREDICTIONS = np.array([0, 0, 1, 0, 1, 2, 2])


def test_by_hand():
    counts = metrics.confusion(LABELS, PREDICTIONS, 3)
    assert counts.tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert metrics.recalls(counts).tolist() == [75.0, 50.0, 100.0]
    assert metrics.uar(counts) == pytest.approx(75.0)
    assert metrics.war(counts) == pytest.approx(100 * 5 / 7)


def test_counts_are_those_of_scikit_learn():
    from sklearn.metrics import confusion_matrix

    labels, predictions = np.random.default_rng(0).integers(0, 7, (2, 50))
    labels[labels == 2] = 3  # a class that no clip is of
    expected = confusion_matrix(labels, predictions, labels=range(7))
    assert np.array_equal(metrics.confusion(labels, predictions, 7), expected)


def test_a_class_without_clips_has_no_recall_and_no_weight():
    counts = metrics.confusion(LABELS, PREDICTIONS, 4)
    assert np.isnan(metrics.recalls(counts)[3])
    assert metrics.uar(counts) == pytest.approx(75.0)


def test_measure_lists_every_cell():
    table = measure(LABELS, PREDICTIONS, ["a", "b", "c"])
    cells = table[table.metric == "confusion"].set_index(["label", "predicted"]).value
    assert cells["a", "b"] == 1 and cells["b", "c"] == 1 and cells.sum() == 7
    assert table[table.metric == "recall"].value.tolist() == [75.0, 50.0, 100.0]


def runs(*hits, seeds=1):
    """Predictions: one fold a list of (label, right?) pairs, the same in every seed."""
    return pd.DataFrame(
        [
            ("d", "k.0", "", "last", fold, seed, f"{fold}-{i}", label, label if right else "?")
            for fold, pairs in enumerate(hits, 1)
            for seed in range(seeds)
            for i, (label, right) in enumerate(pairs)
        ],
        columns=[
            *("dataset", "run", "protocol", "checkpoint"),
            *("fold", "seed", "clip", "label", "prediction"),
        ],
    )


def test_summary_by_hand():
    first = [("a", 1), ("a", 0), ("b", 1)]  # recalls 50 and 100
    second = [("a", 1), ("b", 0), ("b", 0), ("b", 1)]  # recalls 100 and 33.3
    table = summarise(runs(first, second)).set_index("metric")
    uars = np.array([75.0, 100 * (1 + 1 / 3) / 2])
    assert table.value["UAR"] == pytest.approx(uars.mean())
    assert table["std"]["UAR"] == pytest.approx(abs(uars[0] - uars[1]) / 2**0.5)
    assert table.value["WAR"] == pytest.approx((100 * 2 / 3 + 50) / 2)
    assert table.pooled["WAR"] == pytest.approx(100 * 4 / 7)
    assert table.pooled["UAR"] == pytest.approx(100 * (2 / 3 + 2 / 4) / 2)
    assert table.folds["UAR"] == 2 and table.seeds["UAR"] == 1 and table.clips["UAR"] == 7


def test_a_single_run_has_no_deviation():
    assert summarise(runs([("a", 1), ("b", 0)]))["std"].isna().all()


def test_the_interval_is_that_of_a_binomial():
    """WAR of n clips with k right: the bootstrap's quantiles are those of Binomial(n, k/n) / n."""
    from scipy.stats import binom

    n, k = 400, 290
    table = summarise(runs([("a", i < k) for i in range(n)])).set_index("metric")
    low, high = 100 * binom.ppf([0.025, 0.975], n, k / n) / n
    assert table.low["WAR"] == pytest.approx(low, abs=0.5)
    assert table.high["WAR"] == pytest.approx(high, abs=0.5)


def test_seeds_with_other_clips_are_refused():
    table = runs([("a", 1), ("b", 0)], seeds=2)
    with pytest.raises(Exception, match="other test clips"):
        summarise(table.drop(index=0))


def other(table, hits):
    """The same clips, predicted by another run with these hits."""
    right = [hit for fold in hits for hit in fold]
    prediction = [label if hit else "?" for label, hit in zip(table.label, right, strict=True)]
    return table.assign(run="base.0", prediction=prediction)


@pytest.mark.slow
def test_a_difference_is_that_of_the_means_and_its_p_value_that_of_all_sign_flips():
    """Against every one of the 2^n exchanges of two runs' outcomes, counted one by one."""
    first = [("a", 1), ("a", 1), ("b", 1), ("b", 0), ("b", 1)]
    second = [("a", 1), ("b", 0), ("b", 1), ("b", 1)]
    table = runs(first, second)
    base = other(table, [[1, 0, 0, 1, 0], [0, 0, 1, 0]])
    found = summarise(pd.concat([table, base]), {"d": "base.0"}).set_index(["run", "metric"])
    assert found.loc["base.0"].p.isna().all()

    def mean_uar(right):
        recalls = table.assign(right=right).groupby(["fold", "label"]).right.mean()
        return 100 * recalls.groupby("fold").mean().mean()

    def mean_war(right):
        return 100 * table.assign(right=right).groupby("fold").right.mean().mean()

    mine = (table.label == table.prediction).to_numpy()
    theirs = (base.label == base.prediction).to_numpy()
    for metric, mean in (("UAR", mean_uar), ("WAR", mean_war)):
        row = found.loc["k.0", metric]
        difference = mean(mine) - mean(theirs)
        assert row.difference == pytest.approx(difference)
        assert row.difference == pytest.approx(row.value - found.loc["base.0", metric].value)
        exchanged = [
            mean(np.where(swap, theirs, mine)) - mean(np.where(swap, mine, theirs))
            for swap in itertools.product([False, True], repeat=len(mine))
        ]
        exact = np.mean(np.abs(exchanged) >= abs(difference) - 1e-9)
        assert row.p == pytest.approx(exact, abs=0.02)
        assert row.difference_low <= row.difference <= row.difference_high


def test_without_a_difference_p_is_1_and_other_clips_are_refused():
    table = runs([("a", 1), ("b", 0), ("b", 1)])
    same = other(table, [[1, 0, 1]])
    found = summarise(pd.concat([table, same]), {"d": "base.0"}).set_index("run")
    assert (found.p["k.0"] == 1).all() and (found.difference["k.0"] == 0).all()
    with pytest.raises(Exception, match="other test clips"):
        summarise(pd.concat([table, same.iloc[1:]]), {"d": "base.0"})
