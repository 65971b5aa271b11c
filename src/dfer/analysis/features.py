"""One trained run → features of its test clips, and their similarities to each class text.

    python -m dfer.analysis.features --checkpoint run/checkpoint.safetensors
        --splits splits/1.parquet --store store/*.arrow --out run/features.parquet

One row a clip, sorted as in the splits: dataset, run (its key), fold, seed, clip, label, `feature`
(V of Eq. 8, D numbers) and, where the head is text, `similarity_<class>` = cos(V̂, K̂_j) of Eq. 12.
Figures 2 and 5 are drawn from it.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfer.clips.loader import EvaluationClips, evaluation_batches
from dfer.errors import stage
from dfer.files import write_parquet
from dfer.models.checkpoint import TrainedRun, load_run
from dfer.training.device import loader_workers, pick_device, precision
from dfer.training.test_set import tested_clips


@torch.inference_mode()
def features_of(
    run: TrainedRun, data: EvaluationClips, *, batch: int, workers: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """V (clips, D) and cos(V̂, K̂_j) (clips, #class), float32; None for a head without text.

    Args:
        batch: clips that are computed at once.
        workers: processes that decode them.
    """
    normalise, width = run.normalise, run.model.width
    dtype = precision(run.settings.train, width, run.device)
    features, similarities = [], []
    for frames, _ in evaluation_batches(data, batch, workers):
        with torch.autocast(run.device.type, dtype, enabled=dtype != torch.float32):
            v = run.model.features(normalise(frames))
            features.append(v.float().cpu())
            if (cosine := run.model.similarity(v)) is not None:
                similarities.append(cosine.cpu())
    joined = torch.cat(similarities).numpy() if similarities else None
    return torch.cat(features).numpy(), joined


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
    add("--out", type=Path, required=True, help="output (a row a test clip)")
    return top


def main(args: argparse.Namespace) -> None:
    """Write the features of the test clips of the run's fold."""
    device = pick_device(args.threads)
    run = load_run(args.checkpoint)
    data = tested_clips(run, args.splits, args.store)
    run.model.to(device)
    workers = loader_workers(device, args.threads)
    features, similarities = features_of(run, data, batch=args.batch, workers=workers)
    table = pd.DataFrame(
        {
            "dataset": run.dataset,
            "run": args.run_key or run.settings.key,
            "fold": np.int32(run.fold),
            "seed": np.int32(run.seed),
            "clip": data.clips,
            "label": [run.classes[i] for i in data.labels],
            "feature": list(features),
        }
    )
    for j, name in enumerate(run.classes if similarities is not None else []):
        table[f"similarity_{name}"] = similarities[:, j]
    write_parquet(table, args.out)
    print(f"{args.out}: {len(table)} clips, features of {features.shape[1]} dimensions")


if __name__ == "__main__":
    stage(main, parser())
