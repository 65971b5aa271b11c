"""Where a variant looks in the chosen clips: heat maps of its predictions (Fig. 4).

    python -m dfer.analysis.maps --checkpoints runs/a/*/checkpoint.safetensors
        --examples examples.parquet --store store/ --out maps.parquet

Each clip is shown to the model of the fold whose test set has it. The map says which patches spoke
for the class that this model predicts (`dfer.analysis.relevance.relevance`). One row a clip and frame: run,
fold, seed, clip, label, prediction, frame (0 … T−1), `map` (g·g numbers, row by row; those of a
clip sum to 1).
"""

import argparse

import pandas as pd
import pyarrow as pa
import torch

from dfer.analysis.relevance import relevance
from dfer.clips.loader import EvaluationClips, evaluation_batches, open_store
from dfer.clips.store import ClipStore
from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_parquet
from dfer.models.checkpoint import TrainedRun, load_run
from dfer.models.backbone import normaliser
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


def maps_of(
    trained: TrainedRun, examples: pd.DataFrame, store: ClipStore, name: str
) -> pd.DataFrame:
    """Rows of `MAPS` of the clips of the run's fold; the model is where it is (CPU or GPU)."""
    settings = trained.settings
    data = EvaluationClips(
        store,
        examples["clip"].tolist(),
        [trained.classes.index(label) for label in examples.label],
        frames=settings.model.frames,
        size=trained.model.image.config.image_size,
    )
    predicted = predict(trained.model, data, settings, batch=32, workers=0).argmax(dim=1)
    normalise = normaliser(settings.backbone, next(trained.model.parameters()).device)
    rows = []
    for i, (frames, _) in enumerate(evaluation_batches(data, 1, 0)):
        maps = relevance(trained.model, normalise(frames), predicted[i : i + 1])[0].cpu()
        shared = {
            "run": name,
            "fold": trained.fold,
            "seed": trained.seed,
            "clip": data.clips[i],
            "label": examples.label.iloc[i],
            "prediction": trained.classes[predicted[i]],
        }
        rows += [shared | {"frame": t, "map": m.flatten().numpy()} for t, m in enumerate(maps)]
    return pd.DataFrame(rows, columns=MAPS.names)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--run", help="the run's name in the table; else the key of its settings")
    top.add_argument("--checkpoints", nargs="+", required=True, help="of one variant, all folds")
    top.add_argument("--examples", required=True, help="as dfer.analysis.examples writes them")
    top.add_argument("--store", required=True, help="folder of the clip store's shards")
    top.add_argument("--threads", type=int, default=1)
    top.add_argument("--out", required=True)
    return top


def main(args: argparse.Namespace) -> None:
    """Map every example by the model of its fold."""
    device: torch.device = pick_device(args.threads)
    examples, store = read_parquet(args.examples), open_store(args.store)
    parts = []
    for path in sorted(args.checkpoints):
        trained = load_run(path)
        mine = examples[examples.fold == trained.fold]
        if len(mine):
            trained.model.to(device)
            name = args.run or trained.settings.key
            parts.append(maps_of(trained, mine, store, name))
    maps = pd.concat(parts, ignore_index=True)
    if missing := sorted(set(examples["clip"]) - set(maps["clip"])):
        raise UserError(f"no checkpoint is of the fold of {', '.join(missing)}")
    write_parquet(maps, args.out, MAPS)
    print(f"{args.out}: {maps['clip'].nunique()} clips")


if __name__ == "__main__":
    stage(main, parser())
