"""R3D18 and R(2+1)D18: residual networks of 3-D convolutions, whole or split into space and time.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018.

    r3d18                 torchvision's `r3d_18`, which DFEW's line "R3D18" is of; later tables call
                          that line R(2+1)D18
    r2plus1d18            torchvision's `r2plus1d_18`: t×k×k is 1×k×k to M channels, BN, ReLU, t×1×1
    r2plus1d18_original   the paper's, of 33 M parameters and 42 G: the same, with M such that every
                          split convolution has as many parameters as the whole one,

        M = ⌊t k² N_in N_out / (k² N_in + t N_out)⌋

torchvision takes one M a block, and a stem with 45 channels between. Shapes: (B, T, 3, H, W) →
V (B, 512), the mean over time and place → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.models.video import r2plus1d_18, r3d_18
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, VideoResNet

from dfer.methods.r3d import Settings
from dfer.models.peers.cnn3d import Cnn3d
from dfer.models.pretrained import load
from dfer.settings import BackboneSettings


def middle(inputs: int, outputs: int, size: int) -> int:
    """M of a 3×size×size convolution."""
    return 3 * size**2 * inputs * outputs // (size**2 * inputs + 3 * outputs)


class Matched(Conv2Plus1D):
    """A split 3×3×3 convolution with a middle of its own, whatever the block proposes."""

    def __init__(self, inputs: int, outputs: int, _: int, stride: int = 1):
        super().__init__(inputs, outputs, middle(inputs, outputs, 3), stride)


def matched_stem() -> nn.Sequential:
    """The split 3×7×7 convolution: (B, 3, T, H, W) → (B, 64, T, H/2, W/2)."""
    between = middle(3, 64, 7)
    return nn.Sequential(
        nn.Conv3d(3, between, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, 64, (3, 1, 1), padding=(1, 0, 0), bias=False),
        nn.BatchNorm3d(64),
        nn.ReLU(inplace=True),
    )


def r2plus1d_18_original(num_classes: int) -> VideoResNet:
    """The paper's network."""
    return VideoResNet(BasicBlock, [Matched] * 4, [2, 2, 2, 2], matched_stem, num_classes)


NETWORKS = {
    "r3d18": r3d_18,
    "r2plus1d18": r2plus1d_18,
    "r2plus1d18_original": r2plus1d_18_original,
}


class R3d(Cnn3d):
    """One of the three."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = NETWORKS[settings.network](num_classes=classes)
        self.head, self.body.fc = self.body.fc, nn.Identity()

    def start_from(self, backbone: BackboneSettings) -> None:
        """Take Kinetics' weights, if the settings name some."""
        if self.settings.weights:
            load(self.body, self.settings.weights)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> R3d:
    """See `dfer.models.method.make`."""
    return R3d(settings, len(words))
