"""What is known of a run's predictions: a row a clip, and what these rows measure.

Both tables name the run in every row (`RUN`). Predictions have one row a clip: clip, label,
prediction, and `logit_<class>` a class. Metrics are tidy: metric (UAR, WAR, recall, confusion), the
class it is of, the class that was predicted (confusion only), value (in %, or clips), clips.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dfer.training.metrics import confusion, recalls, uar, war

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
RUN = METRICS.names[:6]  # what names the run: dataset, its key, protocol, checkpoint rule …
LOGIT = "logit_"


def predictions(
    run: Mapping[str, Any],
    clips: Sequence[str],
    labels: Sequence[int],
    logits: np.ndarray,
    classes: Sequence[str],
) -> pd.DataFrame:
    """The predictions of a run.

    Args:
        run: `RUN` → what names it.
        labels: class index of each clip.
        logits: (clips, #class).
    """
    table = pd.DataFrame({name: run[name] for name in RUN} | {"clip": clips})
    table["label"] = [classes[i] for i in labels]
    table["prediction"] = [classes[i] for i in logits.argmax(axis=1)]
    for i, name in enumerate(classes):
        table[f"{LOGIT}{name}"] = logits[:, i]
    return table


def classes_of(table: pd.DataFrame) -> list[str]:
    """The classes of predictions, in class order."""
    return [name.removeprefix(LOGIT) for name in table.columns if name.startswith(LOGIT)]


def logits_of(table: pd.DataFrame) -> np.ndarray:
    """The logits of predictions, (clips, #class) float64."""
    return table[[f"{LOGIT}{name}" for name in classes_of(table)]].to_numpy(np.float64)


def class_indices(table: pd.DataFrame, column: str) -> np.ndarray:
    """The classes in a column of predictions, as indices (clips,) int64."""
    index = {name: i for i, name in enumerate(classes_of(table))}
    return table[column].map(index).to_numpy(np.int64)


def metrics(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `METRICS` of the predictions of one run."""
    found = measure(
        class_indices(table, "label"), class_indices(table, "prediction"), classes_of(table)
    )
    return found.assign(**table.iloc[0][RUN])[METRICS.names]


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
