"""The test clips of a trained run's fold."""

from dfer.clips.loader import EvaluationClips, open_store
from dfer.errors import UserError
from dfer.files import read_parquet
from dfer.models.checkpoint import TrainedRun


def tested_clips(trained: TrainedRun, splits: str, store: str) -> EvaluationClips:
    """The clips that a run is tested on, sorted as in the splits, as its model wants them.

    Args:
        splits: path of the fold's clips, as `dfer.prepare.splits` writes them.
        store: folder of the clip store's shards.

    Raises:
        UserError: `splits` has no test clips of the run's fold, or the store lacks one.
    """
    table = read_parquet(splits)
    rows = table[(table.fold == trained.fold) & (table.split == "test")]
    if rows.empty:
        raise UserError(f"{splits}: fold {trained.fold} has no test clips")
    return EvaluationClips(
        open_store(store),
        rows["clip"].tolist(),
        [trained.classes.index(label) for label in rows.label],
        frames=trained.settings.model.frames,
        size=trained.model.image.config.image_size,
    )
