"""3D ResNet18: the residual network with 3×3×3 convolutions, pooled in time from the start.

Hara, Kataoka & Satoh, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?",
CVPR 2018.

    stem     7×7×7 convolution, stride (1, 2, 2), 64 channels; BN; ReLU; max pool 3, stride 2
    stages   four of two basic blocks, 64, 128, 256, 512 channels; stride 2 from the second on
    V        the mean over time and place

The shortcut into a stage that halves is a 1×1×1 convolution (B), or every second place of the map
with zeros for the new channels (A): the 8.32 G that tables print are A's. torchvision's `r3d_18`
(`dfer.models.peers.r3d`) does not pool in its stem and costs five times as much. Shapes:
(B, T, 3, H, W) → V (B, 512) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.video.resnet import BasicBlock, Conv3DSimple, VideoResNet

from dfer.methods.resnet3d import Settings
from dfer.models.method import Criterion
from dfer.models.peers.cnn3d import Cnn3d
from dfer.models.peers.ec_stfl import ec_stfl
from dfer.models.peers.pooling import MaxPool3d


def stem() -> nn.Sequential:
    """(B, 3, T, H, W) → (B, 64, T/2, H/4, W/4)."""
    return nn.Sequential(
        nn.Conv3d(3, 64, 7, stride=(1, 2, 2), padding=3, bias=False),
        nn.BatchNorm3d(64),
        nn.ReLU(inplace=True),
        MaxPool3d(3, stride=2, padding=1),
    )


class ShortcutA(nn.Module):
    """Every second place, and C channels of zeros: (B, C, T, H, W) → (B, 2C, T/2, H/2, W/2)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2, ::2], (0, 0, 0, 0, 0, 0, 0, x.shape[1]))


class ResNet3d(Cnn3d):
    """Hara's network, with EC-STFL's term in its loss where the settings say so."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = VideoResNet(BasicBlock, [Conv3DSimple] * 4, [2, 2, 2, 2], stem)
        if settings.shortcut == "A":
            for stage in (self.body.layer2, self.body.layer3, self.body.layer4):
                stage[0].downsample = ShortcutA()
        self.head, self.body.fc = nn.Linear(512, classes), nn.Identity()

    def loss(
        self, v: Tensor, labels: Tensor, criterion: Criterion = F.cross_entropy
    ) -> tuple[Tensor, Tensor]:
        loss, logits = super().loss(v, labels, criterion)
        if self.settings.ec_stfl:
            loss = loss + self.settings.ec_stfl * ec_stfl(v.float(), labels)
        return loss, logits


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> ResNet3d:
    """See `dfer.models.method.make`."""
    return ResNet3d(settings, len(words))
