"""CoCoOp: CoOp's context, shifted by what the clip shows.

Zhou, Yang, Loy & Liu, "Conditional Prompt Learning for Vision-Language Models", CVPR 2022.

    v_m(V) = v_m + h(V / |V|),   h = Linear (D → D/16), ReLU, Linear (D/16 → W)
    P_j(V) = [v_1(V) … v_n(V), word_j, "."],   logits_j = cos(V, K_j(V)) / τ

Every clip has its own prompts: B · #class of them go through the text tower, with gradients in
training. They are encoded up to their end token, which is most of what makes that bearable.

On clips V is the mean of the frame features, so that there is one set of prompts a clip; one a
frame would cost T times as much. Shapes: (B, T, 3, H, W) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from dfer.methods.cocoop import Settings
from dfer.models.peers.prompt_learner import Prompted, layout


class MetaNet(nn.Module):
    """A feature of length 1 (B, D) → the shift of every context vector (B, W)."""

    def __init__(self, features: int, hidden: int, width: int):
        super().__init__()
        self.linear1 = nn.Linear(features, hidden)
        self.linear2 = nn.Linear(hidden, width)

    def forward(self, v: Tensor) -> Tensor:
        return self.linear2(self.linear1(v).relu())


class CoCoOp(Prompted):
    """Class features that depend on the clip."""

    def __init__(self, settings: Settings, architecture: Mapping[str, Any], words: Sequence[str]):
        layouts = [layout(word, settings.context, "end", stop=".") for word in words]
        super().__init__(settings, architecture, layouts, (1, settings.context))
        features = architecture["embed_dim"]
        self.meta_net = MetaNet(features, features // settings.reduction, self.tower.width)

    def class_features(self, v: Tensor) -> Tensor:
        shift = self.meta_net(F.normalize(v, dim=-1))  # (B, W)
        return self.learner(self.context + shift[:, None, None], self.tower)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> CoCoOp:
    """See `dfer.models.method.make`."""
    return CoCoOp(settings, architecture, words)
