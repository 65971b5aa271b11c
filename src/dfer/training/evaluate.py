"""One trained run → its predictions on the fold's test clips, and their metrics.

    python -m dfer.training.evaluate --checkpoint run/checkpoint.safetensors
        --splits splits/1.parquet --store store/*.arrow
        --out-predictions run/predictions.parquet --out-metrics run/metrics.parquet

Both tables name the run in every row: dataset, run (its key), protocol, checkpoint (rule), fold,
seed. The predictions have one row a clip: clip, label, prediction, and `logit_<class>` a class. The
metrics are tidy: metric (UAR, WAR, recall, confusion), the class it is of, the class that was
predicted (confusion only), value (in %, or clips), clips.
"""

import argparse

import numpy as np
import pandas as pd
import pyarrow as pa

from dfer.errors import stage
from dfer.files import write_parquet
from dfer.models.checkpoint import load_run
from dfer.training.device import loader_workers, pick_device
from dfer.training.inference import predict
from dfer.training.metrics import confusion, recalls, uar, war
from dfer.training.test_set import tested_clips

METRICS = pa.schema(
    [
        ("dataset", pa.string()),
        ("run", pa.string()),
        ("protocol", pa.string()),
        ("checkpoint", pa.string()),
        ("fold", pa.int32()),
        ("seed", pa.int32()),
        ("metric", pa.string()),
        ("label", pa.string()),
        ("predicted", pa.string()),
        ("value", pa.float64()),
        ("clips", pa.int64()),
    ]
)


def measure(labels: np.ndarray, predictions: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """UAR, WAR, recalls and confusion counts as tidy rows (`METRICS` without the run's names).

    `labels` and `predictions` are class indices (clips,).
    """
    counts = confusion(labels, predictions, len(classes))
    clips = counts.sum(axis=1)
    rows = [("UAR", None, None, uar(counts), len(labels))]
    rows += [("WAR", None, None, war(counts), len(labels))]
    rows += [
        ("recall", name, None, value, n)
        for name, value, n in zip(classes, recalls(counts), clips, strict=True)
    ]
    rows += [
        ("confusion", true, predicted, float(counts[i, j]), clips[i])
        for i, true in enumerate(classes)
        for j, predicted in enumerate(classes)
    ]
    return pd.DataFrame(rows, columns=["metric", "label", "predicted", "value", "clips"])


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
    device = pick_device(args.threads)
    run = load_run(args.checkpoint)
    data = tested_clips(run, args.splits, args.store)
    run.model.to(device)
    workers = loader_workers(device, args.threads)
    logits = predict(run, data, batch=args.batch, workers=workers).numpy()
    predictions = logits.argmax(axis=1)
    names = {
        "dataset": run.dataset,
        "run": args.run_key or run.settings.key,
        "protocol": run.settings.protocol,
        "checkpoint": run.settings.train.checkpoint,
        "fold": run.fold,
        "seed": run.seed,
    }
    table = pd.DataFrame(names | {"clip": data.clips})
    table["label"] = [run.classes[i] for i in data.labels]
    table["prediction"] = [run.classes[i] for i in predictions]
    for i, name in enumerate(run.classes):
        table[f"logit_{name}"] = logits[:, i]
    write_parquet(table, args.out_predictions)
    metrics = measure(np.array(data.labels), predictions, run.classes).assign(**names)
    write_parquet(metrics[METRICS.names], args.out_metrics, METRICS)
    values = metrics.set_index("metric").value
    print(f"{args.checkpoint}: UAR {values['UAR']:.2f}  WAR {values['WAR']:.2f}")


if __name__ == "__main__":
    stage(main, parser())
