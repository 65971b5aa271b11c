"""Settings of the 3D ResNet18 (`dfer.models.peers.resnet3d`)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """Its shortcuts, and whether EC-STFL's term is part of its loss."""

    module: ClassVar[str] = "dfer.models.peers.resnet3d"
    name: ClassVar[str] = "resnet3d"
    shortcut: Literal["A", "B"] = "B"  # between stages: subsampling and zeros, or a convolution
    ec_stfl: float = 0.0  # λ of EC-STFL's term, 10 in its paper; 0: cross-entropy alone
