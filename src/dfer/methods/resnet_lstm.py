"""Settings of ResNet18-LSTM (`dfer.models.peers.resnet_lstm`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """What ResNet18 starts from."""

    module: ClassVar[str] = "dfer.models.peers.resnet_lstm"
    name: ClassVar[str] = "resnet_lstm"
    weights: str = ""  # of ResNet18: a name of `dfer.models.pretrained` or a path; "": none
