"""The training of a model, epoch by epoch, and the epoch whose weights are kept.

The optimisation is that of Section 4.1 unless the settings say otherwise: AdamW, a linear warm-up
and a cosine to `min_lr`, cross-entropy of Eq. 12. A killed training goes on from the epoch that it
saved last and ends with the bytes of an uninterrupted one: every random draw has an address.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from dfer.clips.loader import Address, EpochBatches, EvaluationClips, TrainClips, train_batches
from dfer.errors import UserError
from dfer.models.backbone import normaliser
from dfer.models.method import Method, build, pixels
from dfer.settings import RunSettings
from dfer.training.criterion import criterion_of
from dfer.training.device import precision
from dfer.training.inference import frame_features_of, logits_from, logits_of
from dfer.training.metrics import confusion, uar, war
from dfer.training.optimiser import new_optimiser, set_rate
from dfer.training.schedule import learning_rate
from dfer.training.state import Saver, read_state
from dfer.training.step import Step

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
    epochs = recipe.epochs if any(p.requires_grad for p in model.parameters()) else 0
    first, history, best, optimiser = 0, [], None, None
    state = read_state(state_path, fingerprint, name)
    if state is not None:
        model.load_state_dict(state["model"])
        first, history, best = state["epoch"], state["history"], state["best"]
        optimiser = state["optimiser"]
    del state  # gigabytes, as the optimiser's part is
    trainer = Trainer(model, settings, data, monitor, words, seed=seed, workers=workers, name=name)
    saver = Saver(state_path)
    if watch is not None:
        watch(history)
    started = time.perf_counter()
    for epoch in range(first, epochs):
        if stop is not None and stop(history):
            break
        if epoch in (first, recipe.stage(epoch)[1]):
            trainer.begin_stage(epoch, optimiser)
            optimiser = None
        began = time.perf_counter()
        row = {"epoch": epoch + 1, "split": "train"} | trainer.train(epoch, history)
        row["ended"] = time.time()
        history.append(row)
        if monitor is not None:
            row = row | {"split": recipe.checkpoint} | trainer.score()
            history.append(row)
            if best is None or row["war"] > best["war"]:
                weights = {key: value.cpu().clone() for key, value in model.state_dict().items()}
                best = {"war": row["war"], "epoch": epoch + 1, "model": weights}
        if watch is not None:
            watch(history)
        if saver.is_due() or epoch + 1 == recipe.epochs:
            saver.save(
                fingerprint=fingerprint,
                epoch=epoch + 1,
                model=model.state_dict(),
                optimiser=trainer.optimiser.state_dict(),
                history=history,
                best=best,
            )
        now = time.perf_counter()
        left = (now - started) / (epoch + 1 - first) * (epochs - epoch - 1)
        print(
            f"{name}: epoch {epoch + 1}/{recipe.epochs}  {scores_line(history)}  "
            f"({now - began:.1f} s, {tqdm.format_interval(left)} left)",
            flush=True,
        )

    if best is not None:
        model.load_state_dict(best["model"])
    table = pd.DataFrame(history, columns=HISTORY.names[:-1])
    table["chosen"] = table.epoch == (best["epoch"] if best else table.epoch.max())
    return model, table


def scores_line(history: Sequence[dict[str, Any]]) -> str:
    """The scores of the last epoch, and its learning rate, for the print-out."""
    last = [row for row in history if row["epoch"] == history[-1]["epoch"]]
    scores = [
        f"{row['split']} loss {row['loss']:.3f}  UAR {row['uar']:.1f}  WAR {row['war']:.1f}"
        for row in last
    ]
    return "  ".join([*scores, f"lr {last[0]['lr']:.1e}"])


class Trainer:
    """Trains a model for an epoch, and scores it, by the recipe of the stage that it is in.

    Args:
        model: on its device.
        settings, data, monitor, words, seed, workers, name: as of `train`.
    """

    def __init__(
        self,
        model: Method,
        settings: RunSettings,
        data: TrainClips,
        monitor: EvaluationClips | None,
        words: Sequence[str],
        *,
        seed: int,
        workers: int,
        name: str,
    ) -> None:
        self.model, self.recipe, self.classes = model, settings.train, len(words)
        self.data, self.monitor, self.seed, self.name = data, monitor, seed, name
        self.device = next(model.parameters()).device
        self.normalise = normaliser(pixels(settings.model, settings.backbone), self.device)
        self.dtype = precision(self.recipe, model.width, self.device)
        self.criterion = criterion_of(self.recipe, data.labels, words, self.device)
        self.workers, self.computing = workers, {"batch": self.recipe.batch, "workers": workers}

    def begin_stage(self, epoch: int, optimiser: dict[str, Any] | None = None) -> None:
        """Get ready for an epoch, counted from 0, and those after it in its stage.

        Args:
            optimiser: its state after the epoch before, where the training goes on.

        Raises:
            UserError: there is no whole batch of clips.
        """
        recipe, data = self.recipe, self.data
        self.own, self.begun = recipe.stage(epoch)
        self.optimiser = new_optimiser(self.model, self.own)
        if optimiser is not None and epoch > self.begun:
            self.optimiser.load_state_dict(optimiser)
        self.step = Step(
            self.model, self.optimiser, recipe, self.normalise, self.dtype, self.criterion
        )
        self.batches = EpochBatches(
            len(data.clips),
            recipe.batch,
            first=epoch,
            last=self.begun + self.own.epochs,
            seed=self.seed,
            drop_last=recipe.drop_last,
            labels=data.labels if recipe.balanced else None,
        )
        if not self.batches.steps:
            raise UserError(
                f"{self.name}: {len(data.clips)} clips are no whole batch of {recipe.batch}. Set "
                "train.batch lower, or train.drop_last to false."
            )
        self.alike = self.model.sees_frames_alike()
        self.z_of_monitor: Tensor | None = None  # its frame features, while they stay the same
        seen = data.as_they_are()
        if self.alike and seen is not None:
            z = self._frame_features(seen)
            self.stream = known_batches(z, data, self.batches)
        else:
            self.stream = train_batches(data, self.batches, self.device, self.workers)

    def train(self, epoch: int, history: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Train for an epoch, counted from 0.

        Args:
            history: rows of the epochs before it, see `HISTORY`.

        Returns:
            loss, uar and war, of the clips as the batches saw them; lr; clips_per_second.

        Raises:
            Diverged: the loss is not finite or explodes.
        """
        began, steps = time.perf_counter(), self.batches.steps
        torch.manual_seed(self.seed + SEEDS * (epoch + 1))  # of dropout, and what a model draws
        self.model.train()
        losses = [r["loss"] for r in history if r["split"] == "train" and r["epoch"] > self.begun]
        seen = Seen(self.classes, self.name, epoch, steps)
        progress = tqdm(  # in a terminal; other output has a line an epoch
            range(steps), f"epoch {epoch + 1}/{self.recipe.epochs}", leave=False, disable=None
        )
        for step in progress:
            lr = learning_rate(self.own, (epoch - self.begun) * steps + step, steps, losses)
            set_rate(self.optimiser, lr)
            inputs, labels = next(self.stream)
            seen.add(lr, labels, *self.step(inputs, labels))
            if len(seen.unread) == READ_EVERY or step + 1 == steps:
                seen.read()
                progress.set_postfix(loss=f"{seen.loss:.3f}")
        pace = seen.clips / (time.perf_counter() - began)
        scores = {"loss": seen.loss, "uar": uar(seen.counts), "war": war(seen.counts)}
        return scores | {"lr": lr, "clips_per_second": pace}

    def score(self) -> dict[str, float]:
        """Loss, UAR and WAR of the clips that are watched."""
        if not self.alike:
            logits = logits_of(
                self.model, self.monitor, self.normalise, self.dtype, **self.computing
            )
        else:
            if self.z_of_monitor is None:
                self.z_of_monitor = self._frame_features(self.monitor)
            logits = logits_from(self.model, self.z_of_monitor, self.dtype, batch=self.recipe.batch)
        labels = self.monitor.labels
        counts = confusion(np.array(labels), logits.argmax(1).numpy(), self.classes)
        loss = F.cross_entropy(logits, torch.tensor(labels)).item()
        return {"loss": loss, "uar": uar(counts), "war": war(counts)}

    def _frame_features(self, clips: EvaluationClips) -> Tensor:
        """Z (clips, T, D)."""
        return frame_features_of(self.model, clips, self.normalise, self.dtype, **self.computing)


class Seen:
    """What an epoch's batches saw: losses and predictions, read from the device when asked to.

    Args:
        classes: how many there are.
        name, epoch, steps: of the training, for the error.
    """

    def __init__(self, classes: int, name: str, epoch: int, steps: int) -> None:
        self.name, self.epoch, self.steps = name, epoch, steps
        self.counts = np.zeros((classes, classes), np.int64)  # see `confusion`
        self.total, self.steps_read, self.unread = 0.0, 0, []

    def add(self, lr: float, labels: Tensor, loss: Tensor, found: Tensor) -> None:
        """A step at rate `lr`: class indices (B,), the loss () and the predicted indices (B,)."""
        self.unread.append((lr, labels, loss, found))

    def read(self) -> None:
        """Wait for the device, and count the steps of which that was not known.

        Raises:
            Diverged: a loss is not finite or explodes.
        """
        for lr, labels, loss, found in self.unread:
            self.steps_read += 1
            value = loss.item()
            if not math.isfinite(value) or value > 1e3:
                raise Diverged(
                    f"{self.name}: the loss is {value:.3g} in epoch {self.epoch + 1}, step "
                    f"{self.steps_read} of {self.steps}, at a learning rate of {lr:.3g}. Lower "
                    "train.lr, or set train.max_gradient_norm (1.0, for example)."
                )
            self.total += value * len(labels)
            self.counts += confusion(labels.cpu().numpy(), found.cpu().numpy(), len(self.counts))
        self.unread.clear()

    @property
    def clips(self) -> int:
        """How many were read."""
        return int(self.counts.sum())

    @property
    def loss(self) -> float:
        """The mean over the clips that were read."""
        return self.total / self.clips


def known_batches(
    z: Tensor, data: TrainClips, batches: Iterable[list[Address]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """As `train_batches`, of frame features z (clips, T, D) that are known: no clip is decoded."""
    z = z.clone()  # not an inference tensor, which no gradient may pass
    for addresses in batches:
        chosen = torch.tensor([index for _, index, *_ in addresses], device=z.device)
        yield z[chosen], data.labels_of(addresses).to(z.device)
