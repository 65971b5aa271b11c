"""The learning rate over a training: the paper's schedule (Section 4.1), and those of others."""

import math

from dfer.settings import TrainSettings

COOP_FIRST = 1e-5  # learning rate of CoOp's first epoch


def learning_rate(settings: TrainSettings, step: int, steps: int) -> float:
    """Learning rate of one step, counted from 0, with `steps` an epoch.

    cosine: it rises linearly to `lr` over the warm-up epochs, then falls by half a cosine to
    `min_lr`, which the very last step has; with `restart`, it falls so every so many epochs.
    step: `lr`, times `gamma` from each of the `milestones` on. coop: one epoch at 1e-5, then half
    a cosine towards 0, which changes by epoch and not by step. constant: `lr`.
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
