"""Many runs → what was measured, one row a dataset, settings and metric.

    python -m dfer.summary --predictions results/demo/runs/*/*/predictions.parquet --out s.parquet

Means are over folds and seeds, as the field reports them, with the standard deviation over the same
runs. Two things stand beside them, since a fold's UAR hangs on a few clips of the rarest class:
`pooled`, the value of all folds' clips taken together (mean over seeds), and `low`…`high`, a 95 %
bootstrap interval of the mean over clips, resampled within each fold.
"""

import argparse
import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa

from dfer.files import UserError, read_parquet, run, write_parquet

RESAMPLES = 2000
SUMMARY = pa.schema(
    [
        ("dataset", pa.string()),
        ("run", pa.string()),  # key of the settings
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
    ]
)


def summarise(predictions: pd.DataFrame) -> pd.DataFrame:
    """Summary rows of runs of one or more datasets and settings.

    Args:
        predictions: rows of `predictions.parquet` files: dataset, run, checkpoint, fold, seed,
            clip, label, prediction.

    Raises:
        UserError: runs of equal settings do not have the same clips in every seed.
    """
    rows = []
    for (dataset, key), runs in predictions.groupby(["dataset", "run"], sort=True):
        correct, labels, folds = _by_clip(runs)
        weights = _resamples(len(labels), folds, f"{dataset}/{key}")
        ones = np.ones((1, len(labels)))
        for metric, average in (("UAR", _uar), ("WAR", _war)):
            each = np.array(
                [
                    average(ones[:, folds == fold], labels[folds == fold], seed[folds == fold])
                    for fold in np.unique(folds)
                    for seed in correct.T
                ]
            )
            sampled = fold_means(weights, labels, correct, folds, average)
            rows.append(
                {
                    "dataset": dataset,
                    "run": key,
                    "checkpoint": runs.checkpoint.iloc[0],
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
            )
    return pd.DataFrame(rows, columns=SUMMARY.names)


def fold_means(weights, labels, correct, folds, average) -> np.ndarray:
    """Mean over folds and seeds of `average`, for each row of clip weights: (samples,) in %."""
    values = [
        average(weights[:, folds == fold], labels[folds == fold], seed[folds == fold])
        for fold in np.unique(folds)
        for seed in correct.T
    ]
    return np.mean(values, axis=0)


def _by_clip(runs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each clip was right, (clips, seeds) bool; its label; its fold."""
    hits = runs.assign(hit=runs.label == runs.prediction)
    table = hits.pivot(index=["fold", "clip", "label"], columns="seed", values="hit")
    if table.isna().to_numpy().any():
        raise UserError(
            f"runs {runs.run.iloc[0]} of {runs.dataset.iloc[0]}: some seeds or folds have other "
            "test clips than others. Evaluate them all on the same splits."
        )
    labels = table.index.get_level_values("label").to_numpy()
    return table.to_numpy(bool), labels, table.index.get_level_values("fold").to_numpy()


def _resamples(clips: int, folds: np.ndarray, name: str) -> np.ndarray:
    """How often each clip is drawn, (RESAMPLES, clips): with replacement, within its fold."""
    words = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=16).digest(), np.uint32)
    rng = np.random.default_rng(words)
    weights = np.zeros((RESAMPLES, clips))
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


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--predictions", nargs="*", default=[])
    top.add_argument("--out", required=True)
    return top


def main(args: argparse.Namespace) -> None:
    """Summarise all runs that are given."""
    columns = ["dataset", "run", "checkpoint", "fold", "seed", "clip", "label", "prediction"]
    parts = [read_parquet(path, columns) for path in sorted(args.predictions)]
    empty = pd.DataFrame(columns=columns)
    summary = summarise(pd.concat(parts, ignore_index=True) if parts else empty)
    write_parquet(summary, args.out, SUMMARY)
    print(summary.to_string())


if __name__ == "__main__":
    run(main, parser())
