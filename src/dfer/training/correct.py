"""Saved predictions → the same with the class prior taken out of them; nothing is trained.

    python -m dfer.training.correct --uncorrected run/predictions.parquet --record run/run.json
        --held-out other/held_out.parquet --splits splits/1.parquet --prior 1
        --run-key corrected.0a1b2c3d
        --out-predictions corrected/predictions.parquet --out-metrics corrected/metrics.parquet
        --out-record corrected/correction.json

The post-hoc form of Menon et al., "Long-tail learning via logit adjustment", ICLR 2021:

    prediction = argmax_j (s_j / θ − λ ln π_j)

π_j is the share of class j in the clips that the run was trained on. θ is a temperature (Guo et
al., ICML 2017), since logits over a small τ differ by tens, and λ ln π is nothing beside them: it
makes softmax(s / θ) a probability, by the least cross-entropy of held-out train clips, with Platt's
targets. The run may have trained on all clips; then a training of equal settings, fold and seed has
held them out. Test clips have no part in π, λ and θ.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_parquet, write_text
from dfer.settings import RunSettings
from dfer.training import scores
from dfer.training.train_set import log_prior, trained

TEMPERATURES = (0.01, 100.0)  # the least and the largest θ


def fitted_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The θ within `TEMPERATURES` that minimises the cross-entropy of softmax(s / θ).

    Targets of n clips are not 1 and 0 but (n + 1) / (n + #class) and 1 / (n + #class), as in
    Platt's scaling (1999): a few clips that are all right would make a model sure of everything.

    Args:
        logits: s (clips, #class).
        labels: class indices (clips,).
    """
    n, classes = logits.shape
    targets = (np.eye(classes)[labels] * n + 1) / (n + classes)

    def loss(log_theta: float) -> float:
        z = logits / np.exp(log_theta)
        return float(np.mean(logsumexp(z, axis=1) - (targets * z).sum(axis=1)))

    found = minimize_scalar(
        loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(found.x))


def corrected(
    logits: np.ndarray, log_shares: np.ndarray, strength: float, temperature: float
) -> np.ndarray:
    """s (clips, #class) → s / θ − λ ln π, float32, for ln π (#class,), λ and θ."""
    return (logits / temperature - strength * log_shares).astype(np.float32)


def check_held_out(
    held_out: pd.DataFrame, predictions: pd.DataFrame, splits: pd.DataFrame, path: Path
) -> None:
    """Raise a UserError unless the clips of `held_out` are train clips of the same fold and seed.

    Args:
        splits: rows of the fold.
        path: of `held_out`.
    """
    alike = ["dataset", "fold", "seed"]
    if not held_out[alike].drop_duplicates().equals(predictions[alike].drop_duplicates()):
        raise UserError(f"{path}: of another dataset, fold or seed than the predictions.")
    known = set(splits["clip"][(splits.split == "train") & splits.held_out])
    if others := sorted(set(held_out["clip"]) - known):
        raise UserError(
            f"{path}: {others[0]} is no held-out train clip of the fold. Give what "
            "dfer.training.held_out writes, and the splits of the fold."
        )


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--run-key", required=True, help="folder name of the run's settings; left out: their key")
    add("--uncorrected", type=Path, required=True, help="predictions (dfer.training.evaluate)")
    add("--record", type=Path, required=True, help="run.json of the run")
    add("--held-out", type=Path, required=True, help="held-out clips (dfer.training.held_out)")
    add("--splits", required=True, help="clips of a fold (dfer.prepare.splits)")
    add("--prior", type=float, required=True, help="λ: how much of the prior is taken out")
    add("--out-predictions", required=True, help="output (logits and prediction of each clip)")
    add("--out-metrics", required=True, help="output (UAR, WAR, recalls and confusion)")
    add("--out-record", required=True, help="output (JSON of λ, θ and π)")
    return top


def main(args: argparse.Namespace) -> None:
    """Fit θ, correct the predictions, measure."""
    record: dict[str, Any] = json.loads(args.record.read_text(encoding="utf-8"))
    predictions, held_out = read_parquet(args.uncorrected), read_parquet(args.held_out)
    splits = read_parquet(args.splits, ["fold", "split", "clip", "label", "held_out"])
    splits = splits[splits.fold == record["fold"]]
    check_held_out(held_out, predictions, splits, args.held_out)
    classes, recipe = record["classes"], RunSettings.from_dict(record["settings"]).train
    learnt = splits.label[trained(splits, recipe, record["seed"])]
    log_shares = log_prior([classes.index(label) for label in learnt], classes)
    theta = fitted_temperature(scores.logits_of(held_out), scores.class_indices(held_out, "label"))
    logits = corrected(scores.logits_of(predictions), log_shares, args.prior, theta)
    table = scores.predictions(
        predictions.iloc[0].to_dict() | {"run": args.run_key},
        predictions["clip"].tolist(),
        scores.class_indices(predictions, "label").tolist(),
        logits,
        classes,
    )
    write_parquet(table, args.out_predictions)
    metrics = scores.metrics(table)
    write_parquet(metrics, args.out_metrics, scores.METRICS)
    shares = dict(zip(classes, np.exp(log_shares).tolist(), strict=True))
    found = {"prior": args.prior, "temperature": theta, "shares": shares}
    found |= {"corrects": record["settings"], "fitted_on": len(held_out)}
    write_text(json.dumps(found, indent=1, ensure_ascii=False), args.out_record)
    values = metrics.set_index("metric").value
    print(
        f"{args.uncorrected}: θ = {theta:.3g} on {len(held_out)} clips; "
        f"UAR {values['UAR']:.2f}  WAR {values['WAR']:.2f}"
    )


if __name__ == "__main__":
    stage(main, parser())
