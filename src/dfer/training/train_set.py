"""The clips that a run trains on, and the prior of the classes that it learns from them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dfer.errors import UserError
from dfer.settings import TrainSettings
from dfer.training.share import chosen


def trained(clips: pd.DataFrame, recipe: TrainSettings, seed: int) -> pd.Series:
    """Whether each clip of a fold is trained on.

    Args:
        clips: the fold's rows of the splits (`dfer.prepare.splits`): split, clip, label, held_out.
            Labels of test clips are not looked at.
        recipe: says whether the tenth is held out, and which share of the rest is taken.
        seed: of that share.

    Returns:
        bool, with the index of `clips`.
    """
    found = (clips.split == "train") & ~(clips.held_out & recipe.holds_out)
    rows = clips[found]
    found[found] = chosen(rows["clip"].tolist(), rows.label.tolist(), recipe.share, seed)
    return found


def log_prior(labels: Sequence[int], classes: Sequence[str]) -> np.ndarray:
    """ln π (#class,), float64: π_j is the share of class j in the clips that are trained on.

    Args:
        labels: class index of each of these clips.
        classes: names of the classes.

    Raises:
        UserError: no clip is of some class.
    """
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.all():
        raise UserError(
            f"no train clip is of class {classes[counts.argmin()]!r}, so there is no prior of it "
            "to correct. Correct none (`prior: 0`), or leave the class out of `classes`."
        )
    return np.log(counts / counts.sum())
