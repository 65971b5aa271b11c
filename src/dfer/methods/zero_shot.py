"""Settings of zero-shot CLIP (`dfer.models.peers.zero_shot`)."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Settings:
    """Which words CLIP reads; nothing is trained."""

    module: ClassVar[str] = "dfer.models.peers.zero_shot"
    uses_clip: ClassVar[bool] = True
    name: ClassVar[str] = "zero_shot"
    parts: ClassVar[tuple[str, ...]] = ()
    untrained: ClassVar[tuple[str, ...]] = ("image",)
    frames: int = 8  # T
    # What stands for a class, {word} being its word. Of several the features are averaged.
    templates: tuple[str, ...] = ("an expression of {word}.",)
    temperature: float = 0.01  # 1 over CLIP's logit scale

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        blind = [template for template in self.templates if "{word}" not in template]
        return [f"templates: {template!r} has no {{word}}" for template in blind] + (
            [] if self.templates else ["templates: name at least one"]
        )
