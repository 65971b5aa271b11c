"""What the settings of networks without CLIP share: the frames they take, weights they start from.

Which weights are pinned is said here and not beside the code that reads them, so that the workflow
knows their files without torch.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

PIXELS = {  # mean and standard deviation of each RGB channel, in 0…1
    "plain": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "kinetics": ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
}

WEIGHTS = "results/weights"  # where pinned files lie


class Pinned(NamedTuple):
    """Weights that torchvision publishes."""

    file: str  # its name, also below torchvision's address
    sha256: str
    of: str

    @property
    def path(self) -> str:
        """Where it lies, relative to where the workflow runs."""
        return f"{WEIGHTS}/{self.file}"


PINNED = {
    "imagenet_resnet18": Pinned(
        "resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        "ResNet18 on ImageNet",
    ),
    "kinetics_r3d18": Pinned(
        "r3d_18-b3b3357e.pth",
        "b3b3357ead25631ec9c57362ff2128a92d0427e01e2cd184951a44380c3f2e9d",
        "R3D18 on Kinetics-400",
    ),
    "kinetics_r2plus1d18": Pinned(
        "r2plus1d_18-91a641e6.pth",
        "91a641e6c2ab531d1aca5f4321b4d802ec5c3babc15df855cdb6e39c6a1107c8",
        "R(2+1)D18 on Kinetics-400",
    ),
}


def weights_file(weights: str) -> str:
    """The path of weights that settings name, of `PINNED` or by their path."""
    return PINNED[weights].path if weights in PINNED else weights


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
