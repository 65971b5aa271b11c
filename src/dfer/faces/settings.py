"""How faces are found and landmarks placed, as typed values.

The backend is named in the settings; it never depends on what happens to be installed.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

from dfer.files import UserError

DETECTORS = ("sfd", "retinaface", "blazeface", "yunet", "scrfd")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class DlibSettings:
    """dlib's HOG detector and 68-point predictor; needs no download."""

    backend: Literal["dlib"] = "dlib"
    every: int = 8  # detect in every n-th frame, carry the box between
    min_face_share: float = 0.3  # reject a clip that shows a face in a smaller share of its frames


@dataclass(frozen=True)
class FaceAlignmentSettings:
    """The package face-alignment: a neural detector and the 2D-FAN-4 landmark network."""

    backend: Literal["face_alignment"] = "face_alignment"
    every: int = 8
    min_face_share: float = 0.3
    detector: str = "sfd"  # one of DETECTORS
    # Weight files for machines without internet: {"landmarks": path, "detector": path}, and
    # "anchors" for blazeface. A file that is not named is downloaded once, into torch's cache.
    weights: dict[str, str] = dataclasses.field(default_factory=dict)
    device: str = "auto"  # one of DEVICES; auto: the GPU if there is one


LandmarkSettings = DlibSettings | FaceAlignmentSettings


def parse(text: str) -> LandmarkSettings:
    """Settings from one JSON object, as `{"backend": "dlib", "every": 8}`.

    Raises:
        UserError: not JSON, an unknown backend or key, or a value out of range.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"landmark settings: not JSON ({error}): {text}") from None
    if not isinstance(values, dict):
        raise UserError(f"landmark settings: a JSON object is expected, not {text}")
    return from_dict(values)


def from_dict(values: dict[str, Any]) -> LandmarkSettings:
    """Settings from plain values; what is left out has its default.

    Raises:
        UserError: an unknown backend or key, or a value out of range.
    """
    classes = {"dlib": DlibSettings, "face_alignment": FaceAlignmentSettings}
    backend = values.get("backend")
    if backend not in classes:
        raise UserError(
            f"landmark settings: backend is {backend!r}; name one of {', '.join(classes)}."
        )
    known = [field.name for field in dataclasses.fields(classes[backend])]
    if unknown := sorted(set(values) - set(known)):
        raise UserError(
            f"landmark settings: backend {backend} has no {', '.join(unknown)}. "
            f"It has {', '.join(known)}."
        )
    settings = classes[backend](**values)
    _check(settings)
    return settings


def _check(settings: LandmarkSettings) -> None:
    every, share = settings.every, settings.min_face_share
    if type(every) is not int or every < 1:
        raise UserError(f"landmark settings: every is {every!r}; give a whole number from 1 on.")
    if type(share) not in (int, float) or not 0 < share <= 1:
        raise UserError(
            f"landmark settings: min_face_share is {share!r}; give a share above 0, at most 1."
        )
    if isinstance(settings, FaceAlignmentSettings):
        _check_choice("detector", settings.detector, DETECTORS)
        _check_choice("device", settings.device, DEVICES)
        _check_weights(settings.detector, settings.weights)


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
