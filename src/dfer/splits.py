"""Which clips a training and a test really use: the folds, less what was rejected.

Bad data is named, counted and listed, never dropped in silence: `rejects.parquet` has every clip
that could not be aligned or extracted, with the reason. Where they are more than the configuration
allows, this stage stops with one summary, after the whole scan.

    python -m dfer.splits accept …   folds and rejects → splits.parquet
    python -m dfer.splits rejects …  the rejects of all shards → rejects.parquet
"""

import argparse
import hashlib

import pandas as pd
import pyarrow as pa

from dfer.files import UserError, read_parquet, run, write_parquet

HELD_OUT = 10  # one clip in ten of a fold's train set is the validation set

REJECTS = pa.schema(
    [("clip", pa.string()), ("path", pa.string()), ("stage", pa.string()), ("reason", pa.string())]
)
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


def accept(
    manifest: pd.DataFrame, folds: pd.DataFrame, rejects: pd.DataFrame, allowed: int
) -> pd.DataFrame:
    """One row a fold and clip, sorted, as the schema `SPLITS` says.

    `held_out` marks the validation tenth of a fold's train set, which only the checkpoint rule
    `val` and the tuning hold out.

    Raises:
        UserError: more clips were rejected than `allowed`, or a class or a fold has none left.
    """
    bad = rejects.drop_duplicates("clip")
    if len(bad) > allowed:
        raise UserError(_summary(bad, allowed))
    rows = folds.merge(manifest[["clip", "label", "subject"]], on="clip", validate="many_to_one")
    kept = rows[~rows["clip"].isin(bad["clip"])]
    for (fold, split, label), clips in rows.groupby(["fold", "split", "label"])["clip"]:
        if clips.isin(bad["clip"]).all():
            raise UserError(
                f"fold {fold}: all {len(clips)} {split} clips of class {label} were rejected, "
                f"for example {clips.iloc[0]}; see rejects.parquet for the reasons."
            )
    kept = kept.sort_values(["fold", "split", "clip"]).reset_index(drop=True)
    kept["held_out"] = _held_out(kept)
    return kept[SPLITS.names]


def _held_out(rows: pd.DataFrame) -> pd.Series:
    """A tenth of each class of each fold's train set, by the hash of (fold, clip).

    So a clip that is added or rejected moves at most one other. A class of a single clip keeps it.
    """
    rank = rows.assign(
        hash=[
            hashlib.blake2b(f"{fold}/{clip}".encode(), digest_size=8).hexdigest()
            for fold, clip in zip(rows.fold, rows["clip"], strict=True)
        ]
    ).groupby(["fold", "split", "label"])
    size = rank.hash.transform("size")
    share = (size / HELD_OUT).round().clip(lower=1).where(size > 1, 0)
    return (rank.hash.rank(method="first") <= share) & (rows.split == "train")


def _summary(bad: pd.DataFrame, allowed: int) -> str:
    """Why and which, at most ten clips by name."""
    lines = [f"{len(bad)} clips were rejected, {allowed} are allowed (`allow_rejects`):"]
    lines += [f"  {n:6d} × {reason}" for reason, n in bad.reason.value_counts().items()][:10]
    lines += [f"  {row.clip}: {row.path}: {row.reason}" for row in bad.head(10).itertuples()]
    if len(bad) > 10:
        lines.append(f"  … and {len(bad) - 10} more")
    lines.append(
        "All are listed in rejects.parquet. Mend the files and run again (only their shards are "
        "done anew), or allow that number in the configuration of the dataset."
    )
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = top.add_subparsers(dest="command", required=True)
    accept_ = commands.add_parser("accept", help="folds and rejects → splits.parquet")
    accept_.add_argument("--manifest", required=True)
    accept_.add_argument("--folds", required=True)
    accept_.add_argument("--rejects", required=True)
    accept_.add_argument("--allow-rejects", type=int, default=0)
    accept_.add_argument("--out", required=True)
    rejects = commands.add_parser("rejects", help="the rejects of all shards, in one table")
    rejects.add_argument("--rejects", nargs="+", required=True)
    rejects.add_argument("--out", required=True)
    return top


def main(args: argparse.Namespace) -> None:
    """Run one of the two commands."""
    if args.command == "rejects":
        parts = [read_parquet(path) for path in args.rejects]
        rejects = pd.concat(parts, ignore_index=True)[REJECTS.names].drop_duplicates("clip")
        rejects = rejects.sort_values("clip")
        write_parquet(rejects, args.out, REJECTS)
        print(f"{len(rejects)} clips rejected")
        return
    tables = (read_parquet(path) for path in (args.manifest, args.folds, args.rejects))
    splits = accept(*tables, allowed=args.allow_rejects)
    write_parquet(splits, args.out, SPLITS)
    print(splits.groupby(["fold", "split"]).size().to_string())


if __name__ == "__main__":
    run(main, parser())
