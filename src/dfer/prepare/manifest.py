"""Stage manifest: a dataset release → one table of clips, one of folds, and lists of shards.

    python -m dfer.prepare.manifest --layout csv --root data/mine --source video \
        --classes '{"happy": "happiness", "sad": "sadness"}' --shards 4 \
        --out-manifest results/mine/manifest.parquet --out-fold-lists results/mine/folds \
        --out-shard-lists results/mine/shards

Labels and folds come from the release's own files; here they are checked against the configuration.
Every later stage knows the release only by these files:

- manifest: clip, path (relative to the root, POSIX), media ("video" | "frames"), label, subject;
- fold lists `<k>.parquet`: clip, split ("train" | "test"), label, subject of fold k (1-based), all
  folds that the release has, whichever the configuration uses;
- shard lists `<i>.parquet`: the manifest's rows of shard i (`shard_of`), sorted by clip. All are
  written, empty ones too. A clip that joins or leaves touches one list.
"""

import argparse
import hashlib
from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow as pa

from dfer.arguments import class_words, positive
from dfer.datasets import layouts
from dfer.datasets.consistency import check
from dfer.datasets.release import CLIP_COLUMNS, Source, first_few
from dfer.errors import UserError, stage
from dfer.files import write_parquet

MANIFEST_SCHEMA = pa.schema([(name, pa.string()) for name in CLIP_COLUMNS])
FOLD_SCHEMA = pa.schema([(name, pa.string()) for name in ("clip", "split", "label", "subject")])


def shard_of(clip: str, shards: int) -> int:
    """The shard of a clip, 0 … shards − 1: a hash of the id alone, the same on every machine."""
    digest = hashlib.blake2b(clip.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards


def write_fold_lists(clips: pd.DataFrame, folds: pd.DataFrame, folder: Path) -> None:
    """Write one list a fold into `folder`.

    Args:
        clips, folds: tables of a `Release`.
    """
    labelled = folds.merge(clips[["clip", "label", "subject"]], on="clip")
    for number, rows in labelled.sort_values("clip").groupby("fold"):
        write_parquet(rows[FOLD_SCHEMA.names], folder / f"{number}.parquet", FOLD_SCHEMA)


def write_shard_lists(clips: pd.DataFrame, shards: int, folder: Path) -> None:
    """Write one list a shard into `folder`, empty ones too."""
    shard = clips["clip"].map(lambda clip: shard_of(clip, shards))
    for number in range(shards):
        write_parquet(clips[shard == number], folder / f"{number}.parquet", MANIFEST_SCHEMA)


def main(args: argparse.Namespace) -> None:
    """Write the manifest, the fold lists and the shard lists; print the reader's notes."""
    release = layouts.read(args.layout, args.root, args.source)
    clips = release.clips.sort_values("clip", ignore_index=True)
    try:
        check(clips, release.folds, args.classes)
    except UserError as error:
        raise UserError(f"{args.root}: {error}") from None
    write_parquet(clips, args.out_manifest, MANIFEST_SCHEMA)
    write_fold_lists(clips, release.folds, args.out_fold_lists)
    write_shard_lists(clips, args.shards, args.out_shard_lists)
    print(f"{args.root}: {len(clips)} clips, {release.folds['fold'].nunique()} folds.")
    for note in release.notes:
        print(note)
    if release.missing:
        print(
            f"{len(release.missing)} listed clips are not on disk ({first_few(release.missing)}); "
            "they stay in the manifest, and the stage that opens them rejects them by name."
        )


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--layout", required=True, choices=layouts.LAYOUTS, help="layout of the release")
    add("--root", required=True, type=Path, help="folder of the release")
    add("--source", required=True, choices=get_args(Source), help="raw videos or face crops")
    add("--classes", required=True, type=class_words, help="JSON: label → class word")
    add("--shards", required=True, type=positive, help="number of shards")
    add("--out-manifest", required=True, type=Path, help="output (the clips)")
    add("--out-fold-lists", required=True, type=Path, help="output (folder, one list a fold)")
    add("--out-shard-lists", required=True, type=Path, help="output (folder, one list a shard)")
    return parser


if __name__ == "__main__":
    stage(main, parser())
