"""One training: a fold, a seed and the settings of a variant → a checkpoint and its history.

The optimisation is that of Section 4.1 unless the settings say otherwise: AdamW, a linear warm-up
and a cosine to `min_lr`, cross-entropy of Eq. 12. A killed training goes on
from the epoch that it saved last (`state.pt` beside the checkpoint) and ends with the bytes of an
uninterrupted one: every random draw has an address.

    python -m dfer.training.train --dataset mine --classes '{"happy": "happiness", "sad": "grief"}'
        --landmark-settings '{"backend": "dlib", "every": 8}' --splits splits/1.parquet --fold 1
        --store store/*.arrow --text text.safetensors --settings '{"model": {"blocks": 2}}' --seed 0
        --out-checkpoint run/checkpoint.safetensors --out-history run/history.parquet
        --out-record run/run.json
"""

import argparse
import json
import math
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from dfer.clips.loader import (
    Address,
    EpochBatches,
    EvaluationClips,
    TrainClips,
    train_batches,
)
from dfer.clips.store import ClipStore
from dfer.errors import UserError, stage
from dfer.files import atomic, read_parquet, write_parquet, write_text
from dfer.models.backbone import normaliser
from dfer.models.checkpoint import TrainedRun, save_run
from dfer.models.method import Method, architecture, build, image_size, part_of, pixels
from dfer.provenance import digest, file_digest, stamps
from dfer.settings import RunSettings, TrainSettings, unused_modules
from dfer.training.criterion import criterion_of
from dfer.training.device import loader_workers, machine, pick_device, precision
from dfer.training.events import event_log
from dfer.training.inference import frame_features_of, logits_from, logits_of
from dfer.training.metrics import confusion, uar, war
from dfer.training.schedule import learning_rate
from dfer.training.step import Step
from dfer.training.text import read_features
from dfer.training.train_set import trained
from dfer.video_settings import weights_file

HISTORY = pa.schema(
    [
        ("epoch", pa.int32()),  # 1-based
        ("split", pa.string()),  # train: as the batches saw it; val or test: after the epoch
        ("loss", pa.float64()),
        ("uar", pa.float64()),
        ("war", pa.float64()),
        ("lr", pa.float64()),  # of the epoch's last step
        ("chosen", pa.bool_()),  # the checkpoint is of this epoch
    ]
)

# At most this share of a training's time goes into saving its state. The full model's is 3.2 GB:
# on a slow disk not every epoch is saved.
SAVING = 0.1
# Between the seeds of an epoch and the next, so that no two of a study's runs share any.
SEEDS = 1_000_003
# Steps whose losses are read together: each reading waits for the GPU, which is then idle until it
# has been given the next step.
READ_EVERY = 10


class Diverged(UserError):
    """The loss of a training is not finite or explodes."""


def train(
    settings: RunSettings,
    data: TrainClips,
    monitor: EvaluationClips | None,
    words: Sequence[str],
    text: Tensor,
    state_path: Path,
    *,
    fingerprint: str,
    seed: int,
    device: torch.device,
    workers: int = 0,
    name: str = "run",
    stop: Callable[[list[dict[str, Any]]], bool] | None = None,
    watch: Callable[[list[dict[str, Any]]], None] | None = None,
) -> tuple[Method, pd.DataFrame]:
    """Train a method's model and return it at the chosen epoch, with the history of all epochs.

    Where nothing of it is trained (zero-shot CLIP) it is returned as it begins, after no epoch.

    Args:
        monitor: clips that are scored after each epoch; the epoch of the best WAR (the first of
            equals) is chosen: the checkpoint rules `val` and `test`. None is the rule `last`.
        words, text: the class words and their features, (#class, D).
        state_path: where the state is kept that a killed training goes on from.
        fingerprint: of code, settings and data; a state of another one is refused.
        workers: processes that decode clips.
        name: of the training, for what is printed.
        stop: is given the history so far (rows as in `HISTORY`) before each epoch; True ends the
            training there.
        watch: is given the history so far when the training begins or goes on, and after each
            epoch. Its rows have two keys more: `clips_per_second`, trained on in the epoch, and
            `ended`, when its training did (seconds since 1970).

    Raises:
        Diverged: the loss is not finite or explodes.
    """
    recipe = settings.train
    torch.manual_seed(seed)  # the new modules' initial weights
    model = build(settings.model, settings.backbone, words, text).to(device)
    model.gradient_checkpointing = recipe.gradient_checkpointing
    normalise = normaliser(pixels(settings.model, settings.backbone), device)
    dtype = precision(recipe, model.width, device)
    criterion = criterion_of(recipe, data.labels, words, device)
    optimiser = None
    first, history, best = 0, [], None
    if state := read_state(state_path, fingerprint, name):
        model.load_state_dict(state["model"])
        first, history, best = state["epoch"], state["history"], state["best"]
        if recipe.stage(first)[1] < first < recipe.epochs:  # within a stage
            optimiser = new_optimiser(model, recipe.stage(first)[0])
            optimiser.load_state_dict(state["optimiser"])
    z_of_monitor: Tensor | None = None  # its frame features, while they stay the same
    saved, took = 0.0, 0.0  # when the state was saved last, and how long that took, in seconds
    epochs = recipe.epochs if any(p.requires_grad for p in model.parameters()) else 0
    if watch is not None:
        watch(history)
    started = time.perf_counter()
    for epoch in range(first, epochs):
        if stop is not None and stop(history):
            break
        own, begun = recipe.stage(epoch)
        if epoch in (first, begun):
            if optimiser is None or epoch == begun:
                optimiser = new_optimiser(model, own)
            make_step = Step(model, optimiser, recipe, normalise, dtype, criterion)
            computing = {"batch": recipe.batch, "workers": workers}
            batches = EpochBatches(
                len(data.clips),
                recipe.batch,
                first=epoch,
                last=begun + own.epochs,
                seed=seed,
                drop_last=recipe.drop_last,
                labels=data.labels if recipe.balanced else None,
            )
            if not batches.steps:
                raise UserError(
                    f"{name}: {len(data.clips)} clips are no whole batch of {recipe.batch}. Set "
                    "train.batch lower, or train.drop_last to false."
                )
            alike, seen = model.sees_frames_alike(), data.as_they_are()
            z_of_monitor = None
            if alike and seen is not None:
                z = frame_features_of(model, seen, normalise, dtype, **computing)
                stream = known_batches(z, data, batches)
            else:
                stream = train_batches(data, batches, device, workers)
        began = time.perf_counter()
        torch.manual_seed(seed + SEEDS * (epoch + 1))  # of dropout, and what else a model draws
        model.train()
        losses = [r["loss"] for r in history if r["split"] == "train" and r["epoch"] > begun]
        counts, total, unread = np.zeros((len(words), len(words)), np.int64), 0.0, []
        progress = tqdm(  # in a terminal; other output has a line an epoch
            range(batches.steps), f"epoch {epoch + 1}/{recipe.epochs}", leave=False, disable=None
        )
        for step in progress:
            inputs, labels = next(stream)
            lr = learning_rate(own, (epoch - begun) * batches.steps + step, batches.steps, losses)
            for group in optimiser.param_groups:
                group["lr"] = lr * group["lr_factor"]
            loss, found = make_step(inputs, labels)
            unread.append((step, lr, loss, labels, found))
            if len(unread) < READ_EVERY and step + 1 < batches.steps:
                continue
            for past, lr, loss, labels, found in unread:
                value = loss.item()
                if not math.isfinite(value) or value > 1e3:
                    raise Diverged(
                        f"{name}: the loss is {value:.3g} in epoch {epoch + 1}, step {past + 1} of "
                        f"{batches.steps}, at a learning rate of {lr:.3g}. Lower train.lr, or set "
                        "train.max_gradient_norm (1.0, for example)."
                    )
                total += value * len(labels)
                counts += confusion(labels.cpu().numpy(), found.cpu().numpy(), len(words))
            unread.clear()
            progress.set_postfix(loss=f"{total / int(counts.sum()):.3f}")

        row = {"epoch": epoch + 1, "split": "train", "loss": total / int(counts.sum())}
        row |= {"uar": uar(counts), "war": war(counts), "lr": lr}
        row |= {"clips_per_second": int(counts.sum()) / (time.perf_counter() - began)}
        row |= {"ended": time.time()}
        history.append(row)
        if monitor is not None:
            if alike:
                if z_of_monitor is None:
                    z_of_monitor = frame_features_of(model, monitor, normalise, dtype, **computing)
                logits = logits_from(model, z_of_monitor, dtype, batch=recipe.batch)
            else:
                logits = logits_of(model, monitor, normalise, dtype, **computing)
            row = row | {"split": recipe.checkpoint} | score(logits, monitor.labels)
            history.append(row)
            if best is None or row["war"] > best["war"]:
                weights = {key: value.cpu().clone() for key, value in model.state_dict().items()}
                best = {"war": row["war"], "epoch": epoch + 1, "model": weights}
        if watch is not None:
            watch(history)
        now = time.perf_counter()
        if now - saved >= took / SAVING or epoch + 1 == recipe.epochs:
            write_state(
                state_path,
                fingerprint=fingerprint,
                epoch=epoch + 1,
                model=model.state_dict(),
                optimiser=optimiser.state_dict(),
                history=history,
                best=best,
            )
            saved = time.perf_counter()
            took = saved - now
        scores = "  ".join(
            f"{row['split']} loss {row['loss']:.3f}  UAR {row['uar']:.1f}  WAR {row['war']:.1f}"
            for row in history
            if row["epoch"] == epoch + 1
        )
        now = time.perf_counter()
        left = (now - started) / (epoch + 1 - first) * (epochs - epoch - 1)
        print(
            f"{name}: epoch {epoch + 1}/{recipe.epochs}  {scores}  lr {lr:.1e}  "
            f"({now - began:.1f} s, {tqdm.format_interval(left)} left)",
            flush=True,
        )

    if best is not None:
        model.load_state_dict(best["model"])
    table = pd.DataFrame(history, columns=HISTORY.names[:-1])
    table["chosen"] = table.epoch == (best["epoch"] if best else table.epoch.max())
    return model, table


def new_optimiser(model: Method, recipe: TrainSettings) -> torch.optim.Optimizer:
    """The optimiser of a recipe, of the parts that it does not freeze."""
    model.train_parts(recipe.frozen)
    groups = parameter_groups(model, recipe)
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=recipe.momentum)
    kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
    return kind(groups, betas=recipe.betas, eps=recipe.eps, fused=True)


def parameter_groups(model: Method, recipe: TrainSettings) -> list[dict[str, Any]]:
    """An optimiser's groups: by learning rate, each with and without weight decay.

    Biases and other 1-D parameters do not decay, unless `decay_all`. A part has the rate of
    `part_lr`; else the image tower learns at `lr` and what is new at `lr` × `lr_factor`.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = part_of(name)
            factor = 1.0 if part == "image" else recipe.lr_factor
            if part in recipe.part_lr:
                factor = recipe.part_lr[part] / recipe.lr
            decays = parameter.ndim > 1 or recipe.decay_all
            groups.setdefault((factor, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.lr,
            "lr_factor": factor,
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (factor, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def known_batches(
    z: Tensor, data: TrainClips, batches: Iterable[list[Address]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """As `train_batches`, of frame features z (clips, T, D) that are known: no clip is decoded."""
    z = z.clone()  # not an inference tensor, which no gradient may pass
    for addresses in batches:
        chosen = torch.tensor([index for _, index, *_ in addresses], device=z.device)
        yield z[chosen], data.labels_of(addresses).to(z.device)


def score(logits: Tensor, labels: Sequence[int]) -> dict[str, float]:
    """Loss, UAR and WAR of clips with these logits (clips, #class) and class indices (clips,)."""
    counts = confusion(np.array(labels), logits.argmax(1).numpy(), logits.shape[1])
    loss = F.cross_entropy(logits, torch.tensor(labels)).item()
    return {"loss": loss, "uar": uar(counts), "war": war(counts)}


def write_state(path: Path, **state: Any) -> None:
    """Write all that `read_state` needs to go on, in one piece."""
    with atomic(path) as temporary:
        torch.save(state, temporary)


def read_state(path: Path, fingerprint: str, name: str) -> dict[str, Any] | None:
    """The state at `path`; None, saying why, where it is not of this very training."""
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare its checksums
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(damaged)
        state = torch.load(path, map_location="cpu", weights_only=True)
        same = state["fingerprint"] == fingerprint
    except Exception as error:  # zip, pickle and torch each raise their own for a damaged file
        print(f"{name}: {path} is damaged ({type(error).__name__}): training starts anew")
        return None
    if not same:
        print(f"{name}: {path} is of other code, settings or data: training starts anew")
        return None
    print(f"{name}: goes on after epoch {state['epoch']}", flush=True)
    return state


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
    weights = weights_file(getattr(settings.model, "weights", ""))
    if not Path(weights).is_file():  # there are none, or the model refuses them
        weights = None
    return {
        "dataset": dataset,
        "settings": settings.to_dict(),
        "fold": fold,
        "seed": seed,
        "classes": list(classes),
        "code": stamps(
            "dfer.training.train", settings.model.module, without=unused_modules(settings)
        ),
        "inputs": [file_digest(path) for path in (splits, text, weights) if path]
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
