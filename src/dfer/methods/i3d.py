"""Settings of I3D on RGB frames (`dfer.models.peers.i3d`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """I3D has no more than its frames."""

    module: ClassVar[str] = "dfer.models.peers.i3d"
    name: ClassVar[str] = "i3d"
    size: int = 224  # pixels a side; the printed 6.99 G are those of 112
