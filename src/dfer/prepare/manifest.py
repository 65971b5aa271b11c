"""Stage manifest: a dataset release → one table of clips, one of folds, and lists of shards.

    python -m dfer.prepare.manifest --reader csv --root data/mine --source video \
        --classes '{"happy": "happiness", "sad": "sadness"}' --shards 4 \
        --manifest results/mine/manifest.parquet --fold-lists results/mine/folds \
        --shard-lists results/mine/shards

The reader takes labels and folds from the release's own files; here they are checked against the
configuration. Every later stage knows the release only by these files:

- manifest: clip, path (relative to the root, POSIX), media ("video" | "frames"), label, subject;
- fold lists `<k>.parquet`: clip, split ("train" | "test"), label, subject of fold k (1-based), all
  folds that the release has, whichever the configuration uses;
- shard lists `<i>.parquet`: the manifest's rows of shard i (`shard_of`), sorted by clip. All are
  written, empty ones too. A clip that joins or leaves touches one list.
"""

import argparse
import difflib
import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dfer.datasets.release import CLIP_COLUMNS, Release, some
from dfer.errors import UserError, stage
from dfer.files import write_parquet

READERS = ("csv", "dfew", "ferv39k", "mafw")
SOURCES = ("video", "crops")

MANIFEST_SCHEMA = pa.schema([(name, pa.string()) for name in CLIP_COLUMNS])
FOLD_SCHEMA = pa.schema([(name, pa.string()) for name in ("clip", "split", "label", "subject")])


def shard_of(clip: str, shards: int) -> int:
    """The shard of a clip, 0 … shards − 1: a hash of the id alone, the same on every machine."""
    digest = hashlib.blake2b(clip.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards


def read_release(reader: str, root: Path, source: str) -> Release:
    """Read the release at `root` with the reader of that name.

    Readers are imported where they are used, so that a stage's code digest can leave out those
    that its dataset does not need.

    Args:
        source: "video" (raw videos, to be aligned here) or "crops" (the release's own aligned
            face frames). A CSV release says by its paths what it has; it takes either.
    """
    if reader == "csv":
        from dfer.datasets.table import read as read_table

        return read_table(root)
    if reader == "dfew":
        from dfer.datasets.dfew import read as read_dfew

        return read_dfew(root, source)
    if reader == "ferv39k":
        from dfer.datasets.ferv39k import read as read_ferv39k

        return read_ferv39k(root, source)
    if reader == "mafw":
        from dfer.datasets.mafw import read as read_mafw

        return read_mafw(root, source)
    raise UserError(f"no reader {reader!r}. Use one of: {', '.join(READERS)}.")


def check(clips: pd.DataFrame, folds: pd.DataFrame, classes: dict[str, str]) -> None:
    """Check what every later stage relies on; ids, labels, folds.

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
        how = "both train and test" if splits.nunique() > 1 else f"{splits.iloc[0]} twice"
        raise UserError(f"clip {clip!r} is in {how} in fold {fold}. Keep it in one.")
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


def main(args: argparse.Namespace) -> None:
    """Write the manifest, the fold lists and the shard lists; print the reader's notes."""
    release = read_release(args.reader, args.root, args.source)
    clips = release.clips.sort_values("clip", ignore_index=True)
    try:
        check(clips, release.folds, args.classes)
    except UserError as error:
        raise UserError(f"{args.root}: {error}") from None
    write_parquet(clips, args.manifest, MANIFEST_SCHEMA)
    labelled = release.folds.merge(clips[["clip", "label", "subject"]], on="clip")
    for number, rows in labelled.sort_values("clip").groupby("fold"):
        write_parquet(rows[FOLD_SCHEMA.names], args.fold_lists / f"{number}.parquet", FOLD_SCHEMA)
    shard = clips["clip"].map(lambda clip: shard_of(clip, args.shards))
    for number in range(args.shards):
        path = args.shard_lists / f"{number}.parquet"
        write_parquet(clips[shard == number], path, MANIFEST_SCHEMA)
    print(f"{args.root}: {len(clips)} clips, {release.folds['fold'].nunique()} folds.")
    for note in release.notes:
        print(note)
    if release.missing:
        print(
            f"{len(release.missing)} listed clips are not on disk ({some(release.missing)}); they "
            "stay in the manifest, and the stage that opens them rejects them by name."
        )


def classes_argument(text: str) -> dict[str, str]:
    """Parse `{"label in the release": "class word", …}`; the order is the class order."""
    try:
        classes = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    good = isinstance(classes, dict) and all(
        isinstance(word, str) and word.strip() for word in classes.values()
    )
    if not good or not classes:
        raise argparse.ArgumentTypeError('not an object of texts, as {"happy": "happiness"}')
    return classes


def positive(text: str) -> int:
    """Parse a whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--reader", required=True, choices=READERS, help="layout of the release")
    add("--root", required=True, type=Path, help="folder of the release")
    add("--source", required=True, choices=SOURCES, help="raw videos, or official face crops")
    add("--classes", required=True, type=classes_argument, help="JSON: label → class word")
    add("--shards", required=True, type=positive, help="number of shards")
    add("--manifest", required=True, type=Path, help="output: the clips")
    add("--fold-lists", required=True, type=Path, help="output: folder of the fold lists")
    add("--shard-lists", required=True, type=Path, help="output: folder of the shard lists")
    return parser


if __name__ == "__main__":
    stage(main, parser())
