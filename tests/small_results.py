"""A small folder of results: Table 1 with a run of two folds that was measured, all made up."""

from pathlib import Path

import numpy as np
import pandas as pd

from dfer.files import write_parquet
from dfer.tables import reported
from dfer.tables.numbers import NUMBERS, Dataset, numbers
from dfer.tables.summary import summarise
from dfer.training.loop import HISTORY
from dfer.training.scores import METRICS, measure

CLASSES = ["happy", "sad", "neutral"]
KEY = "interfit+msta+biehpro2.0a1b2c3d"
REPORTED = Path(__file__).parents[1] / "config/reported.csv"


def predictions(fold: int) -> pd.DataFrame:
    """Six clips a fold, the second and the last of them wrong; logits say how sure."""
    labels, found = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 0])
    logits = np.full((6, 3), 0.0, np.float32)
    logits[np.arange(6), found] = np.arange(1, 7) / 2 + fold
    table = pd.DataFrame(
        {"dataset": "demo", "run": KEY, "protocol": "", "checkpoint": "last"}
        | {
            "fold": fold,
            "seed": 0,
            "clip": [f"f{fold}-clip{n}" for n in range(6)],
            "label": [CLASSES[n] for n in labels],
            "prediction": [CLASSES[n] for n in found],
        }
    )
    return table.assign(**{f"logit_{name}": logits[:, n] for n, name in enumerate(CLASSES)})


def small_results(root: Path) -> Path:
    """Write it into a folder and return that of the runs."""
    runs, tables = root / "demo/runs" / KEY, []
    for fold in (1, 2):
        folder, table = runs / f"fold{fold}-seed0", predictions(fold)
        names = {name: table[name].iloc[0] for name in METRICS.names[:6]}
        indices = (table[c].map(CLASSES.index).to_numpy() for c in ("label", "prediction"))
        metrics = measure(*indices, CLASSES).assign(**names)
        write_parquet(table, folder / "predictions.parquet")
        write_parquet(metrics[METRICS.names], folder / "metrics.parquet", METRICS)
        epochs = [(e, "train", 2.0 / e, 30.0 * e, 30.0 * e, 1e-3, e == 3) for e in (1, 2, 3)]
        history = pd.DataFrame(epochs, columns=HISTORY.names)
        write_parquet(history, folder / "history.parquet", HISTORY)
        tables.append(table)
    cells = [cell for cell in reported.read(REPORTED) if cell.table == 1]
    measured = summarise(pd.concat(tables, ignore_index=True))
    datasets, full = {"demo": Dataset("Demo", synthetic=True)}, {"demo": {"full": KEY}}
    table = numbers(1, cells, measured, None, datasets, full)
    write_parquet(table, root / "table1.parquet", NUMBERS)
    return runs
