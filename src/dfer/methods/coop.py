"""Settings of CoOp (`dfer.models.peers.coop`)."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Settings:
    """The context that is learnt, and where it stands."""

    module: ClassVar[str] = "dfer.models.peers.coop"
    uses_clip: ClassVar[bool] = True
    name: ClassVar[str] = "coop"
    parts: ClassVar[tuple[str, ...]] = ("context",)
    untrained: ClassVar[tuple[str, ...]] = ("image", "tower")
    frames: int = 8  # T
    context: int = 16  # vectors of context (n)
    init: str = ""  # words that the context begins as, n tokens of them; none: N(0, 0.02²)
    position: Literal["end", "middle", "front"] = "end"  # of the class word
    class_specific: bool = False  # a context for each class
    temperature: float = 0.01  # 1 over CLIP's logit scale

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        return []
