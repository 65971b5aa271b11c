"""IAL: an intensity-aware loss, on a network with global convolution–attention blocks (GCA).

Li et al., "Intensity-Aware Loss for Dynamic Facial Expression Recognition in the Wild", AAAI 2023.

    g_t = depthwise convolution of y_t, as large as the map   a number a channel
    u_t = 2 σ(W₂ ReLU(W₁ g_t)),   w_t = √(u_t · mean over t of u_t + 1e-5)
    GCA: ReLU(w_t y_t + shortcut), for y_t of the residual branch of stages 2 and 3
    X_t = stage 3 of frame t; [three blocks of X_{t+1} − X_t] + [encoders over X_t] as one token
    V   = mean over t of encoders over these T − 1 tokens, which are as wide as a whole map
    loss = CE(z) + λ L_IAL(z) + Σ λ_s CE(auxiliary logits of mean over t of g_t in stage s)
    L_IAL = −log softmax of the right class against the strongest wrong one alone
          = log(1 + exp(largest wrong logit − right logit))

The λ are those of the public code, which has 0.5 for L_IAL in a comment, and 0 for stage 3; layers
are those of `dfer.models.peers.layer`. Shapes: (B, T, 3, H, W) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, conv1x1, conv3x3

from dfer.methods.ial import Settings
from dfer.models.method import Criterion
from dfer.models.peers.layer import Layer
from dfer.models.peers.resnet18 import draw_convolutions
from dfer.models.video_network import VideoNetwork

STAGES = (128, 256)  # channels of the stages that have a GCA
EPS = 1e-5


def block(channels: int, planes: int, stride: int) -> BasicBlock:
    """ResNet's, with a projection where the shape changes."""
    if stride == 1:
        return BasicBlock(channels, planes)
    projection = nn.Sequential(conv1x1(channels, planes, stride), nn.BatchNorm2d(planes))
    return BasicBlock(channels, planes, stride, projection)


class GCA(nn.Module):
    """Weights of channels that a frame has in view of all frames, from maps of `side` pixels."""

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.whole = nn.Conv2d(channels, channels, side, groups=channels, bias=False)
        self.fc1 = nn.Linear(channels, channels // 16, bias=False)
        self.fc2 = nn.Linear(channels // 16, channels, bias=False)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, C, H, W) → weights (B, T, C) and what they were made of, g (B, T, C)."""
        g = self.whole(maps.flatten(0, 1)).flatten(1).unflatten(0, maps.shape[:2])
        u = 2 * self.fc2(F.relu(self.fc1(g))).sigmoid()
        return (u * u.mean(dim=1, keepdim=True) + EPS).sqrt(), g


class Stage(nn.Module):
    """One residual block of stride 2 whose branch is weighed: (B, T, C, H, W) → (B, T, 2C, …)."""

    def __init__(self, planes: int, side: int):
        super().__init__()
        self.block = block(planes // 2, planes, 2)
        self.gca = GCA(planes, side)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """The maps, and g (B, T, C)."""
        x, b = clips.flatten(0, 1), self.block
        y = b.bn2(b.conv2(b.relu(b.bn1(b.conv1(x))))).unflatten(0, clips.shape[:2])
        weights, g = self.gca(y)
        shortcut = b.downsample(x).unflatten(0, clips.shape[:2])
        return F.relu(weights[..., None, None] * y + shortcut), g


class Body(nn.Module):
    """(B, T, 3, H, W) → V (B, 256 · side²), of maps of `side` = H / 32 pixels."""

    def __init__(self, settings: Settings):
        super().__init__()
        side = -(-settings.size // 32)
        self.width = 256 * side * side
        self.stem = nn.Sequential(
            conv3x3(3, 64, 2),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            conv3x3(64, 64),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            block(64, 64, 1),
        )
        self.stages = nn.ModuleList(
            Stage(planes, -(-settings.size // shrink))
            for planes, shrink in zip(STAGES, (8, 16), strict=True)
        )
        self.dynamic = nn.Sequential(block(256, 256, 2), block(256, 256, 1), block(256, 256, 1))
        self.static = nn.Sequential(conv3x3(256, 256, 2), nn.BatchNorm2d(256), nn.ReLU())
        self.pos_static = nn.Parameter(torch.randn(1, side * side, 256))
        self.static_layers = nn.Sequential(*(Layer(256, 4, 32, 256) for _ in range(2)))
        self.pos_embedding = nn.Parameter(torch.randn(1, settings.frames, self.width))
        self.layers = nn.Sequential(*(Layer(self.width, 4, 32, 512) for _ in range(2)))

    def forward(self, clips: Tensor, found: list[Tensor] | None = None) -> Tensor:
        """`found` collects g of each stage, (B, T, C)."""
        x = self.stem(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
        for stage in self.stages:
            x, g = stage(x)
            if found is not None:
                found.append(g)
        dynamic = self.dynamic((x[:, 1:] - x[:, :-1]).flatten(0, 1))
        static = self.static(x[:, :-1].flatten(0, 1)).flatten(2).transpose(1, 2)
        static = self.static_layers(static + self.pos_static).transpose(1, 2)  # (N, 256, side²)
        tokens = (dynamic.flatten(1) + static.flatten(1)).unflatten(0, (clips.shape[0], -1))
        return self.layers(tokens + self.pos_embedding[:, : tokens.shape[1]]).mean(dim=1)


class Head(nn.Module):
    """The classifier of V, and those of the stages, which training alone has a use for."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.linear = nn.Linear(width, classes)
        self.auxiliary = nn.ModuleList(
            nn.Sequential(
                nn.Linear(channels, 2 * channels, bias=False),
                nn.Linear(2 * channels, classes, bias=False),
            )
            for channels in STAGES
        )

    def forward(self, v: Tensor) -> Tensor:
        return self.linear(v)


class IAL(VideoNetwork):
    """GCA blocks, the fusion of dynamic and static maps, a linear classifier."""

    body: Body
    head: Head

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = Body(settings)
        draw_convolutions(self.body)
        self.head = Head(self.body.width, classes)

    def loss(
        self, v: Tensor, labels: Tensor, criterion: Criterion = F.cross_entropy
    ) -> tuple[Tensor, Tensor]:
        loss, logits = super().loss(v, labels, criterion)
        return loss + self.settings.intensity_weight * intensity_aware(logits, labels), logits

    def loss_of_clips(
        self, clips: Tensor, labels: Tensor, criterion: Criterion = F.cross_entropy
    ) -> tuple[Tensor, Tensor]:
        self.check_frames(clips)
        found: list[Tensor] = []
        loss, logits = self.loss(self.body(clips, found), labels, criterion)
        terms = zip(self.settings.auxiliary_weights, self.head.auxiliary, found, strict=True)
        for weight, classifier, g in terms:
            loss = loss + weight * criterion(classifier(g.mean(dim=1)).float(), labels)
        return loss, logits


def intensity_aware(logits: Tensor, labels: Tensor) -> Tensor:
    """L_IAL: logits (B, #class) and class indices (B,) → the mean over clips, ()."""
    right = F.one_hot(labels, logits.shape[1]).bool()
    strongest = logits.masked_fill(right, -torch.inf).amax(dim=1)
    own = torch.where(right, logits, 0.0).sum(dim=1)
    return F.softplus(strongest - own).mean()


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> IAL:
    """See `dfer.models.method.make`."""
    return IAL(settings, len(words))
