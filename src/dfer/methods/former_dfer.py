"""Settings of Former-DFER (`dfer.models.peers.former_dfer`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """Frames of 112 pixels as they are; all else stands in the public code."""

    module: ClassVar[str] = "dfer.models.peers.former_dfer"
    name: ClassVar[str] = "former_dfer"
