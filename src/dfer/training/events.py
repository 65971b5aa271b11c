"""A training in TensorBoard: event files of its history, written as it grows.

    tensorboard --logdir results

They are a view that no result depends on: an edit here retrains nothing (`dfer.provenance.VIEWS`).
"""

import shutil
from pathlib import Path
from typing import Any

from dfer.errors import UserError

SCORES = {"loss": "loss", "UAR": "uar", "WAR": "war"}  # in TensorBoard → in a history


class EventLog:
    """The event file of a training; call it with the history so far.

    A training that goes on after a kill begins a new file, with all epochs that it kept, so that no
    point stands twice.
    """

    def __init__(self, folder: Path) -> None:
        """Begin a file in `folder`, where there are no others.

        Raises:
            UserError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "event files need TensorBoard: `pip install tensorboard`. Or do without: leave out "
                "`tensorboard: true` of the configuration, or --tensorboard."
            ) from None
        # A TensorBoard that looks on forgets what a former file told it of epoch 1 and later.
        self._writer = SummaryWriter(str(folder), purge_step=1)
        self._written = 0

    def __call__(self, history: list[dict[str, Any]]) -> None:
        """Write what is new in a history, rows as `dfer.training.loop.train` gives them."""
        for row in history[self._written :]:
            points = {f"{name}/{row['split']}": row[key] for name, key in SCORES.items()}
            if row["split"] == "train":
                points |= {"learning_rate": row["lr"], "clips_per_second": row["clips_per_second"]}
            for tag, value in points.items():
                self._writer.add_scalar(tag, value, row["epoch"], walltime=row["ended"])
        self._written = len(history)
        self._writer.flush()


def event_log(folder: Path, wanted: bool) -> EventLog | None:
    """The events of a training, if they are `wanted`; those of an earlier one are removed anyway.

    Raises:
        UserError: see `EventLog`.
    """
    if folder.exists():
        shutil.rmtree(folder)
    return EventLog(folder) if wanted else None
