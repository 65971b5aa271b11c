"""LSTPNet: ResNet18 whose channels are excited in view of time, then convolution and attention.

Lu et al., "LSTPNet: Long short-term perception network for dynamic facial expression recognition in
the wild", Image and Vision Computing 2024.

    TCE: x · 2 σ(E(max of x) + E(mean of x)), max and mean over the map of a frame
    E:   a convolution over channels to r rows, ReLU of one over time that the rows share, and one
         over channels back to one row
    Z_t = mean of TCE(stage 4 of frame t), with a TCE before each block of stages 2–4
    twice: x = LN(x + convolution over time of x), the same weights both times
           x = x + attention(LN(x)),   x = x + perceptron(LN(x))
    perceptron: h = LN(GELU(W₁ x)),   LN(W₂ LN(GELU(h + depthwise convolution over time of h)))
    V = mean over t of x

How it was trained is not public; here it is with the cross-entropy. Shapes: (B, T, 3, H, W) →
(B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, conv1x1

from dfer.methods.lstpnet import Settings
from dfer.models.peers.layer import Layer
from dfer.models.peers.resnet18 import WIDTH, draw_convolutions
from dfer.models.video_network import VideoNetwork


class TCE(nn.Module):
    """Excites channels of maps by what they do over time: (B·T, C, H, W) → the same shape."""

    def __init__(self, channels: int, frames: int):
        super().__init__()
        rows = channels // 8
        kernel = 3 if channels == 64 else 5
        self.frames = frames
        self.conv1 = nn.Conv1d(1, rows, kernel, padding=kernel // 2)
        self.over_time = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv1d(rows, 1, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        both = self.excite(x.amax(dim=(2, 3))) + self.excite(x.mean(dim=(2, 3)))
        return x * (2 * both.sigmoid())[..., None, None]

    def excite(self, pooled: Tensor) -> Tensor:
        """(B·T, C) → (B·T, C)."""
        rows = self.conv1(pooled.unsqueeze(1)).unflatten(0, (-1, self.frames))  # (B, T, r, C)
        rows = rows.permute(0, 2, 3, 1)  # (B, r, C, T)
        rows = F.relu(self.over_time(rows.flatten(0, 1))).unflatten(0, rows.shape[:2])
        return self.conv2(rows.permute(0, 3, 1, 2).flatten(0, 1)).squeeze(1)


class Block(BasicBlock):
    """ResNet's with biases, behind a TCE where `frames` is given.

    A projecting shortcut begins behind the TCE, an identity before it.
    """

    def __init__(self, channels: int, planes: int, stride: int, frames: int | None):
        super().__init__(channels, planes, stride)
        if stride > 1:
            self.downsample = nn.Sequential(
                conv1x1(channels, planes, stride), nn.BatchNorm2d(planes)
            )
        self.tce = TCE(channels, frames) if frames else nn.Identity()
        for conv in (self.conv1, self.conv2, *(self.downsample or ())[:1]):
            conv.bias = nn.Parameter(torch.zeros(planes))

    def forward(self, x: Tensor) -> Tensor:
        excited = self.tce(x)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(excited)))))
        return self.relu(y + (self.downsample(excited) if self.downsample else x))


class Encoder(Layer):
    """Attention, and a perceptron with a convolution over time: (B, T, 512) → (B, T, 512)."""

    def __init__(self, mlp_width: int = 4096):
        super().__init__(WIDTH, heads=8, head_width=64, mlp_width=mlp_width)
        self.ln1 = nn.LayerNorm(mlp_width)
        self.over_time = nn.Conv1d(mlp_width, mlp_width, 3, padding=1, groups=mlp_width)
        self.ln2 = nn.LayerNorm(mlp_width)
        self.ln3 = nn.LayerNorm(WIDTH)

    def mlp(self, z: Tensor) -> Tensor:
        h = self.ln1(F.gelu(self.fc1(z)))
        h = self.ln2(F.gelu(h + over_time(self.over_time, h)))
        return self.ln3(self.fc2(h))


class Body(nn.Module):
    """(B, T, 3, H, W) → V (B, 512)."""

    def __init__(self, frames: int):
        super().__init__()
        self.resnet = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            *(Block(64, 64, 1, None), Block(64, 64, 1, None)),
            *(Block(64, 128, 2, frames), Block(128, 128, 1, frames)),
            *(Block(128, 256, 2, frames), Block(256, 256, 1, frames)),
            *(Block(256, 512, 2, frames), Block(512, 512, 1, frames)),
        )
        self.tce = TCE(WIDTH, frames)
        self.conv = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.norm = nn.LayerNorm(WIDTH)
        self.encoders = nn.Sequential(Encoder(), Encoder())

    def forward(self, clips: Tensor) -> Tensor:
        maps = self.tce(self.resnet(clips.flatten(0, 1)))
        x = maps.mean(dim=(2, 3)).unflatten(0, clips.shape[:2])
        for encoder in self.encoders:
            x = encoder(self.norm(x + over_time(self.conv, x)))
        return x.mean(dim=1)


class LSTPNet(VideoNetwork):
    """The excited ResNet18, encoders over time, a linear classifier."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = Body(settings.frames)
        draw_convolutions(self.body)
        self.head = nn.Linear(WIDTH, classes)


def over_time(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """(B, T, D) → (B, T, D)."""
    return convolution(x.transpose(1, 2)).transpose(1, 2)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> LSTPNet:
    """See `dfer.models.method.make`."""
    return LSTPNet(settings, len(words))
