"""One training: a fold, a seed and the settings of a variant → a checkpoint and its history.

How it is trained stands in `dfer.training.loop`. Until it ends, `state.pt` beside the checkpoint is
what a killed training goes on from.

    python -m dfer.training.train --dataset mine --classes '{"happy": "happiness", "sad": "grief"}'
        --landmark-settings '{"backend": "dlib", "every": 8}' --splits splits/1.parquet --fold 1
        --store store/*.arrow --text text.safetensors --settings '{"model": {"blocks": 2}}' --seed 0
        --out-checkpoint run/checkpoint.safetensors --out-history run/history.parquet
        --out-record run/run.json
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfer.clips.loader import EvaluationClips, TrainClips
from dfer.clips.store import ClipStore
from dfer.errors import stage
from dfer.files import read_parquet, write_parquet, write_text
from dfer.models.checkpoint import TrainedRun, save_run
from dfer.models.method import architecture, image_size, pixels
from dfer.provenance import digest, file_digest, stamps
from dfer.settings import RunSettings, unused_modules
from dfer.training.device import loader_workers, machine, pick_device
from dfer.training.events import event_log
from dfer.training.loop import HISTORY, train
from dfer.training.text import read_features
from dfer.training.train_set import trained
from dfer.video_settings import weights_file


def read_clips(
    splits: Path | str,
    store: ClipStore,
    settings: RunSettings,
    *,
    classes: Sequence[str],
    fold: int,
    seed: int,
) -> tuple[TrainClips, EvaluationClips | None]:
    """The clips that a run trains on, and those that its checkpoint rule watches.

    Args:
        splits: path of the clips of one fold or of several, as `dfer.prepare.splits` writes them.
        classes: labels, in class order.
        seed: of the random frames and augmentations, and of the share that is trained on.
    """
    rule, frames = settings.train.checkpoint, settings.model.frames
    size = image_size(settings.model, settings.backbone)
    table = read_parquet(splits, ["fold", "split", "clip", "label", "held_out"])
    table = table[table.fold == fold]
    index = {label: i for i, label in enumerate(classes)}

    def clips(rows: pd.Series) -> tuple[list[str], list[int]]:
        return table["clip"][rows].tolist(), table.label[rows].map(index).tolist()

    rows = trained(table, settings.train, seed)
    augment = settings.train.augment
    seen = {"frames": frames, "size": size, "sampler": settings.train.sampler}
    data = TrainClips(store, *clips(rows), **seen, augment=augment, seed=seed)
    watched = {"last": None, "val": table.held_out, "test": table.split == "test"}[rule]
    if watched is None:
        return data, None
    return data, EvaluationClips(store, *clips(watched), **seen)


def identify(
    settings: RunSettings,
    *,
    dataset: str,
    classes: Sequence[str],
    fold: int,
    seed: int,
    splits: Path | str,
    text: Path | str | None,
    store: ClipStore,
) -> dict[str, Any]:
    """All that decides a run's numbers, but the machine.

    Args:
        dataset: its name.
        classes: labels, in class order.
        splits, text: paths of the clips of the fold and of the features of the class words.
    """
    starts_from = [weights_file(getattr(settings.model, "weights", ""))]
    if settings.model.uses_clip:
        starts_from += filter(None, (settings.backbone.model, settings.backbone.weights))
    files = [splits, text, *(path for path in starts_from if Path(path).is_file())]
    return {
        "dataset": dataset,
        "settings": settings.to_dict(),
        "fold": fold,
        "seed": seed,
        "classes": list(classes),
        "code": stamps(
            "dfer.training.train", settings.model.module, without=unused_modules(settings)
        ),
        "inputs": [file_digest(path) for path in files if path]
        + [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in store.paths],
    }


def decisive(surroundings: dict[str, Any]) -> dict[str, Any]:
    """The part of `dfer.training.device.machine` that decides a run's last digits."""
    return {key: surroundings[key] for key in ("packages", "device", "threads", "precision")}


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--dataset", required=True, help="name of the dataset")
    add("--classes", required=True, help="JSON: label → class word, in class order")
    add(
        "--landmark-settings",
        required=True,
        help="JSON: backend and how it follows a face; null: the release brings crops",
    )
    add("--synthetic", action="store_true", help="the dataset is synthetic")
    add("--splits", required=True, help="clips of a fold (dfer.prepare.splits)")
    add("--fold", type=int, required=True, help="number of the fold")
    add("--store", nargs="+", required=True, help="shards of the clip store")
    add("--text", help="features of the class words (dfer.training.text); of methods on CLIP")
    add("--settings", required=True, help="JSON: settings of a run")
    add("--seed", type=int, required=True, help="seed of all that is drawn")
    add("--threads", type=int, default=1, help="threads to compute with")
    add("--tensorboard", action="store_true", help="write event files for TensorBoard, too")
    add("--out-checkpoint", required=True, help="output (the run, as safetensors)")
    add("--out-history", required=True, help="output (loss, UAR and WAR of each epoch)")
    add("--out-record", required=True, help="output (JSON of settings, code, data, environment)")
    return top


def main(args: argparse.Namespace) -> None:
    """Train, then write checkpoint, history and record."""
    device = pick_device(args.threads)
    settings = RunSettings.from_dict(json.loads(args.settings))
    words = json.loads(args.classes)
    classes, store = list(words), ClipStore(args.store)
    data, monitor = read_clips(
        args.splits, store, settings, classes=classes, fold=args.fold, seed=args.seed
    )
    text = read_features(args.text, len(classes))
    surroundings = machine(settings, device, args.threads)
    identity = identify(
        settings,
        dataset=args.dataset,
        classes=classes,
        fold=args.fold,
        seed=args.seed,
        splits=args.splits,
        text=args.text,
        store=store,
    )
    state_path = Path(args.out_checkpoint).with_name("state.pt")
    events = event_log(state_path.with_name("tensorboard"), args.tensorboard)
    model, history = train(
        settings,
        data,
        monitor,
        list(words.values()),
        text,
        state_path,
        fingerprint=digest([identity, decisive(surroundings)]),
        seed=args.seed,
        device=device,
        workers=loader_workers(device, args.threads),
        name=f"{args.dataset} {settings.key} fold {args.fold} seed {args.seed}",
        watch=events,
    )
    epoch = max(history.epoch[history.chosen], default=0)  # none is trained of zero-shot CLIP
    record = identity | {"environment": surroundings, "epoch": int(epoch)}
    write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False), args.out_record)
    write_parquet(history, args.out_history, HISTORY)
    run = TrainedRun(
        model=model,
        settings=settings,
        architecture=architecture(settings.model, settings.backbone),
        pixels=pixels(settings.model, settings.backbone),
        text=text,
        dataset=args.dataset,
        classes=classes,
        words=list(words.values()),
        landmarks=json.loads(args.landmark_settings),
        synthetic=args.synthetic,
        fold=args.fold,
        seed=args.seed,
    )
    save_run(run, args.out_checkpoint)
    state_path.unlink(missing_ok=True)


if __name__ == "__main__":
    stage(main, parser())
