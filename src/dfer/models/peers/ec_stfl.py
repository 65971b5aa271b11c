"""EC-STFL: clips of a class are drawn together, clips of different classes apart.

Jiang et al., "DFEW: A Large-Scale Database for Recognizing Dynamic Facial Expressions in the Wild",
ACM MM 2020.

        Σ_{y_i = y_j} ‖V_i − V_j‖ / N_i
    L = ───────────────────────────────,   loss = cross-entropy + λ L
        Σ_{y_i ≠ y_j} ‖V_i − V_j‖ / N_j

Sums are over ordered pairs of a batch, norms are not squared, and N_i is the number of clips in the
batch that have i's class, i among them. Eq. 7 and 8 of the paper have the two kinds of pairs
exchanged; its text and Eq. 9 mean these. Where all clips of a batch are of one class there is no L:
here only that term is left out, where the authors' code leaves out the whole step.
"""

import torch
from torch import Tensor


def ec_stfl(v: Tensor, labels: Tensor) -> Tensor:
    """L of features (B, D) and class indices (B,), a scalar; 0 where all are of one class."""
    same = labels[:, None] == labels
    alone = same.all()
    # the norm of i = j has no gradient, and neither has that of clips whose features are equal
    distances = torch.linalg.vector_norm(v[:, None] - v, dim=-1)
    distances = distances / same.sum(dim=0)  # N_j, which is N_i where classes are the same
    within, between = (distances * same).sum(), (distances * ~same).sum()
    return within * ~alone / (between + alone)
