"""CLIPER: several learnt texts a class, none with the class's word.

Li et al., "CLIPER: A Unified Vision-Language Framework for In-the-Wild Facial Expression
Recognition", ICME 2024.

    P_ck = "an ID photo of [v_ck1 … v_ckM]." of each class c and subclass k = 1 … K
    s_ck = cos(V, text tower of P_ck) / τ,   logits_c = mean over k of s_ck

Its loss for a clip of class y with s_ck is a margin term and a fine-grained one:

    margin   cross-entropy over classes of m_c = max_k s_ck (c ≠ y), m_y = min_k s_yk
    fine     α · cross-entropy of [max_k s_yk, all s_ck with c ≠ y], whose target is the first
    α        N_y · softmax_k(1 / n_yk)[k*] / n_yk*,  k* the clip's best own subclass

n_ck: clips of class c in the batch whose best own subclass is k (−1/99 for none), N_c their sum
over k, so that a rarer subclass weighs more. With K = 1 both terms are plain cross-entropy. That of
the margin is the recipe's, perhaps smoothed.

The public code is of stills; on clips V is the mean of the frame features. It trains in two stages,
the texts and then the image tower (`train.stages`). Shapes: (B, T, 3, H, W) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.methods.cliper import Settings
from dfer.models.method import Criterion
from dfer.models.peers.prompt_learner import Prompted

BEGINNING, STOP = "an ID photo of", "."
NONE = -1 / 99  # in place of 0 clips of a subclass
STD = 0.001  # of the texts' first numbers


class Cliper(Prompted):
    """#class · K texts, class by class."""

    def __init__(self, settings: Settings, architecture: Mapping[str, Any], words: Sequence[str]):
        rows = len(words) * settings.subclasses
        layouts = [(BEGINNING, settings.context, STOP)] * rows
        super().__init__(settings, architecture, layouts, (rows, settings.context), STD)

    def of_subclasses(self, v: Tensor) -> Tensor:
        """V (B, D) → cosines (B, #class, K), float32."""
        return super().similarity(v).unflatten(1, (-1, self.settings.subclasses))

    def similarity(self, v: Tensor) -> Tensor:
        return self.of_subclasses(v).mean(dim=2)

    def loss(
        self, v: Tensor, labels: Tensor, criterion: Criterion = F.cross_entropy
    ) -> tuple[Tensor, Tensor]:
        s = self.of_subclasses(v) / self.settings.temperature
        fine = (weights(s, labels) * fine_terms(s, labels)).mean()
        return margin_term(s, labels, criterion) + fine, s.mean(dim=2)


def margin_term(s: Tensor, labels: Tensor, criterion: Criterion = F.cross_entropy) -> Tensor:
    """The worst own subclass against the best of each other class; s (B, #class, K)."""
    own = F.one_hot(labels, s.shape[1]).bool()
    return criterion(torch.where(own, s.amin(dim=2), s.amax(dim=2)), labels)


def fine_terms(s: Tensor, labels: Tensor) -> Tensor:
    """The best own subclass against all subclasses of all other classes, a term a clip (B,)."""
    own = F.one_hot(labels, s.shape[1]).bool().unsqueeze(2)
    best = s.masked_fill(~own, -torch.inf).flatten(1).amax(dim=1, keepdim=True)
    others = s.masked_fill(own, -torch.inf).flatten(1)
    entries = torch.cat([best, others], dim=1)
    return F.cross_entropy(entries, torch.zeros_like(labels), reduction="none")


@torch.no_grad()
def weights(s: Tensor, labels: Tensor) -> Tensor:
    """α of each clip of a batch (B,)."""
    subclasses = s.shape[2]
    chosen = s[torch.arange(len(s), device=s.device), labels].argmax(dim=1)
    pairs = F.one_hot(labels * subclasses + chosen, s.shape[1] * subclasses)
    n = pairs.sum(dim=0).to(s.dtype).view(-1, subclasses)
    n = torch.where(n == 0, NONE, n)
    alpha = n.sum(dim=1, keepdim=True) * (1 / n).softmax(dim=1) / n
    return alpha[labels, chosen]


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> Cliper:
    """See `dfer.models.method.make`."""
    return Cliper(settings, architecture, words)
