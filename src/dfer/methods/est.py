"""Settings of EST (`dfer.models.peers.est`)."""

from dataclasses import dataclass
from typing import ClassVar

from dfer.video_settings import VideoSettings


@dataclass(frozen=True)
class Settings(VideoSettings):
    """How many frames a snippet has, the weight of the order, and what ResNet18 starts from."""

    module: ClassVar[str] = "dfer.models.peers.est"
    name: ClassVar[str] = "est"
    snippets: ClassVar[int] = 7  # which the ten orders are of
    frames: int = 35  # those of the first snippet, then those of the second, …
    size: int = 224
    order_weight: float = 0.1428  # of the cross-entropy of the order, 1 / 7 in the public code
    weights: str = ""  # of ResNet18: a name of `dfer.models.pretrained` or a path; "": none

    @property
    def per_snippet(self) -> int:
        """Frames of a snippet."""
        return self.frames // self.snippets

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        if self.frames < 1 or self.frames % self.snippets:
            return [f"frames: {self.snippets} snippets need a multiple of {self.snippets}"]
        return []
