"""One trained run → what it predicts of the tenth of its fold's train clips that it held out.

    python -m dfer.training.held_out --checkpoint run/checkpoint.safetensors
        --splits splits/1.parquet --store store/*.arrow --out run/held_out.parquet

`dfer.training.correct` fits on it. The table is that of `dfer.training.evaluate`; test clips are
never read.
"""

import argparse

from dfer.errors import stage
from dfer.files import write_parquet
from dfer.models.checkpoint import load_run
from dfer.training.evaluate import predicted
from dfer.training.test_set import held_out_clips


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--run-key", help="folder name of the run's settings; left out: their key")
    add("--checkpoint", required=True, help="a trained run (dfer.training.train)")
    add("--splits", required=True, help="clips of a fold (dfer.prepare.splits)")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--batch", type=int, default=32, help="clips that are computed at once")
    add("--threads", type=int, default=1, help="threads to compute with")
    add("--out", required=True, help="output (logits and prediction of each clip)")
    return top


def main(args: argparse.Namespace) -> None:
    """Predict the clips that the run held out."""
    run = load_run(args.checkpoint)
    data = held_out_clips(run, args.splits, args.store)
    table = predicted(run, data, args.run_key, batch=args.batch, threads=args.threads)
    write_parquet(table, args.out)
    print(f"{args.checkpoint}: {len(table)} clips that it held out")


if __name__ == "__main__":
    stage(main, parser())
