"""What the settings of all networks without CLIP share: the frames that they take."""

from dataclasses import dataclass
from typing import ClassVar, Literal

PIXELS = {  # mean and standard deviation of each RGB channel, in 0…1
    "plain": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "kinetics": ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
}


@dataclass(frozen=True)
class VideoSettings:
    """Settings of a network that starts from no CLIP, and reads no text."""

    uses_clip: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ("body", "head")  # all but the classifier; the classifier
    untrained: ClassVar[tuple[str, ...]] = ()
    frames: int = 16  # T
    size: int = 112  # pixels a side
    pixels: Literal["plain", "imagenet", "kinetics"] = "plain"  # how they are normalised

    def faults(self, words: tuple[str, ...]) -> list[str]:
        """What does not go together, for classes with these words."""
        return []
