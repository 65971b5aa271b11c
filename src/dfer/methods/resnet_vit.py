"""Settings of ResNet18-ViT (`dfer.models.peers.resnet_vit`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """The encoder over time, whose sizes are Former-DFER's, and what ResNet18 starts from."""

    module: ClassVar[str] = "dfer.models.peers.resnet_vit"
    name: ClassVar[str] = "resnet_vit"
    layers: int = 3
    heads: int = 8
    mlp_width: int = 1024
    weights: str = ""  # of ResNet18: a name of `dfer.models.pretrained` or a path; "": none

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        if 512 % self.heads:
            return [f"heads: a width of 512 does not divide into {self.heads} of them"]
        return []
