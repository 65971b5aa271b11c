"""Where a variant looks in the chosen clips: heat maps of its predictions (Fig. 4).

    python -m dfer.analysis.maps --checkpoints runs/a/*/checkpoint.safetensors
        --examples examples.parquet --store store/*.arrow --out maps.parquet

Each clip is shown to the model of the fold whose test set has it. The map says which patches spoke
for the class that this model predicts (`dfer.analysis.relevance`). One row a clip and frame: run
(its key), fold, seed, clip, label, prediction, frame (0 … T−1), `map` (g·g numbers, row by row;
those of a clip sum to 1).
"""

import argparse
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dfer.analysis.relevance import relevance
from dfer.clips.loader import EvaluationClips, evaluation_batches
from dfer.clips.store import ClipStore
from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_parquet
from dfer.models.checkpoint import TrainedRun, load_run
from dfer.training.device import pick_device
from dfer.training.inference import predict

MAPS = pa.schema(
    [
        ("run", pa.string()),
        ("fold", pa.int32()),
        ("seed", pa.int32()),
        ("clip", pa.string()),
        ("label", pa.string()),
        ("prediction", pa.string()),
        ("frame", pa.int32()),
        ("map", pa.list_(pa.float32())),
    ]
)


def maps_of(run: TrainedRun, key: str, examples: pd.DataFrame, store: ClipStore) -> pd.DataFrame:
    """Rows of `MAPS` of the clips of the run's fold, computed where the model is (CPU or GPU).

    Args:
        key: the run's, which the rows carry.
        examples: rows of `dfer.analysis.examples`, of this fold.
    """
    data = EvaluationClips(
        store,
        examples["clip"].tolist(),
        [run.classes.index(label) for label in examples.label],
        frames=run.settings.model.frames,
        size=run.image_size,
        sampler=run.settings.train.sampler,
    )
    predicted = predict(run, data, batch=32, workers=0).argmax(dim=1)
    normalise = run.normalise
    rows = []
    for i, (frames, _) in enumerate(evaluation_batches(data, 1, 0)):
        maps = relevance(run.model, normalise(frames), predicted[i : i + 1])[0].cpu()
        shared = {
            "run": key,
            "fold": run.fold,
            "seed": run.seed,
            "clip": data.clips[i],
            "label": examples.label.iloc[i],
            "prediction": run.classes[predicted[i]],
        }
        rows += [shared | {"frame": t, "map": m.flatten().numpy()} for t, m in enumerate(maps)]
    return pd.DataFrame(rows, columns=MAPS.names)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--run-key", help="folder name of the run's settings; left out: their key")
    add("--checkpoints", nargs="+", required=True, help="trained runs of one variant, all folds")
    add("--examples", type=Path, required=True, help="chosen clips (dfer.analysis.examples)")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--threads", type=int, default=1, help="threads to compute with")
    add("--out", type=Path, required=True, help="output (a row a clip and frame)")
    return top


def main(args: argparse.Namespace) -> None:
    """Map every example by the model of its fold."""
    device = pick_device(args.threads)
    examples, store = read_parquet(args.examples), ClipStore(args.store)
    parts = []
    for path in sorted(args.checkpoints):
        run = load_run(path)
        of_fold = examples[examples.fold == run.fold]
        if len(of_fold):
            run.model.to(device)
            parts.append(maps_of(run, args.run_key or run.settings.key, of_fold, store))
    mapped = {clip for part in parts for clip in part["clip"]}
    if missing := sorted(set(examples["clip"]) - mapped):
        raise UserError(f"no checkpoint is of the fold of {', '.join(missing)}")
    write_parquet(pd.concat(parts, ignore_index=True), args.out, MAPS)
    print(f"{args.out}: {len(mapped)} clips")


if __name__ == "__main__":
    stage(main, parser())
