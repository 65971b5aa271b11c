"""VGG13-LSTM, the network that Freq-HD selects frames for (`dfer.clips.freq_hd`).

Tao et al., "Freq-HD: An Interpretable Frequency-based High-Dynamics Affective Clip Selection
Method for in-the-Wild Facial Expression Recognition in Videos", ACM MM 2023.

    V = h_T of an LSTM of 256 units over fc7(frame_1) … fc7(frame_T), 4096 each

Inferred: the public code has the selection alone, and these sizes are those that agree with the
133 M parameters that FERV39k prints for its VGG13-LSTM. Shapes: (B, T, 3, H, W) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.models import vgg13

from dfer.methods.freq_hd import Settings
from dfer.models.peers.pooling import AdaptiveMean
from dfer.models.pretrained import load
from dfer.models.video_network import VideoNetwork
from dfer.settings import BackboneSettings


class Body(nn.Module):
    """(B, T, 3, H, W) → the last hidden state (B, 256)."""

    def __init__(self):
        super().__init__()
        self.vgg = vgg13()
        self.vgg.avgpool = AdaptiveMean(7)
        self.vgg.classifier[-1] = nn.Identity()  # torchvision's names, less the last layer's
        self.lstm = nn.LSTM(4096, 256, batch_first=True)

    def forward(self, clips: Tensor) -> Tensor:
        frames = self.vgg(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
        return self.lstm(frames)[0][:, -1]


class VggLstm(VideoNetwork):
    """VGG13 of frames, an LSTM, a linear classifier."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = Body()
        self.head = nn.Linear(256, classes)

    def start_from(self, backbone: BackboneSettings) -> None:
        if self.settings.weights:
            load(self.body.vgg, self.settings.weights)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> VggLstm:
    """See `dfer.models.method.make`."""
    return VggLstm(settings, len(words))
