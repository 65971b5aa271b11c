"""Settings of CLIPER (`dfer.models.peers.cliper`)."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Settings:
    """How many texts a class has, and how long they are."""

    module: ClassVar[str] = "dfer.models.peers.cliper"
    uses_clip: ClassVar[bool] = True
    name: ClassVar[str] = "cliper"
    parts: ClassVar[tuple[str, ...]] = ("image", "context")
    untrained: ClassVar[tuple[str, ...]] = ("tower",)
    frames: int = 8  # T
    subclasses: int = 5  # texts of a class (K)
    context: int = 4  # learnable tokens of a text (M)
    temperature: float = 0.01

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        return []
