"""The cross-entropy of a recipe: smoothed targets, and logits that the class prior is added to.

Prior correction (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021):

    loss = cross-entropy of s_j + λ ln π_j,   prediction = argmax_j s_j

π_j is the share of class j in the clips that are trained on (`dfer.training.train_set`). Where the
prior explains how often a class is seen, s does not learn it: for λ = 1 argmax s is the best choice
by the mean of the recalls, UAR, where without it argmax s is the best by accuracy, WAR.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.models.method import Criterion
from dfer.settings import TrainSettings
from dfer.training.train_set import log_prior


def criterion_of(
    recipe: TrainSettings, labels: Sequence[int], words: Sequence[str], device: torch.device
) -> Criterion:
    """What maps logits s (B, #class) and class indices (B,) to the loss ().

    Args:
        labels: class index of each clip that is trained on.
        words: of the classes.

    Raises:
        UserError: the prior is to be corrected, and no clip is of some class.
    """
    smoothed = partial(F.cross_entropy, label_smoothing=recipe.label_smoothing)
    if not recipe.prior:
        return smoothed
    shift = torch.tensor(recipe.prior * log_prior(labels, words), dtype=torch.float32).to(device)

    def corrected(s: Tensor, target: Tensor) -> Tensor:
        return smoothed(s + shift, target)

    return corrected
