"""Settings of DFER-CLIP (`dfer.models.peers.dfer_clip`)."""

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Settings:
    """The temporal model, the context, and what is said of each class."""

    module: ClassVar[str] = "dfer.models.peers.dfer_clip"
    uses_clip: ClassVar[bool] = True
    name: ClassVar[str] = "dfer_clip"
    parts: ClassVar[tuple[str, ...]] = ("image", "temporal", "context")
    untrained: ClassVar[tuple[str, ...]] = ("tower",)
    frames: int = 8  # T
    temporal_layers: int = 1  # 0: without the temporal model, the mean over frames
    heads: int = 8  # of the temporal model
    head_width: int = 64
    mlp_width: int = 1024
    positions: int = 17  # rows of its positional embedding, of which T + 1 are used
    context: int = 8  # vectors of context, for each class its own
    descriptors: dict[str, str] = field(default_factory=dict)  # class word → what is read for it
    temperature: float = 0.01

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        found = [
            f"descriptors: none of the class word {word!r}; describe its face"
            for word in words
            if not self.descriptors.get(word, "").strip()
        ]
        if self.temporal_layers and self.frames >= self.positions:
            found.append(f"positions: {self.frames} frames need {self.frames + 1} of them")
        return found
