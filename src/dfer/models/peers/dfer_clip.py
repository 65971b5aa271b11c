"""DFER-CLIP: a temporal model over CLIP's frame features, and a description of each class's face.

Zhao & Patras, "Prompting Visual-Language Models for Dynamic Facial Expression Recognition",
BMVC 2023.

    V = the class token of the temporal model over Z_1 … Z_T, or the mean over frames ("w/o TM")
    P_j = [v_j1 … v_j8, descriptor_j],   logits_j = cos(V, text tower of P_j) / τ

The image tower is trained, so is a context of 8 vectors for each class; the text tower is not. A
descriptor names four parts of the face; the class word does not occur. The authors' own texts are
theirs: the configuration has others, and `ORIGINALS` tells whether somebody has put theirs in.
Shapes: (B, T, 3, H, W) → (B, #class).
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from dfer.methods.dfer_clip import Settings
from dfer.models.peers.class_token import ClassToken
from dfer.models.peers.layer import Layer
from dfer.models.peers.prompt_learner import Prompted, layout

# SHA-256 of the authors' descriptors of 7 and of 11 classes, joined by newlines, in the order
# happiness, sadness, neutral, anger, surprise, disgust, fear, and contempt, anxiety, helplessness,
# disappointment behind them.
ORIGINALS = {
    7: "c0e10d26fba2914b8e0cfe318c6ebee1ab5759f5ddf1f593c6a8ac69a1fe29ea",
    11: "5a8c9e18bf911f57392863aeafd3d3df42288abb17653a4b1ecdc317c7db2f49",
}


def are_originals(descriptors: Sequence[str]) -> bool:
    """Whether these are the authors' texts, in the order of `ORIGINALS`."""
    digest = hashlib.sha256("\n".join(descriptors).encode()).hexdigest()
    return ORIGINALS.get(len(descriptors)) == digest


class TemporalModel(ClassToken):
    """Frame features, as they are, behind a learnt class token → what that has become.

    Shapes: (B, T, D) → (B, D). There is no norm after the last layer.
    """

    def __init__(self, settings: Settings, width: int):
        shape = (settings.heads, settings.head_width, settings.mlp_width)
        layers = (Layer(width, *shape) for _ in range(settings.temporal_layers))
        super().__init__(width, settings.positions, layers)


class DferClip(Prompted):
    """The temporal model, unless there are 0 layers of it, and a prompt a class."""

    def __init__(self, settings: Settings, architecture: Mapping[str, Any], words: Sequence[str]):
        layouts = [layout(settings.descriptors[w], settings.context, "end") for w in words]
        super().__init__(settings, architecture, layouts, (len(words), settings.context))
        self.temporal = None
        if settings.temporal_layers:
            self.temporal = TemporalModel(settings, architecture["embed_dim"])

    def aggregate(self, z: Tensor) -> Tensor:
        return z.mean(dim=1) if self.temporal is None else self.temporal(z)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> DferClip:
    """See `dfer.models.method.make`."""
    return DferClip(settings, architecture, words)
