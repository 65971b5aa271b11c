"""What stands behind a measured number: its runs, how they learnt, what they take for what."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from scipy.special import softmax

from dfer.errors import UserError
from dfer.figures import confusion, learning, style
from dfer.figures.style import Comparison
from dfer.training import scores

COLUMNS = ["fold", "seed", "clip", "true", "predicted", "probability"]


@dataclass(frozen=True)
class Behind:
    """All folds and seeds of a run.

    Attributes:
        runs: a row a fold and seed: fold, seed, UAR, WAR, clips, wrong.
        wrong: the clips that were got wrong, the surest first, in `COLUMNS`; the probability is
            that of the predicted class, which nobody has calibrated.
        figures: (what it shows, SVG).
    """

    runs: pd.DataFrame
    wrong: pd.DataFrame
    figures: list[tuple[str, bytes]]


def behind(folder: Path, method: str, dataset: str, *, synthetic: bool) -> Behind:
    """Read the runs in a folder and draw them.

    Args:
        folder: <results>/<dataset>/runs/<key>.
        method, dataset: what they are called in the table.

    Raises:
        UserError: their files are not there.
    """
    metrics, predictions = (
        _all(folder, name) for name in ("metrics.parquet", "predictions.parquet")
    )
    classes = scores.classes_of(predictions)
    comparison = Comparison(dataset, synthetic, classes, {method: folder.name})
    wrong = wrong_clips(predictions)
    return Behind(_runs(metrics, wrong), wrong, list(_figures(folder, metrics, comparison)))


def wrong_clips(predictions: pd.DataFrame) -> pd.DataFrame:
    """The test clips whose predicted label is not the true one, the surest first."""
    shares = softmax(scores.logits_of(predictions), axis=1).max(axis=1)
    table = predictions.rename(columns={"label": "true", "prediction": "predicted"})
    table = table.assign(probability=shares.round(3))[COLUMNS]
    wrong = table[table.true != table.predicted]
    return wrong.sort_values("probability", ascending=False, kind="stable", ignore_index=True)


def _all(folder: Path, name: str) -> pd.DataFrame:
    paths = sorted(folder.glob(f"*/{name}"))
    if not paths:
        raise UserError(f"{folder}: {name} of its runs is not here. Snakemake makes it again.")
    return style.read_all(list(map(str, paths)))


def _runs(metrics: pd.DataFrame, wrong: pd.DataFrame) -> pd.DataFrame:
    place = ["fold", "seed"]
    means = metrics[metrics.metric.isin(["UAR", "WAR"])]
    runs = means.pivot(index=[*place, "clips"], columns="metric", values="value").reset_index()
    counts = wrong.groupby(place).size().rename("wrong")
    runs = runs.join(counts, on=place).fillna({"wrong": 0}).astype({"wrong": int})
    return runs.rename_axis(columns=None).round(2)[[*place, "UAR", "WAR", "clips", "wrong"]]


def _figures(
    folder: Path, metrics: pd.DataFrame, comparison: Comparison
) -> Iterator[tuple[str, bytes]]:
    histories = sorted(map(str, folder.glob("*/history.parquet")))
    if histories:  # a published checkpoint has none
        yield "Learning curves", _svg(learning.draw(learning.read_histories(histories), comparison))
    yield "Confusion matrix", _svg(confusion.draw(metrics, comparison))


def _svg(figure: plt.Figure) -> bytes:
    style.settle(figure)
    content = io.BytesIO()
    figure.savefig(content, format="svg")
    plt.close(figure)
    return content.getvalue()
