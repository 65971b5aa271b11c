"""The learning rate over a training: the paper's schedule (Section 4.1), and those of others."""

import math
from collections.abc import Sequence

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from dfer.settings import TrainSettings

COOP_FIRST = 1e-5  # learning rate of CoOp's first epoch


def learning_rate(
    settings: TrainSettings, step: int, steps: int, losses: Sequence[float] = ()
) -> float:
    """Learning rate of one step, counted from 0, with `steps` an epoch.

    Args:
        losses: of training, of the epochs before this one; plateaus are found in them.

    cosine: it rises linearly to `lr` over the warm-up epochs, then falls by half a cosine to
    `min_lr`, which the very last step has; with `restart`, it falls so every so many epochs.
    step: `lr`, times `gamma` from each of the `milestones` on. coop: one epoch at 1e-5, then half
    a cosine towards 0, which changes by epoch and not by step. constant: `lr`.
    plateau: `lr`, times `gamma` as often as torch's `ReduceLROnPlateau` would have lowered it.
    """
    epoch = step // steps
    match settings.schedule:
        case "constant":
            return settings.lr
        case "step":
            return settings.lr * settings.gamma ** sum(epoch >= m for m in settings.milestones)
        case "coop":
            cosine = 0.5 * (1 + math.cos(math.pi * (epoch - 1) / settings.epochs))
            return settings.lr * cosine if epoch else COOP_FIRST
        case "plateau":
            return settings.lr * settings.gamma ** _plateaus(losses, settings.patience)
    if settings.restart:
        length = settings.restart * steps
        step, warmup, last = step % length, 0, length - 1
    else:
        warmup, last = settings.warmup_epochs * steps, settings.epochs * steps - 1
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, last - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return settings.min_lr + (settings.lr - settings.min_lr) * cosine


def _plateaus(losses: Sequence[float], patience: int) -> int:
    """How often the loss has stood still for more than `patience` epochs."""
    counter = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    halving = ReduceLROnPlateau(counter, factor=0.5, patience=patience, eps=0.0)
    for loss in losses:
        halving.step(loss)
    return round(-math.log2(counter.param_groups[0]["lr"]))
