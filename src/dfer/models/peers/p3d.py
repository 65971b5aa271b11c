"""P3D-63: bottlenecks whose convolution is one in space, S, and one in time, T.

Qiu, Yao & Mei, "Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks", ICCV
2017; in the depth and at the size of DFEW's authors.

    block    ReLU(x + 1³(mix(1³(x)))),   S: 1×3×3,   T: 3×1×1, each with BN and ReLU
    mix      A: T(S(h))    B: S(h) + T(h)    C: S(h) + T(S(h)), in turn over stages 1 to 3
    stages   3, 4, 6, 3 blocks of 64, 128, 256, 512 channels within, four times as many without;
             a max pool of two frames behind the first three; the fourth has S alone
    V        the mean over time and place

A frame that a pool behind a stage leaves over is kept; at T = 16 none is, and one frame arrives at
stage 4. Shapes: (B, T, 3, H, W) → V (B, 2048) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops.misc import Conv3dNormActivation

from dfer.methods.p3d import Settings
from dfer.models.peers.cnn3d import Cnn3d
from dfer.models.peers.pooling import MaxPool3d

BLOCKS = (3, 4, 6, 3)


class Block(nn.Module):
    """A bottleneck: (B, C, T, H, W) → (B, 4 width, T, H/stride, W/stride).

    Attributes:
        mix: "A", "B" or "C"; "S" is the convolution in space alone.
    """

    def __init__(self, inputs: int, width: int, mix: str, stride: int):
        super().__init__()
        self.mix = mix
        self.into = Conv3dNormActivation(inputs, width, 1, (1, stride, stride))
        self.space = Conv3dNormActivation(width, width, (1, 3, 3))
        self.time = None if mix == "S" else Conv3dNormActivation(width, width, (3, 1, 1))
        self.out = Conv3dNormActivation(width, 4 * width, 1, activation_layer=None)
        self.shortcut = nn.Identity()
        if inputs != 4 * width:
            self.shortcut = Conv3dNormActivation(
                inputs, 4 * width, 1, (1, stride, stride), activation_layer=None
            )

    def forward(self, x: Tensor) -> Tensor:
        h = self.into(x)
        s = self.space(h)
        if self.mix == "A":
            s = self.time(s)
        elif self.mix == "B":
            s = s + self.time(h)
        elif self.mix == "C":
            s = s + self.time(s)
        return F.relu(self.shortcut(x) + self.out(s))


def stages() -> list[nn.Module]:
    """All four, and the pools behind the first three."""
    layers, inputs = [], 64
    for stage, blocks in enumerate(BLOCKS):
        width = 64 * 2**stage
        for block in range(blocks):
            mix = "S" if stage == 3 else "ABC"[(sum(BLOCKS[:stage]) + block) % 3]
            layers.append(Block(inputs, width, mix, 2 if stage and not block else 1))
            inputs = 4 * width
        if stage < 3:
            layers.append(MaxPool3d((2, 1, 1), ceil_mode=True))
    return layers


class P3d(Cnn3d):
    """Stem, stages, the mean."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = nn.Sequential(
            Conv3dNormActivation(3, 64, (1, 7, 7), (1, 2, 2)),
            MaxPool3d((2, 3, 3), stride=2, padding=(0, 1, 1)),
            *stages(),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(2048, classes))


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> P3d:
    """See `dfer.models.method.make`."""
    return P3d(settings, len(words))
