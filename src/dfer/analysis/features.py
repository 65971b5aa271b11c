"""One trained run → what its test clips look like to it: features, and similarities to each class.

    python -m dfer.analysis.features --checkpoint run/checkpoint.safetensors --splits splits.parquet
        --store store/ --out run/features.parquet

One row a clip, sorted as in the splits: dataset, run, fold, seed, clip, label, `feature` (V of
Eq. 8, D numbers) and, where the head is text, `similarity_<class>` = cos(V̂, K̂_j) of Eq. 12. Figures
2 and 5 are drawn from it.
"""

import argparse

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from dfer.clips.loader import EvaluationClips, evaluation_batches
from dfer.errors import stage
from dfer.files import write_parquet
from dfer.models.checkpoint import TrainedRun, load_run
from dfer.models.backbone import normaliser
from dfer.training.device import loader_workers, pick_device, precision
from dfer.training.test_set import tested_clips


@torch.inference_mode()
def extract(
    trained: TrainedRun, data: EvaluationClips, *, batch: int, workers: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """V (clips, D) and cos(V̂, K̂_j) (clips, #class), float32; None for a head without text."""
    model, settings = trained.model, trained.settings
    device = next(model.parameters()).device
    normalise, dtype = normaliser(settings.backbone, device), precision(settings.train, device)
    features, similarities = [], []
    for frames, _ in evaluation_batches(data, batch, workers):
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            v = model.features(normalise(frames))
            features.append(v.float().cpu())
            if settings.model.head == "text":
                k_hat, v_hat = model.prompts(v)
                cosine = F.cosine_similarity(v_hat.float(), k_hat.float(), dim=-1)
                similarities.append(cosine.cpu())
    joined = torch.cat(similarities).numpy() if similarities else None
    return torch.cat(features).numpy(), joined


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--run", help="the run's name in the table; else the key of its settings")
    top.add_argument("--checkpoint", required=True)
    top.add_argument("--splits", required=True)
    top.add_argument("--store", required=True, help="folder of the clip store's shards")
    top.add_argument("--batch", type=int, default=32)
    top.add_argument("--threads", type=int, default=1)
    top.add_argument("--out", required=True)
    return top


def main(args: argparse.Namespace) -> None:
    """Write the features of the test clips of the run's fold."""
    device = pick_device(args.threads)
    trained = load_run(args.checkpoint)
    data = tested_clips(trained, args.splits, args.store)
    trained.model.to(device)
    workers = loader_workers(device, args.threads)
    features, similarities = extract(trained, data, batch=args.batch, workers=workers)
    table = pd.DataFrame(
        {
            "dataset": trained.dataset,
            "run": args.run or trained.settings.key,
            "fold": np.int32(trained.fold),
            "seed": np.int32(trained.seed),
            "clip": data.clips,
            "label": [trained.classes[i] for i in data.labels],
            "feature": list(features),
        }
    )
    for j, name in enumerate(trained.classes if similarities is not None else []):
        table[f"similarity_{name}"] = similarities[:, j]
    write_parquet(table, args.out)
    print(f"{args.out}: {len(table)} clips, features of {features.shape[1]} dimensions")


if __name__ == "__main__":
    stage(main, parser())
