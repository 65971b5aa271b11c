"""A dataset's clip store → what its shards hold, one row a shard.

    python -m dfer.prepare.contents --store results/demo/store/*.arrow
        --out results/demo/store/contents.parquet

Trainings depend on this small file and not on each shard: a plan of hundreds of trainings has one
input each where it had 64, and a shard that is packed anew with the same frames is the same. The
digest is over clips, their order and the checksum of every frame (`dfer.clips.store`).
"""

import argparse

import pandas as pd
import pyarrow as pa

from dfer.clips.store import ClipStore
from dfer.errors import stage
from dfer.files import write_parquet

CONTENTS = pa.schema(
    [
        ("shard", pa.string()),  # the file's name
        ("clips", pa.int64()),
        ("frames", pa.int64()),
        ("digest", pa.string()),
    ]
)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--out", required=True, help="output (a row a shard)")
    return top


def main(args: argparse.Namespace) -> None:
    """Look through all shards and write what they hold."""
    store = ClipStore(args.store)
    rows = [(path.name, *store.contents(shard)) for shard, path in enumerate(store.paths)]
    table = pd.DataFrame(rows, columns=CONTENTS.names)
    write_parquet(table, args.out, CONTENTS)
    print(f"{table.clips.sum()} clips, {table.frames.sum()} frames in {len(table)} shards")


if __name__ == "__main__":
    stage(main, parser())
