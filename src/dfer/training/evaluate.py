"""One trained run → its predictions on the fold's test clips, and their metrics.

    python -m dfer.training.evaluate --checkpoint run/checkpoint.safetensors --splits splits.parquet
        --store store/ --predictions run/predictions.parquet --metrics run/metrics.parquet

Both tables name the run in every row: dataset, run (its name), checkpoint (rule), fold,
seed. `predictions.parquet` has one row a clip: clip, label, prediction, and `logit_<class>` a
class. `metrics.parquet` is tidy: metric (UAR, WAR, recall, confusion), the class it is of, the
class that was predicted (confusion only), value (in %, or clips), clips.
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
    top.add_argument("--run", help="the run's name in the tables; else the key of its settings")
    top.add_argument("--checkpoint", required=True)
    top.add_argument("--splits", required=True)
    top.add_argument("--store", required=True, help="folder of the clip store's shards")
    top.add_argument("--batch", type=int, default=32)
    top.add_argument("--threads", type=int, default=1)
    top.add_argument("--predictions", required=True)
    top.add_argument("--metrics", required=True)
    return top


def main(args: argparse.Namespace) -> None:
    """Predict the test clips of the run's fold and measure."""
    device = pick_device(args.threads)
    trained = load_run(args.checkpoint)
    data = tested_clips(trained, args.splits, args.store)
    model, workers = trained.model.to(device), loader_workers(device, args.threads)
    logits = predict(model, data, trained.settings, batch=args.batch, workers=workers).numpy()
    predictions = logits.argmax(axis=1)
    names = {
        "dataset": trained.dataset,
        "run": args.run or trained.settings.key,
        "checkpoint": trained.settings.train.checkpoint,
        "fold": trained.fold,
        "seed": trained.seed,
    }
    table = pd.DataFrame(names | {"clip": data.clips})
    table["label"] = [trained.classes[i] for i in data.labels]
    table["prediction"] = [trained.classes[i] for i in predictions]
    for i, name in enumerate(trained.classes):
        table[f"logit_{name}"] = logits[:, i]
    write_parquet(table, args.predictions)
    metrics = measure(np.array(data.labels), predictions, trained.classes).assign(**names)
    write_parquet(metrics[METRICS.names], args.metrics, METRICS)
    values = metrics.set_index("metric").value
    print(f"{args.checkpoint}: UAR {values['UAR']:.2f}  WAR {values['WAR']:.2f}")


if __name__ == "__main__":
    stage(main, parser())
