"""The learning rate over a training: warm-up, then half a cosine (Section 4.1)."""

import math

from dfer.settings import TrainSettings


def learning_rate(settings: TrainSettings, step: int, steps: int) -> float:
    """Learning rate of one step, counted from 0, with `steps` an epoch.

    It rises linearly to `lr` over the warm-up epochs, then falls by half a cosine to `min_lr`,
    which the very last step has.
    """
    warmup, last = settings.warmup_epochs * steps, settings.epochs * steps - 1
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, last - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return settings.min_lr + (settings.lr - settings.min_lr) * cosine
