"""Stage splits: the clips that training and test really use, which is the folds less the rejects.

Bad data is named, counted and listed, never dropped in silence: `rejects.parquet` has every clip
that could not be aligned or extracted, with the reason. Where they are more than the configuration
allows, `accept` stops with one summary, after the whole scan, and names the shards to redo for a
mended clip: videos are too many to be inputs of jobs, so Snakemake must be told.

    python -m dfer.prepare.splits rejects …  the rejects of all shards → rejects.parquet
    python -m dfer.prepare.splits accept …   not more rejects than are allowed → accepted.txt
    python -m dfer.prepare.splits fold …     a fold's list, less the rejects → splits/<fold>.parquet
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_parquet, write_text

HELD_OUT = 10  # one clip in ten of a fold's train set is the validation set

REJECTS = pa.schema(
    [
        ("clip", pa.string()),
        ("path", pa.string()),
        ("shard", pa.int32()),
        ("stage", pa.string()),
        ("reason", pa.string()),
    ]
)
FOLD_LIST = pa.schema([(name, pa.string()) for name in ("clip", "split", "label", "subject")])
SPLITS = pa.schema(
    [
        ("fold", pa.int32()),
        ("split", pa.string()),
        ("clip", pa.string()),
        ("label", pa.string()),
        ("subject", pa.string()),
        ("held_out", pa.bool_()),
    ]
)


def accept(rejects: pd.DataFrame, allowed: int, redo: str) -> str:
    """One line for the record: how many clips were rejected, how many are allowed.

    Args:
        redo: the file that Snakemake must make anew for a mended clip, with `*` for its shard.

    Raises:
        UserError: more were rejected than `allowed`.
    """
    if len(rejects) > allowed:
        raise UserError(_summary(rejects, allowed, redo))
    return f"{len(rejects)} clips rejected, {allowed} allowed\n"


def split(fold: int, clips: pd.DataFrame, rejects: pd.DataFrame) -> pd.DataFrame:
    """One row a clip of a fold, sorted, as the schema `SPLITS` says.

    `held_out` marks the validation tenth of the fold's train set, which only the checkpoint rule
    `val` and the tuning hold out.

    Args:
        clips: the fold's list, as `dfer.prepare.manifest` writes it.

    Raises:
        UserError: all clips of a class in train or test were rejected.
    """
    for (part, label), names in clips.groupby(["split", "label"])["clip"]:
        if names.isin(rejects["clip"]).all():
            raise UserError(
                f"fold {fold}: all {len(names)} {part} clips of class {label} were rejected, "
                f"for example {names.iloc[0]}; see rejects.parquet for the reasons."
            )
    kept = clips[~clips["clip"].isin(rejects["clip"])].assign(fold=fold)
    kept = kept.sort_values(["split", "clip"]).reset_index(drop=True)
    kept["held_out"] = _held_out(kept)
    return kept[SPLITS.names]


def _held_out(rows: pd.DataFrame) -> pd.Series:
    """A tenth of each class of a fold's train set, by the hash of (fold, clip).

    So a clip that is added or rejected moves at most one other. A class of a single clip keeps it.
    """
    rank = rows.assign(
        hash=[
            hashlib.blake2b(f"{fold}/{clip}".encode(), digest_size=8).hexdigest()
            for fold, clip in zip(rows.fold, rows["clip"], strict=True)
        ]
    ).groupby(["split", "label"])
    size = rank.hash.transform("size")
    share = (size / HELD_OUT).round().clip(lower=1).where(size > 1, 0)
    return (rank.hash.rank(method="first") <= share) & (rows.split == "train")


def _summary(bad: pd.DataFrame, allowed: int, redo: str) -> str:
    """The reasons, at most ten clips by name, and what to do."""
    lines = [f"{len(bad)} clips were rejected, {allowed} are allowed (`allow_rejects`):"]
    lines += [f"  {n:6d} × {reason}" for reason, n in bad.reason.value_counts().items()][:10]
    lines += [f"  {row.clip}: {row.path}: {row.reason}" for row in bad.head(10).itertuples()]
    if len(bad) > 10:
        lines.append(f"  … and {len(bad) - 10} more")
    files = " ".join(redo.replace("*", str(shard)) for shard in sorted(set(bad.shard)))
    lines.append(
        "All are listed in rejects.parquet. Allow that number in the configuration of the dataset, "
        f"or mend the files and give the same command again with\n  --forcerun {files}\n"
        "at its end: only the shards of these clips are done anew."
    )
    return "\n".join(lines)


def collect(paths: Sequence[Path]) -> pd.DataFrame:
    """The rejects of all shards (`<shard>.rejects.parquet`), one row a clip, sorted."""
    parts = [
        read_parquet(path, REJECTS.remove(2)).assign(shard=int(path.name.partition(".")[0]))
        for path in paths
    ]
    rejects = pd.concat(parts, ignore_index=True)[REJECTS.names].drop_duplicates("clip")
    return rejects.sort_values("clip")


def main(args: argparse.Namespace) -> None:
    """Run the command that `args` names."""
    match args.command:
        case "rejects":
            rejects = collect(args.rejects)
            write_parquet(rejects, args.out, REJECTS)
            print(f"{len(rejects)} clips rejected")
        case "accept":
            line = accept(read_parquet(args.rejects, REJECTS), args.allow_rejects, args.redo)
            write_text(line, args.out)
        case "fold":
            clips = read_parquet(args.fold_list, FOLD_LIST)
            splits = split(args.fold, clips, read_parquet(args.rejects, REJECTS))
            write_parquet(splits, args.out, SPLITS)
            print(splits.groupby("split").size().to_string())


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = top.add_subparsers(dest="command", required=True)

    add = commands.add_parser(
        "rejects", help="the rejects of all shards, in one table"
    ).add_argument
    add("--rejects", required=True, nargs="+", type=Path, help="rejected clips, one file a shard")
    add("--out", required=True, type=Path, help="output (rejected clips)")

    add = commands.add_parser("accept", help="stop if more are rejected than allowed").add_argument
    add("--rejects", required=True, type=Path, help="rejected clips")
    add("--allow-rejects", required=True, type=int, help="so many rejected clips are accepted")
    add("--redo", required=True, help="what Snakemake redoes for a shard; * for its number")
    add("--out", required=True, type=Path, help="output (one line)")

    add = commands.add_parser("fold", help="the clips of a fold that can be used").add_argument
    add("--fold", required=True, type=int, help="number of the fold")
    add("--fold-list", required=True, type=Path, help="the fold's list, from manifest")
    add("--rejects", required=True, type=Path, help="rejected clips")
    add("--out", required=True, type=Path, help="output (splits of the fold)")
    return top


if __name__ == "__main__":
    stage(main, parser())
