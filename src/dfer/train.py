"""One training: a fold, a seed and the settings of a variant → a checkpoint and its history.

The optimisation of Section 4.1: AdamW, a linear warm-up and a cosine to `min_lr`, cross-entropy of
Eq. 12. A killed training goes on from its last whole epoch (`state.pt` beside the checkpoint) and
ends with the bytes of an uninterrupted one, because every random draw has an address.

    python -m dfer.train --splits splits.parquet --fold 1 --store store/ --text text.safetensors \\
        --settings '{"model": {"blocks": 2}, …}' --seed 0 --classes happy sad … \\
        --checkpoint run/checkpoint.safetensors --history run/history.parquet --record run/run.json
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import nn

from dfer.clips.loader import EpochBatches, TestClips, TrainClips, open_store, train_batches
from dfer.files import UserError, atomic, read_parquet, run, write_parquet, write_text
from dfer.inference import device_name, pick_device, precision, predict
from dfer.metrics import confusion, uar, war
from dfer.models.checkpoint import save_run
from dfer.models.recogniser import Recogniser, build_recogniser
from dfer.provenance import digest, environment, file_digest, stamps
from dfer.settings import RunSettings, TrainSettings

HISTORY = pa.schema(
    [
        ("epoch", pa.int32()),  # 1-based
        ("split", pa.string()),  # train: as the batches saw it; val or test: after the epoch
        ("loss", pa.float64()),
        ("uar", pa.float64()),
        ("war", pa.float64()),
        ("lr", pa.float64()),  # of the last step
        ("chosen", pa.bool_()),  # the checkpoint is of this epoch
    ]
)


def train(
    settings: RunSettings,
    data: TrainClips,
    monitor: TestClips | None,
    text: torch.Tensor,
    *,
    fingerprint: str,
    state_path: Path,
    device: torch.device,
    workers: int,
    seed: int,
    name: str,
) -> tuple[Recogniser, pd.DataFrame]:
    """Train a `Recogniser` and return it at the chosen epoch, with the history of all.

    `monitor` is scored after each epoch, and the epoch of its best WAR (the first, where several
    are equal) is chosen: the rules `val` and `test`. None is the rule `last`. `text` has the class
    texts' features (#class, D).

    Raises:
        UserError: the loss is not finite or explodes.
    """
    torch.manual_seed(seed)  # the new modules' initial weights
    how = settings.train
    model = build_recogniser(settings, text).to(device)
    optimiser = torch.optim.AdamW(parameter_groups(model, how), betas=how.betas, fused=True)
    dtype = precision(how, device)

    state = resume(state_path, fingerprint, name)
    first, history, best = 0, [], None
    if state:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first, history, best = state["epoch"], state["history"], state["best"]

    batches = EpochBatches(len(data.clips), how.batch, first=first, last=how.epochs, seed=seed)
    stream = iter(train_batches(data, batches, workers))
    for epoch in range(first, how.epochs):
        began = time.perf_counter()
        model.train()
        counts, total = np.zeros((len(text), len(text)), np.int64), 0.0
        for step in range(batches.steps):
            frames, labels = (part.to(device, non_blocking=True) for part in next(stream))
            lr = learning_rate(how, epoch * batches.steps + step, batches.steps)
            for group in optimiser.param_groups:
                group["lr"] = lr * group["lr_factor"]
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits = model(model.normalise(frames))
            loss = nn.functional.cross_entropy(logits.float(), labels)
            value = loss.item()
            if not math.isfinite(value) or value > 1e3:
                raise UserError(
                    f"{name}: the loss is {value:.3g} in epoch {epoch + 1}, step {step + 1} of "
                    f"{batches.steps}, at a learning rate of {lr:.3g}. Lower train.lr, or set "
                    "train.clip_gradient (1.0, for example)."
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if how.clip_gradient is not None:
                nn.utils.clip_grad_norm_(model.parameters(), how.clip_gradient)
            optimiser.step()
            total += value * len(labels)
            counts += confusion(labels.cpu().numpy(), logits.argmax(1).cpu().numpy(), len(text))

        row = {"epoch": epoch + 1, "split": "train", "loss": total / len(data.clips)}
        history.append(row | {"uar": uar(counts), "war": war(counts), "lr": lr})
        if monitor is not None:
            scored = history[-1] | score(model, monitor, how.batch, workers, dtype)
            history.append(scored | {"split": how.checkpoint})
            if best is None or scored["war"] > best["war"]:
                best = {"war": scored["war"], "epoch": epoch + 1, "model": clone(model)}
        save_state(state_path, fingerprint, epoch + 1, model, optimiser, history, best)
        seen = history[-1]
        print(
            f"{name}: epoch {epoch + 1}/{how.epochs}  {seen['split']} loss {seen['loss']:.3f}  "
            f"UAR {seen['uar']:.1f}  WAR {seen['war']:.1f}  lr {lr:.2e}  "
            f"({time.perf_counter() - began:.1f} s)",
            flush=True,
        )

    if best is not None:
        model.load_state_dict(best["model"])
    table = pd.DataFrame(history)
    table["chosen"] = table.epoch == (best["epoch"] if best else how.epochs)
    return model, table


def learning_rate(how: TrainSettings, step: int, steps: int) -> float:
    """Learning rate of one step, counted from 0, with `steps` an epoch (Section 4.1).

    From 0 to `lr` linearly over the warm-up epochs, then half a cosine to `min_lr`, which the last
    step of the last epoch has.
    """
    warmup, last = how.warmup_epochs * steps, how.epochs * steps - 1
    if step < warmup:
        return how.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, last - warmup)
    return how.min_lr + (how.lr - how.min_lr) * 0.5 * (1 + math.cos(math.pi * done))


def parameter_groups(model: Recogniser, how: TrainSettings) -> list[dict[str, Any]]:
    """AdamW's groups: CLIP's tower and the new modules, each with and without weight decay.

    Biases and other 1-D parameters do not decay; new modules learn at `lr` × `lr_factor`.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    pretrained = set(map(id, model.pretrained_parameters()))
    for parameter in model.parameters():
        if parameter.requires_grad:
            key = (id(parameter) in pretrained, parameter.ndim >= 2)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": how.lr,
            "lr_factor": 1.0 if old else how.lr_factor,
            "weight_decay": how.weight_decay if decays else 0.0,
        }
        for (old, decays), parameters in sorted(groups.items(), reverse=True)
    ]


def score(
    model: Recogniser, data: TestClips, batch: int, workers: int, dtype: torch.dtype
) -> dict[str, float]:
    """Loss, UAR and WAR of the clips of `data`."""
    logits, labels = predict(model, data, batch, workers, dtype), torch.tensor(data.labels)
    counts = confusion(labels.numpy(), logits.argmax(1).numpy(), logits.shape[1])
    loss = nn.functional.cross_entropy(logits, labels).item()
    return {"loss": loss, "uar": uar(counts), "war": war(counts)}


def clone(model: nn.Module) -> dict[str, torch.Tensor]:
    """The model's state, apart from it and on the CPU."""
    return {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}


def save_state(path, fingerprint, epoch, model, optimiser, history, best) -> None:
    """Write what `resume` needs to go on after `epoch` epochs."""
    state = {
        "fingerprint": fingerprint,
        "epoch": epoch,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "history": history,
        "best": best,
    }
    with atomic(path) as temporary:
        torch.save(state, temporary)


def resume(path: Path, fingerprint: str, name: str) -> dict[str, Any] | None:
    """The state at `path`; None, saying why, where it is not of this very training."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch names no common class for what a damaged file raises
        print(f"{name}: {path} is damaged ({type(error).__name__}): training starts anew")
        return None
    if state["fingerprint"] != fingerprint:
        print(f"{name}: {path} is of other code, settings or data: training starts anew")
        return None
    print(f"{name}: goes on after epoch {state['epoch']}", flush=True)
    return state


def unused_modules(settings: RunSettings) -> set[str]:
    """Modules that a run of these settings does not use, so that their edits leave it alone."""
    model = settings.model
    blocks = model.blocks and model.head == "text"
    return (
        {"dfer.models.interfit"} * (not model.interfit)
        | {"dfer.models.msta"} * (model.aggregation != "msta")
        | {"dfer.models.biehpro"} * (not blocks)
    )


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--name", default="run", help="what progress lines call this run")
    top.add_argument("--splits", required=True)
    top.add_argument("--fold", type=int, required=True)
    top.add_argument("--store", required=True, help="folder of the clip store's shards")
    top.add_argument("--text", required=True, help="features of the class words")
    top.add_argument("--classes", nargs="+", required=True, help="in the order of --text")
    top.add_argument("--settings", required=True, help="RunSettings as JSON")
    top.add_argument("--seed", type=int, required=True)
    top.add_argument("--threads", type=int, default=1)
    top.add_argument("--workers", type=int, default=0, help="of the loader; change no result")
    top.add_argument("--checkpoint", required=True)
    top.add_argument("--history", required=True)
    top.add_argument("--record", required=True)
    return top


def main(args: argparse.Namespace) -> None:
    """Train, then write checkpoint, history and record."""
    device = pick_device(args.threads)
    settings = RunSettings.from_dict(json.loads(args.settings))
    splits = read_parquet(args.splits)
    splits = splits[splits.fold == args.fold]
    rule = settings.train.checkpoint
    trained = (splits.split == "train") & ~(splits.held_out & (rule == "val"))
    watched = {"last": None, "val": splits.held_out, "test": splits.split == "test"}[rule]
    store = open_store(args.store)
    text = read_text(args.text, args.classes)
    size = input_size(settings)
    label = {name: index for index, name in enumerate(args.classes)}

    def clips(rows: pd.DataFrame) -> tuple[list[str], list[int]]:
        return rows.clip.tolist(), rows.label.map(label).tolist()

    data = TrainClips(
        store,
        *clips(splits[trained]),
        frames=settings.model.frames,
        size=size,
        augment=settings.train.augment,
        seed=args.seed,
    )
    monitor = None
    if watched is not None:
        monitor = TestClips(store, *clips(splits[watched]), frames=settings.model.frames, size=size)

    code = stamps("dfer.train", without=unused_modules(settings))
    inputs = [file_digest(path) for path in [args.splits, args.text, *store.paths]]
    if settings.clip.weights and Path(settings.clip.weights).exists():
        inputs.append(file_digest(settings.clip.weights))
    machine = environment(args.threads, device_name(device))
    identity = {
        "settings": json.loads(settings.to_json()),
        "fold": args.fold,
        "seed": args.seed,
        "classes": args.classes,
        "code": code,
        "inputs": inputs,
    }
    fingerprint = digest(identity | {key: machine[key] for key in ("packages", "threads")})
    state_path = Path(args.checkpoint).with_name("state.pt")
    model, history = train(
        settings,
        data,
        monitor,
        text,
        fingerprint=fingerprint,
        state_path=state_path,
        device=device,
        workers=args.workers,
        seed=args.seed,
        name=args.name,
    )
    chosen = int(history.epoch[history.chosen].iloc[0])
    save_run(model, args.checkpoint, settings, args.classes, fold=args.fold, seed=args.seed)
    write_parquet(history, args.history, HISTORY)
    dtype = str(precision(settings.train, device)).removeprefix("torch.")
    record = identity | {"environment": machine, "precision": dtype, "epoch": chosen}
    write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False), args.record)
    state_path.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main, parser())
