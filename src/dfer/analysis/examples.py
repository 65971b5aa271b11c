"""Which clips a figure shows, chosen by a rule and not by eye, and their frames.

    python -m dfer.analysis.examples --first runs/a/*/predictions.parquet
        --second runs/b/*/predictions.parquet --classes '{"happy": "happy", …}'
        --store store/*.arrow --frames 8 --out examples.parquet

Two variants are compared. Of each class it is the first test clip, in the order of (fold, clip), on
which they disagree, whichever of them is right; where they never disagree, the class's first clip.
`--example-clips` names the clips instead. The table has one row a clip: fold, clip, label, why it
was chosen, and the `frames` (a JPEG each) that a model with T frames sees.
"""

import argparse
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import simplejpeg

from dfer.clips.sampling import sample_frames
from dfer.clips.store import ClipStore
from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_parquet

EXAMPLES = pa.schema(
    [
        ("fold", pa.int32()),
        ("clip", pa.string()),
        ("label", pa.string()),
        ("why", pa.string()),  # disagreement, first of its class, or named
        ("frames", pa.list_(pa.binary())),  # T JPEGs
    ]
)


def choose(
    first: pd.DataFrame, second: pd.DataFrame, classes: list[str], named: list[str]
) -> pd.DataFrame:
    """Columns fold, clip, label, why of the chosen clips, in class order or in that of `named`.

    Args:
        first, second: predictions (fold, clip, label, prediction) of two variants, one seed each.
        classes: labels, in class order.
        named: clips to show; none: chosen by the rule.

    Raises:
        UserError: a named clip is in no test set, or the two variants have other test clips.
    """
    keys = ["fold", "clip", "label"]
    both = first.merge(second, on=keys, suffixes=("_first", "_second"), validate="one_to_one")
    if not len(both) == len(first) == len(second):
        raise UserError("the two variants were tested on other clips: evaluate them anew.")
    both = both.sort_values(["fold", "clip"])
    if named:
        if missing := sorted(set(named) - set(both["clip"])):
            raise UserError(
                f"figures.clips names {', '.join(missing)}, which no test set has; "
                f"a clip that there is: {both['clip'].iloc[0]}"
            )
        rows = both.drop_duplicates("clip").set_index("clip").loc[named].reset_index()
        return rows[keys].assign(why="named")
    agree = both.prediction_first == both.prediction_second
    both["why"] = agree.map({True: "first of its class", False: "disagreement"})
    place = both.label.map({label: i for i, label in enumerate(classes)})
    order = both.assign(place=place, agree=agree).sort_values(["place", "agree"], kind="stable")
    return order.drop_duplicates("label")[[*keys, "why"]].reset_index(drop=True)


def jpegs(store: ClipStore, clip: str, frames: int) -> list[bytes]:
    """The clip's middle frame of each of `frames` segments."""
    chosen = sample_frames(store.length(clip), frames, None)
    return [
        simplejpeg.encode_jpeg(image, 95, "RGB", colorsubsampling="444")
        for image in store.frames(clip, chosen)
    ]


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--first", nargs="+", required=True, help="predictions of a variant, all folds")
    add("--second", nargs="+", required=True, help="predictions of another variant")
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add("--example-clips", nargs="*", default=[], help="show these clips; left out: by the rule")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--frames", type=int, required=True, help="frames of a clip")
    add("--out", type=Path, required=True, help="output (a row a clip)")
    return top


def main(args: argparse.Namespace) -> None:
    """Choose and write."""
    columns = ["fold", "clip", "label", "prediction"]
    first, second = (
        pd.concat([read_parquet(path, columns) for path in sorted(paths)], ignore_index=True)
        for paths in (args.first, args.second)
    )
    table = choose(first, second, list(json.loads(args.classes)), args.example_clips)
    store = ClipStore(args.store)
    table["frames"] = [jpegs(store, clip, args.frames) for clip in table["clip"]]
    write_parquet(table, args.out, EXAMPLES)
    print(table[["fold", "clip", "label", "why"]].to_string())


if __name__ == "__main__":
    stage(main, parser())
