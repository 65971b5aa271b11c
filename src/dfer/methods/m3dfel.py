"""Settings of M3DFEL (`dfer.models.peers.m3dfel`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """How a clip is divided, and what its 3-D network starts from."""

    module: ClassVar[str] = "dfer.models.peers.m3dfel"
    name: ClassVar[str] = "m3dfel"
    instances: int = 4  # of a clip, T / instances frames each
    heads: int = 8  # of the attention between instances
    weights: str = ""  # from scratch; else of R3D18 on Kinetics: see `dfer.models.pretrained`

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        if self.instances < 2:
            return ["instances: 2 or more, as M3DFEL takes their variance"]
        if self.frames % self.instances:
            return [f"frames: {self.frames} do not divide into {self.instances} instances"]
        return []
