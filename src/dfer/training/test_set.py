"""The test clips of a trained run's fold."""

from collections.abc import Sequence
from pathlib import Path

from dfer.clips.loader import EvaluationClips
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
    table = read_parquet(splits, ["fold", "split", "clip", "label"])
    rows = table[(table.fold == run.fold) & (table.split == "test")]
    if rows.empty:
        raise UserError(
            f"{splits}: no test clips of fold {run.fold}. Give the splits of the run's fold."
        )
    return EvaluationClips(
        ClipStore(store),
        rows["clip"].tolist(),
        [run.classes.index(label) for label in rows.label],
        frames=run.settings.model.frames,
        size=run.image_size,
        sampler=run.settings.train.sampler,
    )
