"""M3DFEL: a clip is a bag of short instances, of which some show the expression.

Wang et al., "Rethinking the Learning Paradigm for Dynamic Facial Expression Recognition", CVPR
2023.

    x_i = R3D18 of the frames of instance i                            i = 1 … I
    h   = Bi-LSTM(x_1 … x_I), two layers
    a   = multi-head attention between the h_i, without output projection
    g   = DMIN(a), V = Conv1d(h ⊙ sigmoid(g)), which takes the I instances as its channels

DMIN ("dynamic multi-instance normalisation") normalises with mean and variance over instances, μ_d
and σ²_d of each of the D numbers, and with those over all numbers of the bag, both mixed by learnt
weights:

    μ = w_1 μ_d + w_2 μ_bag,   σ² = u_1 σ²_d + u_2 σ²_bag,   w, u: softmax of two parameters
    μ_bag = mean μ_d,   σ²_bag = mean(σ²_d + μ_d²) − μ_bag²

The authors start from R3D18 trained on Kinetics. The 1.65 G that they print leave out its 3-D
convolutions: it is 43.2 G. Shapes: (B, T, 3, H, W) → V (B, 1024) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.video import r3d_18

from dfer.methods.m3dfel import Settings
from dfer.models.pretrained import load
from dfer.models.video_network import VideoNetwork
from dfer.settings import BackboneSettings


class Dmin(nn.Module):
    """Dynamic multi-instance normalisation: (B, I, D) → (B, I, D)."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.mean_weight = nn.Parameter(torch.ones(2))
        self.var_weight = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True)  # (B, 1, D)
        bag_mean = mean.mean(dim=2, keepdim=True)
        bag_var = (var + mean**2).mean(dim=2, keepdim=True) - bag_mean**2
        w, u = self.mean_weight.softmax(dim=0), self.var_weight.softmax(dim=0)
        mean, var = w[0] * mean + w[1] * bag_mean, u[0] * var + u[1] * bag_var
        return (x - mean) / (var + 1e-5).sqrt() * self.weight + self.bias


class Bag(nn.Module):
    """All before the classifier: (B, T, 3, H, W) → (B, 1024)."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.instances, self.heads = settings.instances, settings.heads
        self.r3d18 = r3d_18()
        self.r3d18.fc = nn.Identity()
        self.lstm = nn.LSTM(512, 512, num_layers=2, batch_first=True, bidirectional=True)
        self.qkv = nn.Linear(1024, 3 * 1024, bias=False)
        self.norm = Dmin(1024)
        self.conv = nn.Conv1d(self.instances, 1, 3, padding=1)

    def forward(self, clips: Tensor) -> Tensor:
        instances = clips.unflatten(1, (self.instances, -1)).flatten(0, 1)
        x = self.r3d18(instances.transpose(1, 2))
        h, _ = self.lstm(x.unflatten(0, (-1, self.instances)))  # (B, I, 1024)
        gate = self.norm(self.attend(h)).sigmoid()
        return self.conv(h * gate)[:, 0]

    def attend(self, h: Tensor) -> Tensor:
        """Attention between instances: (B, I, D) → (B, I, D)."""
        q, k, v = self.qkv(h).unflatten(-1, (3, self.heads, -1)).unbind(2)
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # (B, heads, I, d)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return (weights @ v).transpose(1, 2).flatten(2)


class M3dfel(VideoNetwork):
    """The bag's feature, and a linear classifier."""

    body: Bag

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = Bag(settings)
        self.head = nn.Linear(1024, classes)

    def start_from(self, backbone: BackboneSettings) -> None:
        """Take Kinetics' weights, if the settings name some."""
        if self.settings.weights:
            load(self.body.r3d18, self.settings.weights)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> M3dfel:
    """See `dfer.models.method.make`."""
    return M3dfel(settings, len(words))
