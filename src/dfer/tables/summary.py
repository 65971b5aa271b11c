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
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_parquet
from dfer.tables.paired import DRAWN_AT_ONCE, shares, sign_flip_test

RESAMPLES = 2000
SUMMARY = pa.schema(
    [
        ("dataset", pa.string()),
        ("run", pa.string()),  # run key
        ("protocol", pa.string()),  # its name; empty: the same as of all others
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
        predictions: rows of `predictions.parquet` files: dataset, run, protocol, checkpoint,
            fold, seed, clip, label, prediction.
        against: dataset → run key that all others of the dataset are compared with.

    Raises:
        UserError: runs of equal settings do not have the same clips in every seed, or those that
            are compared have other clips.
    """
    rows = []
    outcomes: dict[str, dict[str, pd.DataFrame]] = {}
    for (dataset, key), runs in predictions.groupby(["dataset", "run"], sort=True):
        outcomes.setdefault(dataset, {})[key] = _by_clip(runs)
    named = predictions.drop_duplicates(["dataset", "run"]).set_index(["dataset", "run"])
    for dataset, tables in outcomes.items():
        base = (against or {}).get(dataset)
        if base in tables:
            _refuse_other_clips(tables, base)
        resampled = _resampled(dataset, tables)
        for (key, table), metric in product(tables.items(), AVERAGES):
            correct, labels, folds = _arrays(table)
            average, ones = AVERAGES[metric], np.ones((1, len(labels)))
            each = _run_values(ones, labels, correct, folds, average)
            sampled = resampled[key, metric]
            row = {
                "dataset": dataset,
                "run": key,
                "protocol": named.protocol[dataset, key],
                "checkpoint": named.checkpoint[dataset, key],
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
            if base in tables and key != base:
                theirs = _arrays(tables[base])[0]
                gain = correct.mean(axis=1) - theirs.mean(axis=1)
                parts = gain * shares(labels, folds, metric)
                row |= {
                    "against": base,
                    "difference": parts.sum(),
                    "difference_low": np.quantile(sampled - resampled[base, metric], 0.025),
                    "difference_high": np.quantile(sampled - resampled[base, metric], 0.975),
                    "p": sign_flip_test(parts, _generator(f"{dataset}/{metric}")),
                }
            rows.append(row)
    return pd.DataFrame(rows, columns=SUMMARY.names)


def _refuse_other_clips(tables: Mapping[str, pd.DataFrame], base: str) -> None:
    """What is compared with `base` has its clips."""
    if not all(table.index.equals(tables[base].index) for table in tables.values()):
        raise UserError(
            f"runs that are compared with {base} have other test clips than it. "
            "Evaluate them all on the same splits."
        )


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


def _resampled(
    dataset: str, tables: Mapping[str, pd.DataFrame]
) -> dict[tuple[str, str], np.ndarray]:
    """Run key and metric → its mean over folds and seeds in each resample, (RESAMPLES,) in %.

    Clips are drawn once for all runs that have the same ones.
    """
    means, todo = {}, dict(tables)
    while todo:
        index = next(iter(todo.values())).index
        alike = {key: table for key, table in todo.items() if table.index.equals(index)}
        todo = {key: table for key, table in todo.items() if key not in alike}
        correct = {key: _arrays(table)[0] for key, table in alike.items()}
        _, labels, folds = _arrays(next(iter(alike.values())))
        values = {
            (key, metric): np.empty((len(np.unique(folds)), hits.shape[1], RESAMPLES))
            for key, hits in correct.items()
            for metric in AVERAGES
        }
        for number, inside, drawn, weights in _draws(folds, dataset):
            for (key, metric), seeds in values.items():
                for seed, hits in enumerate(correct[key][inside].T):
                    seeds[number, seed, drawn] = AVERAGES[metric](weights, labels[inside], hits)
        for place, seeds in values.items():
            means[place] = seeds.reshape(-1, RESAMPLES).mean(axis=0)
    return means


def _draws(folds: np.ndarray, dataset: str) -> Iterator[tuple[int, np.ndarray, slice, np.ndarray]]:
    """How often each clip is drawn: with replacement, within its fold, some resamples at a time.

    Yields:
        the fold's place, its clips' places, which resamples, and (resamples, clips) float64.
    """
    rng = _generator(dataset)
    for number, fold in enumerate(np.unique(folds)):
        inside = np.flatnonzero(folds == fold)
        odds = np.full(len(inside), 1 / len(inside))
        at_once = max(1, DRAWN_AT_ONCE // len(inside))
        for first in range(0, RESAMPLES, at_once):
            drawn = slice(first, min(first + at_once, RESAMPLES))
            weights = rng.multinomial(len(inside), odds, drawn.stop - first).astype(np.float64)
            yield number, inside, drawn, weights


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
    columns = ["dataset", "run", "protocol", "checkpoint", "fold", "seed"]
    columns += ["clip", "label", "prediction"]
    parts = [read_parquet(path, columns) for path in sorted(args.predictions)]
    empty = pd.DataFrame(columns=columns)
    summary = summarise(
        pd.concat(parts, ignore_index=True) if parts else empty, json.loads(args.against)
    )
    write_parquet(summary, args.out, SUMMARY)
    print(summary.to_string())


if __name__ == "__main__":
    stage(main, parser())
