"""I3D: Inception-v1 with square kernels made cubes, on RGB frames.

Carreira & Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR
2017.

    unit        convolution, BN, ReLU; it and the pools are padded as TensorFlow's "SAME" is
    inception   [1³ ‖ 1³, 3³ ‖ 1³, 3³ ‖ max pool 3³, 1³], side by side
    V           the mean over time and place

"SAME" gives ⌈n/s⌉ places and puts the odd zero behind, so a map of even size is padded unevenly.
The authors' last pool is of 2×7×7, the whole map at 16×224. Shapes: (B, T, 3, H, W) → V (B, 1024)
→ (B, #class).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops.misc import Conv3dNormActivation

from dfer.methods.i3d import Settings
from dfer.models.peers.cnn3d import Cnn3d
from dfer.models.peers.pooling import MaxPool3d

Size = tuple[int, int, int]  # in time, height, width


def same(x: Tensor, kernel: Size, stride: Size) -> Tensor:
    """A map (…, T, H, W) with zeros around it, for ⌈n/s⌉ places of each axis."""
    pads: list[int] = []
    for n, k, s in zip(x.shape[-3:], kernel, stride, strict=True):
        total = max(k - (n % s or s), 0)
        pads = [total // 2, total - total // 2, *pads]  # the last axis first
    return F.pad(x, pads) if any(pads) else x


class Unit(Conv3dNormActivation):
    """Convolution, BN, ReLU: (B, C, T, H, W) → (B, C', T/s, H/s, W/s)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1):
        norm = partial(nn.BatchNorm3d, eps=1e-3, momentum=0.01)
        super().__init__(inputs, outputs, kernel, stride, padding=0, norm_layer=norm)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(same(x, self[0].kernel_size, self[0].stride))


class Pool(MaxPool3d):
    """Max pool: (B, C, T, H, W) → (B, C, T/s, H/s, W/s)."""

    kernel_size: Size
    stride: Size

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(same(x, self.kernel_size, self.stride))


class Inception(nn.Module):
    """Four branches of one map: (B, C, T, H, W) → (B, C', T, H, W)."""

    def __init__(self, width: int, *widths: int):
        super().__init__()
        one, three_in, three, five_in, five, pooled = widths
        self.branches = nn.ModuleList(
            [
                Unit(width, one, 1),
                nn.Sequential(Unit(width, three_in, 1), Unit(three_in, three, 3)),
                nn.Sequential(Unit(width, five_in, 1), Unit(five_in, five, 3)),
                nn.Sequential(Pool((3, 3, 3), (1, 1, 1)), Unit(width, pooled, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class I3d(Cnn3d):
    """Stem, nine inception blocks, the mean."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = nn.Sequential(
            Unit(3, 64, 7, 2),
            Pool((1, 3, 3), (1, 2, 2)),
            Unit(64, 64, 1),
            Unit(64, 192, 3),
            Pool((1, 3, 3), (1, 2, 2)),
            Inception(192, 64, 96, 128, 16, 32, 32),  # 3b
            Inception(256, 128, 128, 192, 32, 96, 64),
            Pool((3, 3, 3), (2, 2, 2)),
            Inception(480, 192, 96, 208, 16, 48, 64),  # 4b
            Inception(512, 160, 112, 224, 24, 64, 64),
            Inception(512, 128, 128, 256, 24, 64, 64),
            Inception(512, 112, 144, 288, 32, 64, 64),
            Inception(528, 256, 160, 320, 32, 128, 128),
            Pool((2, 2, 2), (2, 2, 2)),
            Inception(832, 256, 160, 320, 32, 128, 128),  # 5b
            Inception(832, 384, 192, 384, 48, 128, 128),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(1024, classes))


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> I3d:
    """See `dfer.models.method.make`."""
    return I3d(settings, len(words))
