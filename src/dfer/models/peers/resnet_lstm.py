"""ResNet18-LSTM: an LSTM over the features of frames, a baseline of DFEW, FERV39k and MAFW.

    V = h_T,   (h_t, c_t) = LSTM(ResNet18(frame_t), h_{t-1}, c_{t-1})

Printed is neither the width of the LSTM nor what is read of it. One layer of 512 units agrees with
FERV39k's column of parameters and with the 7.78 G that M3DFEL's paper prints (here 7.79 G); the
last step is our reading. Shapes: (B, T, 3, H, W) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from dfer.methods.resnet_lstm import Settings
from dfer.models.peers.resnet18 import WIDTH, ResNet18
from dfer.models.pretrained import load
from dfer.models.video_network import VideoNetwork
from dfer.settings import BackboneSettings


class Body(nn.Module):
    """(B, T, 3, H, W) → the last hidden state (B, 512)."""

    def __init__(self):
        super().__init__()
        self.resnet = ResNet18()
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)

    def forward(self, clips: Tensor) -> Tensor:
        return self.lstm(self.resnet(clips))[0][:, -1]


class ResNetLstm(VideoNetwork):
    """Features of frames, an LSTM, a linear classifier."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        self.body = Body()
        self.head = nn.Linear(WIDTH, classes)

    def start_from(self, backbone: BackboneSettings) -> None:
        if self.settings.weights:
            load(self.body.resnet, self.settings.weights)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> ResNetLstm:
    """See `dfer.models.method.make`."""
    return ResNetLstm(settings, len(words))
