"""Settings of GCA+IAL (`dfer.models.peers.ial`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """Weights of the terms of the loss beside the cross-entropy, as the public code has them."""

    module: ClassVar[str] = "dfer.models.peers.ial"
    name: ClassVar[str] = "ial"
    intensity_weight: float = 0.1  # λ of L_IAL
    auxiliary_weights: tuple[float, float] = (0.05, 0.0)  # of the classifiers of stages 2 and 3

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        return ["frames: differences of frames need two"] if self.frames < 2 else []
