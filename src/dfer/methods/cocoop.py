"""Settings of CoCoOp (`dfer.models.peers.cocoop`)."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Settings:
    """The context that is learnt, and the meta-net that shifts it."""

    module: ClassVar[str] = "dfer.models.peers.cocoop"
    uses_clip: ClassVar[bool] = True
    name: ClassVar[str] = "cocoop"
    parts: ClassVar[tuple[str, ...]] = ("context", "meta_net")
    untrained: ClassVar[tuple[str, ...]] = ("image", "tower")
    frames: int = 8  # T
    context: int = 4  # vectors of context (n)
    init: str = "a photo of a"  # words that the context begins as; none: N(0, 0.02²)
    reduction: int = 16  # the meta-net's hidden width is D / this
    temperature: float = 0.01  # 1 over CLIP's logit scale

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        return []
