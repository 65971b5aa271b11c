"""ResNet18-ViT: a transformer over the features of frames, a baseline of DFER-CLIP's paper.

    V = the class token of pre-norm encoders over [class, ResNet18(frame_1) … ResNet18(frame_T)]

This is our reading: only the name is printed. Positions are learnt, there is no dropout and no norm
behind the last layer, and GELU is exact; the sizes are those of Former-DFER's temporal part.
Shapes: (B, T, 3, H, W) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from dfer.methods.resnet_vit import Settings
from dfer.models.peers.class_token import ClassToken
from dfer.models.peers.resnet18 import WIDTH, ResNet18
from dfer.models.pretrained import load
from dfer.models.video_network import VideoNetwork
from dfer.settings import BackboneSettings


class ResNetVit(VideoNetwork):
    """Features of frames, encoders over time, a linear classifier."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        layers = (
            nn.TransformerEncoderLayer(
                WIDTH,
                settings.heads,
                settings.mlp_width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(settings.layers)
        )
        self.body = nn.Sequential()
        self.body.resnet = ResNet18()
        self.body.encoder = ClassToken(WIDTH, settings.frames + 1, layers)
        self.head = nn.Linear(WIDTH, classes)

    def start_from(self, backbone: BackboneSettings) -> None:
        if self.settings.weights:
            load(self.body.resnet, self.settings.weights)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> ResNetVit:
    """See `dfer.models.method.make`."""
    return ResNetVit(settings, len(words))
