"""The field's metrics: UAR, WAR, per-class recall, confusion matrix.

UAR is the mean of the classes' recalls (balanced accuracy); WAR is their mean weighted by the
number of clips, which is plain accuracy. All in per cent, as the papers print them.
"""

import numpy as np


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes), int64: rows are the true class, columns the predicted one."""
    pairs = np.bincount(labels * classes + predictions, minlength=classes**2)
    return pairs.reshape(classes, classes)


def recalls(counts: np.ndarray) -> np.ndarray:
    """Recall of each class in %, NaN where a class has no clip. `counts` as of `confusion`."""
    clips = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return 100.0 * np.diag(counts) / np.where(clips, clips, np.nan)


def uar(counts: np.ndarray) -> float:
    """Unweighted average recall in %, over the classes that have clips."""
    return float(np.nanmean(recalls(counts)))


def war(counts: np.ndarray) -> float:
    """Weighted average recall in %: the share of clips that are right."""
    return float(100.0 * np.trace(counts) / counts.sum())
