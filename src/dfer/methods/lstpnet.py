"""Settings of LSTPNet (`dfer.models.peers.lstpnet`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """Frames of 224 pixels as they are; all else stands in the public code."""

    module: ClassVar[str] = "dfer.models.peers.lstpnet"
    name: ClassVar[str] = "lstpnet"
    size: int = 224
