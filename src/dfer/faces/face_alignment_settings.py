"""Settings of the backend `face_alignment`, apart from its networks, which need torch."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from dfer.errors import UserError
from dfer.faces.settings import LandmarkSettings

DETECTORS = ("sfd", "retinaface", "blazeface", "yunet", "scrfd")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class FaceAlignmentSettings(LandmarkSettings):
    """The package face-alignment: a neural detector and the 2D-FAN-4 landmark network."""

    detector: str = "sfd"  # one of DETECTORS
    # Weight files for machines without internet: {"landmarks": path, "detector": path}, and
    # "anchors" for blazeface. A file that is not named is downloaded once, into torch's cache.
    weights: dict[str, str] = dataclasses.field(default_factory=dict)
    device: str = "auto"  # one of DEVICES; auto: the GPU if there is one

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        _check_choice("detector", self.detector, DETECTORS)
        _check_choice("device", self.device, DEVICES)
        _check_weights(self.detector, self.weights)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(
            f"landmark settings: {name} is {value!r}; name one of {', '.join(choices)}."
        )


def _check_weights(detector: str, weights: Any) -> None:
    keys = ["landmarks", "detector"] + ["anchors"] * (detector == "blazeface")
    good = isinstance(weights, dict) and all(isinstance(path, str) for path in weights.values())
    if not good or set(weights) - set(keys):
        raise UserError(
            f"landmark settings: weights is {weights!r}; give paths under the keys "
            f"{', '.join(keys)} (detector {detector} takes no other), or leave it out."
        )
    if ("anchors" in weights) != ("detector" in weights) and detector == "blazeface":
        raise UserError(
            "landmark settings: blazeface's detector and anchors belong together: give the paths "
            "of both, or of none."
        )
