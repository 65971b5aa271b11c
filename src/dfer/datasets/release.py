"""What the reader of a layout makes of a dataset release on disk."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

CLIP_COLUMNS = ["clip", "path", "media", "label", "subject"]
FOLD_COLUMNS = ["clip", "fold", "split"]

Source = Literal["video", "crops"]  # raw videos, or the release's own aligned face frames
Split = Literal["train", "test"]


@dataclass(frozen=True)
class Release:
    """A release on disk, as its own label files state it.

    Attributes:
        clips: one row a listed clip; columns `clip` (unique id), `path` (relative to the root,
            POSIX), `media` ("video", or "frames" for a folder of images), `label` (name),
            `subject` (id or None). A clip that is listed but not on disk keeps its row, with the
            path where it should be: the stage that opens it rejects it by name.
        folds: one row a clip and fold; columns `clip`, `fold` (1-based) and `split` ("train" or
            "test").
        missing: ids of the listed clips that are not on disk, sorted.
        notes: sentences about what was found: counts, what was ignored and why.
    """

    clips: pd.DataFrame
    folds: pd.DataFrame
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def first_few(names: Iterable[str], most: int = 5) -> str:
    """At most `most` of `names` as text: "a, b, c and 7 more"."""
    names = list(names)
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
