"""C3D: eight 3×3×3 convolutions, five pools, three linear layers.

Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015; with the
batch norm behind every convolution that DFEW's authors added.

    64 | 128 | 256, 256 | 512, 512 | 512, 512 |      a bar: max pool 2, the first of one frame
    V = ReLU(4096 of ReLU(4096 of the flat map)),   dropout 0.5 behind both

The first linear layer is of the map's size, so a trained run takes clips of no other T and size.
Pools keep what is left over at a border, which at 16×112 nothing is: so short clips pass. Shapes:
(B, T, 3, H, W) → V (B, 4096) → (B, #class).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.ops.misc import Conv3dNormActivation

from dfer.methods.c3d import Settings
from dfer.models.peers.cnn3d import Cnn3d
from dfer.models.peers.pooling import MaxPool3d

GROUPS = ((64,), (128,), (256, 256), (512, 512), (512, 512))
POOLS = (((1, 2, 2), 0), (2, 0), (2, 0), (2, 0), (2, (0, 1, 1)))  # size and padding


def map_size(frames: int, size: int) -> int:
    """Numbers of a clip's last map: 512·1·4·4 at 16×112."""
    side = -(-size // 16) // 2 + 1  # four pools, and the padded one
    return 512 * -(-frames // 16) * side**2


class C3d(Cnn3d):
    """Convolutions and two linear layers; the third is the head."""

    def __init__(self, settings: Settings, classes: int):
        super().__init__()
        self.settings = settings
        layers, width = [], 3
        for widths, (pool, padding) in zip(GROUPS, POOLS, strict=True):
            for wider in widths:
                layers.append(Conv3dNormActivation(width, wider, bias=True))
                width = wider
            layers.append(MaxPool3d(pool, padding=padding, ceil_mode=True))
        self.body = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(map_size(settings.frames, settings.size), 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(4096, classes)


def make(
    settings: Settings, architecture: Mapping[str, Any], words: Sequence[str], text: Tensor
) -> C3d:
    """See `dfer.models.method.make`."""
    return C3d(settings, len(words))
