"""ResNet18 of frames: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016."""

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

WIDTH = 512  # of a frame's feature


class ResNet18(ResNet):
    """torchvision's, less its classifier: frames (B, T, 3, H, W) → features (B, T, 512)."""

    def __init__(self):
        super().__init__(BasicBlock, [2, 2, 2, 2])
        self.fc = nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        return super().forward(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])


def draw_convolutions(network: nn.Module) -> None:
    """Draw 2-D convolutions anew as torchvision's ResNet does: He et al., fan-out."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
