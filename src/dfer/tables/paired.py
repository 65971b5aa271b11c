"""Whether one variant is better than another on the same clips: a paired test, clip by clip.

If the two were equally good, the outcomes of each clip could be exchanged between them. UAR and WAR
are sums over clips, so an exchange flips the sign of the clip's part of the difference: the p-value
is the share of sign flips whose difference is at least as large as the measured one.
"""

import numpy as np

FLIPS = 10_000
DRAWN_AT_ONCE = 1_000_000  # numbers of clips, so that memory does not grow with a dataset


def shares(labels: np.ndarray, folds: np.ndarray, metric: str) -> np.ndarray:
    """What each clip, if right, adds to the mean over folds of UAR or WAR: (clips,) in %."""
    share = np.zeros(len(labels))
    for fold in np.unique(folds):
        inside = folds == fold
        if metric == "WAR":
            share[inside] = 1 / inside.sum()
            continue
        classes, members = np.unique(labels[inside], return_inverse=True)
        share[inside] = 1 / np.bincount(members)[members] / len(classes)
    return 100 * share / len(np.unique(folds))


def sign_flip_test(parts: np.ndarray, rng: np.random.Generator) -> float:
    """Two-sided p-value of `parts.sum()` being 0.

    Args:
        parts: each clip's part of the difference, (clips,): its share times how much more often
            (mean over seeds) the one variant was right than the other.
    """
    parts = parts[parts != 0]
    measured = abs(parts.sum()) - 1e-9  # sums in another order differ in the last digits
    beyond = 0
    at_once = max(1, DRAWN_AT_ONCE // max(1, len(parts)))
    for first in range(0, FLIPS, at_once):
        signs = 2.0 * rng.integers(0, 2, (min(at_once, FLIPS - first), len(parts))) - 1
        beyond += int((abs(signs @ parts) >= measured).sum())
    return (1 + beyond) / (1 + FLIPS)
