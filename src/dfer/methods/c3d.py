"""Settings of C3D (`dfer.models.peers.c3d`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """C3D has no more than its frames."""

    module: ClassVar[str] = "dfer.models.peers.c3d"
    name: ClassVar[str] = "c3d"
