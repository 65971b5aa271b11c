"""Settings of R3D18 and R(2+1)D18 (`dfer.models.peers.r3d`)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """Which network, and what it starts from."""

    module: ClassVar[str] = "dfer.models.peers.r3d"
    name: ClassVar[str] = "r3d"
    network: Literal["r3d18", "r2plus1d18", "r2plus1d18_original"] = "r2plus1d18"
    weights: str = ""  # from scratch; else of Kinetics: see `dfer.models.pretrained`

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        if self.weights and self.network == "r2plus1d18_original":
            return ["weights: torchvision's do not fit r2plus1d18_original; leave them out"]
        return []
