"""One trained run → its predictions on the fold's test clips, and their metrics.

    python -m dfer.training.evaluate --checkpoint run/checkpoint.safetensors
        --splits splits/1.parquet --store store/*.arrow
        --out-predictions run/predictions.parquet --out-metrics run/metrics.parquet

What the two tables hold is said in `dfer.training.scores`.
"""

import argparse

import pandas as pd

from dfer.clips.evaluation import EvaluationClips
from dfer.errors import stage
from dfer.files import write_parquet
from dfer.models.checkpoint import TrainedRun, load_run
from dfer.training import scores
from dfer.training.device import loader_workers, pick_device
from dfer.training.inference import predict
from dfer.training.test_set import tested_clips


def predicted(
    run: TrainedRun, data: EvaluationClips, key: str | None, *, batch: int, threads: int
) -> pd.DataFrame:
    """What a run says of clips, as `dfer.training.scores.predictions`.

    Args:
        key: folder name of the run's settings; None: their key.
        batch: clips that are computed at once.
        threads: to compute with, where there is no GPU.
    """
    device = pick_device(threads)
    run.model.to(device)
    logits = predict(run, data, batch=batch, workers=loader_workers(device, threads))
    names = {
        "dataset": run.dataset,
        "run": key or run.settings.key,
        "protocol": run.settings.protocol,
        "checkpoint": run.settings.train.checkpoint,
        "fold": run.fold,
        "seed": run.seed,
    }
    return scores.predictions(names, data.clips, data.labels, logits.numpy(), run.classes)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--run-key", help="folder name of the run's settings; left out: their key")
    add("--checkpoint", required=True, help="a trained run (dfer.training.train)")
    add("--splits", required=True, help="clips of a fold (dfer.prepare.splits)")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--batch", type=int, default=32, help="clips that are computed at once")
    add("--threads", type=int, default=1, help="threads to compute with")
    add("--out-predictions", required=True, help="output (logits and prediction of each clip)")
    add("--out-metrics", required=True, help="output (UAR, WAR, recalls and confusion)")
    return top


def main(args: argparse.Namespace) -> None:
    """Predict the test clips of the run's fold and measure."""
    run = load_run(args.checkpoint)
    data = tested_clips(run, args.splits, args.store)
    table = predicted(run, data, args.run_key, batch=args.batch, threads=args.threads)
    write_parquet(table, args.out_predictions)
    metrics = scores.metrics(table)
    write_parquet(metrics, args.out_metrics, scores.METRICS)
    values = metrics.set_index("metric").value
    print(f"{args.checkpoint}: UAR {values['UAR']:.2f}  WAR {values['WAR']:.2f}")


if __name__ == "__main__":
    stage(main, parser())
