"""Settings of P3D-63 (`dfer.models.peers.p3d`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """P3D has no more than its frames."""

    module: ClassVar[str] = "dfer.models.peers.p3d"
    name: ClassVar[str] = "p3d"
    size: int = 160  # pixels a side

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        return ["frames: P3D's first pool takes pairs, so 2 or more"] if self.frames < 2 else []
