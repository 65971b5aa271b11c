"""The clips of a trained run's fold that it did not train on: those of the test, those held out."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dfer.clips.evaluation import EvaluationClips
from dfer.clips.store import ClipStore
from dfer.errors import UserError
from dfer.files import read_parquet
from dfer.models.checkpoint import TrainedRun


def tested_clips(
    run: TrainedRun, splits: Path | str, store: Sequence[Path | str]
) -> EvaluationClips:
    """The clips that a run is tested on, sorted as in the splits, as its model wants them.

    Args:
        splits: path of the clips of one fold or of several, as `dfer.prepare.splits` writes them.
        store: paths of the clip store's shards.

    Raises:
        UserError: `splits` has no test clips of the run's fold.
    """
    rows = _of_fold(run, splits)
    return _clips(run, rows[rows.split == "test"], store, f"{splits}: no test clips")


def held_out_clips(
    run: TrainedRun, splits: Path | str, store: Sequence[Path | str]
) -> EvaluationClips:
    """The train clips that a run held out; see `tested_clips`.

    Raises:
        UserError: the run has trained on all train clips, or `splits` has none of its fold that
            are to be held out.
    """
    if not run.settings.train.holds_out:
        raise UserError(
            f"the run {run.settings.key} of fold {run.fold} has held out no train clips. Give one "
            "that was trained with train.hold_out: true."
        )
    rows = _of_fold(run, splits)
    return _clips(run, rows[rows.held_out], store, f"{splits}: no held-out clips")


def _of_fold(run: TrainedRun, splits: Path | str) -> pd.DataFrame:
    """The rows of the run's fold."""
    table = read_parquet(splits, ["fold", "split", "clip", "label", "held_out"])
    return table[table.fold == run.fold]


def _clips(
    run: TrainedRun, rows: pd.DataFrame, store: Sequence[Path | str], none: str
) -> EvaluationClips:
    """The clips of `rows`; `none` begins the error where there are none."""
    if rows.empty:
        raise UserError(f"{none} of fold {run.fold}. Give the splits of the run's fold.")
    return EvaluationClips(
        ClipStore(store),
        rows["clip"].tolist(),
        [run.classes.index(label) for label in rows.label],
        frames=run.settings.model.frames,
        size=run.image_size,
        sampler=run.settings.train.sampler,
    )
