"""Former-DFER: attention within each frame, in the midst of ResNet18, then over frames.

Zhao & Liu, "Former-DFER: Dynamic Facial Expression Recognition Transformer", ACM MM 2021.

    M_t = conv1 … layer3 of frame t          (256, H/16, W/16)
    S_t = encoder(M_t as tokens + positions) one layer, no class token
    Z_t = mean of layer4(S_t)                (512,)
    V   = the class token of three encoders over [class, Z_1 … Z_T] + positions

Layers are those of `dfer.models.peers.layer`, as many as in the authors' code, trained from
scratch. Shapes: (B, T, 3, H, W) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dfer.methods.former_dfer import Settings
from dfer.models.peers.class_token import ClassToken
from dfer.models.peers.layer import Layer
from dfer.models.peers.resnet18 import WIDTH, ResNet18
from dfer.models.video_network import VideoNetwork


class SpatialFormer(ResNet18):
    """ResNet18 with an encoder before its last stage: (B, T, 3, H, W) → (B, T, 512)."""

    def __init__(self, size: int):
        super().__init__()
        side = -(-size // 16)  # of the map behind layer3
        self.pos_embedding = nn.Parameter(torch.randn(1, side * side, 256))
        self.encoder = Layer(256, heads=8, head_width=32, mlp_width=512)

    def forward(self, clips: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(clips.flatten(0, 1)))))
        x = self.layer3(self.layer2(self.layer1(x)))
        tokens = self.encoder(x.flatten(2).transpose(1, 2) + self.pos_embedding)
        x = self.layer4(tokens.transpose(1, 2).unflatten(2, x.shape[2:]))
        return x.mean(dim=(2, 3)).unflatten(0, clips.shape[:2])


class FormerDfer(VideoNetwork):
    """The spatial former, the temporal former, a linear classifier."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        layers = (Layer(WIDTH, heads=8, head_width=64, mlp_width=1024) for _ in range(3))
        self.body = nn.Sequential()
        self.body.spatial = SpatialFormer(settings.size)
        self.body.temporal = ClassToken(WIDTH, settings.frames + 1, layers)
        self.head = nn.Linear(WIDTH, classes)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> FormerDfer:
    """See `dfer.models.method.make`."""
    return FormerDfer(settings, len(words))
