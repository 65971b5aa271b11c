"""Whether the clips, labels and folds of a release go together, and with the configuration."""

import difflib

import pandas as pd

from dfer.errors import UserError


def check(clips: pd.DataFrame, folds: pd.DataFrame, classes: dict[str, str]) -> None:
    """Check what every later stage relies on: ids, labels, folds.

    Args:
        clips, folds: tables of a `Release`.
        classes: label → class word.

    Raises:
        UserError: a clip listed twice, two clips with one path, a clip twice in a fold (say in its
            train and test part), a clip of a fold that is not in `clips`, a label without a class
            word, a class without clips, a fold without test clips, or a fold in whose train part a
            class has no clip.
    """
    for column, remedy in (
        ("clip", "Keep one row a clip."),
        ("path", "Two ids for one file would let it be in train and test at once: keep one."),
    ):
        twice = clips.loc[clips[column].duplicated(), column]
        if len(twice):
            raise UserError(f"{column} {twice.iloc[0]!r} stands twice in the release. {remedy}")
    _check_labels(clips, classes)
    _check_folds(clips, folds, classes)


def _check_labels(clips: pd.DataFrame, classes: dict[str, str]) -> None:
    words = list(classes.values())
    if len(set(words)) < len(words):
        raise UserError(f"two classes have the same word ({', '.join(words)}). Name them apart.")
    counts = clips["label"].value_counts()
    for label in sorted(set(counts.index) - set(classes)):
        near = difflib.get_close_matches(label.lower(), classes, n=1)
        clip = clips.loc[clips["label"] == label, "clip"].iloc[0]
        raise UserError(
            f"label {label!r} ({counts[label]} clips, one is {clip!r}) has no class word in the "
            f"configuration's `classes` ({', '.join(classes)})."
            + (f" Did you mean {near[0]!r}?" if near else " Add it there, or correct the label.")
        )
    for label in classes:
        if label not in counts:
            raise UserError(
                f"class {label!r} has no clip in the release. Correct its name in the "
                f"configuration's `classes` (labels found: {', '.join(sorted(counts.index))}), "
                "or remove it there."
            )


def _check_folds(clips: pd.DataFrame, folds: pd.DataFrame, classes: dict[str, str]) -> None:
    twice = folds[folds.duplicated(["clip", "fold"])]
    if len(twice):
        clip, fold = twice.iloc[0]["clip"], twice.iloc[0]["fold"]
        splits = folds.loc[(folds["clip"] == clip) & (folds["fold"] == fold), "split"]
        parts = "both train and test" if splits.nunique() > 1 else f"{splits.iloc[0]} twice"
        raise UserError(f"clip {clip!r} is in {parts} in fold {fold}. Keep it in one.")
    unknown = folds.loc[~folds["clip"].isin(clips["clip"]), "clip"]
    if len(unknown):
        raise UserError(f"clip {unknown.iloc[0]!r} is in a fold but has no label. Label it.")
    labelled = folds.merge(clips[["clip", "label"]], on="clip")
    for fold, rows in labelled.groupby("fold"):
        train = rows.loc[rows["split"] == "train", "label"]
        for split, size in (("train", len(train)), ("test", len(rows) - len(train))):
            if size == 0:
                raise UserError(
                    f"fold {fold} has no {split} clips. Give it some in the release's lists, or "
                    "leave the fold out of them."
                )
        empty = [label for label in classes if label not in set(train)]
        if empty:
            raise UserError(
                f"fold {fold} has no train clip of class {empty[0]!r}: no model can learn it. "
                "Place one of its clips in another fold, or leave the class out."
            )
