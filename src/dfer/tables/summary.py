"""Many runs → what was measured, one row a dataset, run key and metric.

    python -m dfer.tables.summary --predictions results/demo/runs/*/*/predictions.parquet
        --against '{"demo": "clip.10b77129"}' --out summary.parquet

Means are over folds and seeds, as the field reports them, with the standard deviation over the same
runs. Two things stand beside them, since a fold's UAR hangs on a few clips of the rarest class:
`pooled`, the value of all folds' clips taken together (mean over seeds), and `low`…`high`, a 95 %
bootstrap interval of the mean over clips, resampled within each fold.

Where the run that others are compared with has the same test clips, its `difference` to each of
them stands there too, with the bootstrap interval of the difference (the same clips drawn for both)
and the p-value of a paired test by clip (`dfer.tables.paired`).

Randomness by address: resamples are drawn from the dataset's name, sign flips from it and the
metric. All runs of a dataset are resampled with the same draws, and equal predictions give equal
intervals, whatever the folder of the run is called.
"""

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_parquet
from dfer.tables.paired import shares, sign_flip_test

RESAMPLES = 2000
SUMMARY = pa.schema(
    [
        ("dataset", pa.string()),
        ("run", pa.string()),  # run key
        ("checkpoint", pa.string()),  # rule: last, val or test
        ("metric", pa.string()),  # UAR or WAR, in %
        ("value", pa.float64()),
        ("std", pa.float64()),  # over folds and seeds; null for a single run
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("pooled", pa.float64()),
        ("folds", pa.int32()),
        ("seeds", pa.int32()),
        ("clips", pa.int64()),  # test clips, all folds together
        ("against", pa.string()),  # run key that it is compared with
        ("difference", pa.float64()),  # of `value`, in points
        ("difference_low", pa.float64()),
        ("difference_high", pa.float64()),
        ("p", pa.float64()),
    ]
)


def summarise(predictions: pd.DataFrame, against: dict[str, str] | None = None) -> pd.DataFrame:
    """Summary rows of all runs of one or more datasets.

    Args:
        predictions: rows of `predictions.parquet` files: dataset, run, checkpoint, fold, seed,
            clip, label, prediction.
        against: dataset → run key that all others of the dataset are compared with.

    Raises:
        UserError: runs of equal settings do not have the same clips in every seed, or those that
            are compared have other clips.
    """
    rows = []
    outcomes = {
        names: _by_clip(runs) for names, runs in predictions.groupby(["dataset", "run"], sort=True)
    }
    rules = predictions.drop_duplicates(["dataset", "run"]).set_index(["dataset", "run"]).checkpoint
    for (dataset, key), table in outcomes.items():
        correct, labels, folds = _arrays(table)
        weights = _resamples(folds, dataset)
        ones = np.ones((1, len(labels)))
        base = (against or {}).get(dataset)
        other = outcomes.get((dataset, base)) if key != base else None
        if other is not None and not table.index.equals(other.index):
            raise UserError(
                f"runs that are compared with {base} have other test clips than it. "
                "Evaluate them all on the same splits."
            )
        for metric, average in AVERAGES.items():
            each = _run_values(ones, labels, correct, folds, average)
            sampled = _run_values(weights, labels, correct, folds, average).mean(axis=0)
            row = {
                "dataset": dataset,
                "run": key,
                "checkpoint": rules[dataset, key],
                "metric": metric,
                "value": each.mean(),
                "std": each.std(ddof=1) if each.size > 1 else None,
                "low": np.quantile(sampled, 0.025),
                "high": np.quantile(sampled, 0.975),
                "pooled": np.mean([average(ones, labels, seed) for seed in correct.T]),
                "folds": len(np.unique(folds)),
                "seeds": correct.shape[1],
                "clips": len(labels),
            }
            if other is not None:
                theirs = _arrays(other)[0]
                resampled = _run_values(weights, labels, theirs, folds, average).mean(axis=0)
                gain = correct.mean(axis=1) - theirs.mean(axis=1)
                parts = gain * shares(labels, folds, metric)
                row |= {
                    "against": base,
                    "difference": parts.sum(),
                    "difference_low": np.quantile(sampled - resampled, 0.025),
                    "difference_high": np.quantile(sampled - resampled, 0.975),
                    "p": sign_flip_test(parts, _generator(f"{dataset}/{metric}")),
                }
            rows.append(row)
    return pd.DataFrame(rows, columns=SUMMARY.names)


def _run_values(
    weights: np.ndarray,
    labels: np.ndarray,
    correct: np.ndarray,
    folds: np.ndarray,
    average: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """`average` of each fold and seed, for each row of clip weights: (runs, samples) in %."""
    return np.array(
        [
            average(weights[:, folds == fold], labels[folds == fold], seed[folds == fold])
            for fold in np.unique(folds)
            for seed in correct.T
        ]
    )


def _by_clip(runs: pd.DataFrame) -> pd.DataFrame:
    """Whether each clip was right: rows (fold, clip, label), a column a seed, sorted."""
    twice = runs[runs.duplicated(["fold", "clip", "seed"])]
    if len(twice):
        raise UserError(
            f"predictions of {runs.run.iloc[0]} on {runs.dataset.iloc[0]}: clip "
            f"{twice['clip'].iloc[0]!r} stands twice. Evaluate the run again."
        )
    hits = runs.assign(hit=runs.label == runs.prediction)
    table = hits.pivot(index=["fold", "clip", "label"], columns="seed", values="hit")
    if table.isna().to_numpy().any():
        raise UserError(
            f"runs {runs.run.iloc[0]} of {runs.dataset.iloc[0]}: some seeds or folds have other "
            "test clips than others. Evaluate them all on the same splits."
        )
    return table.astype(bool).sort_index()


def _arrays(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `_by_clip`: whether each clip was right, (clips, seeds) bool; its label; its fold."""
    labels, folds = (table.index.get_level_values(name).to_numpy() for name in ("label", "fold"))
    return table.to_numpy(bool), labels, folds


def _generator(address: str) -> np.random.Generator:
    """Random numbers by the address of what they are for."""
    words = np.frombuffer(hashlib.blake2b(address.encode(), digest_size=16).digest(), np.uint32)
    return np.random.default_rng(words)


def _resamples(folds: np.ndarray, dataset: str) -> np.ndarray:
    """How often each clip is drawn, (RESAMPLES, clips): with replacement, within its fold."""
    rng = _generator(dataset)
    weights = np.zeros((RESAMPLES, len(folds)))
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds == fold)
        weights[:, inside] = rng.multinomial(
            len(inside), np.full(len(inside), 1 / len(inside)), RESAMPLES
        )
    return weights


def _war(weights: np.ndarray, labels: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """WAR in % of weighted clips: (samples, clips) weights → (samples,)."""
    return 100 * (weights @ correct) / weights.sum(axis=1)


def _uar(weights: np.ndarray, labels: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """UAR in % of weighted clips, over the classes that a sample has."""
    members = labels[:, None] == np.unique(labels)[None, :]
    right, total = weights @ (members & correct[:, None]), weights @ members
    recall = np.divide(right, total, out=np.full_like(right, np.nan), where=total > 0)
    return 100 * np.nanmean(recall, axis=1)


AVERAGES = {"UAR": _uar, "WAR": _war}


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--predictions", nargs="*", default=[], help="predictions of runs (dfer.training.evaluate)")
    add("--against", default="{}", help="JSON: dataset → run key that all are compared with")
    add("--out", type=Path, required=True, help="output (a row a dataset, run key and metric)")
    return top


def main(args: argparse.Namespace) -> None:
    """Summarise all runs that are given."""
    columns = ["dataset", "run", "checkpoint", "fold", "seed", "clip", "label", "prediction"]
    parts = [read_parquet(path, columns) for path in sorted(args.predictions)]
    empty = pd.DataFrame(columns=columns)
    summary = summarise(
        pd.concat(parts, ignore_index=True) if parts else empty, json.loads(args.against)
    )
    write_parquet(summary, args.out, SUMMARY)
    print(summary.to_string())


if __name__ == "__main__":
    stage(main, parser())
