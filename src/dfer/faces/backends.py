"""The landmark backends: each by its name in a configuration.

Modules are imported where they are used, so that a stage's code digest can leave out those that its
dataset does not use, and dlib's backend needs no torch.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from dfer.errors import UserError
from dfer.faces.settings import LandmarkSettings
from dfer.faces.track import Backend

# Name → the modules that only this backend uses.
BACKENDS = {
    "dlib": {"dfer.faces.dlib_68"},
    "face_alignment": {"dfer.faces.face_alignment_68", "dfer.faces.face_alignment_settings"},
}


def read_settings(values: Mapping[str, Any]) -> LandmarkSettings:
    """Settings from plain values, as `{"backend": "dlib", "every": 8}`; the rest has its default.

    Raises:
        UserError: an unknown backend or key, or a value out of range.
    """
    backend = values.get("backend")
    match backend:
        case "dlib":
            kind = LandmarkSettings
        case "face_alignment":
            from dfer.faces.face_alignment_settings import FaceAlignmentSettings as kind
        case _:
            raise UserError(
                f"landmark settings: backend is {backend!r}; name one of {', '.join(BACKENDS)}."
            )
    known = [field.name for field in dataclasses.fields(kind)]
    if unknown := sorted(set(values) - set(known)):
        raise UserError(
            f"landmark settings: backend {backend} has no {', '.join(unknown)}. "
            f"It has {', '.join(known)}."
        )
    return kind(**values)


def parse_settings(text: str) -> LandmarkSettings:
    """`read_settings` of one JSON object.

    Raises:
        UserError: not a JSON object; or see `read_settings`.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"landmark settings: not JSON ({error}): {text}") from None
    if not isinstance(values, dict):
        raise UserError(f"landmark settings: a JSON object is expected, not {text}")
    return read_settings(values)


def open_backend(settings: LandmarkSettings) -> Backend:
    """The backend that the settings name."""
    match settings.backend:
        case "dlib":
            from dfer.faces.dlib_68 import Dlib68

            return Dlib68()
        case "face_alignment":
            from dfer.faces.face_alignment_68 import FaceAlignment68

            return FaceAlignment68(settings.detector, settings.weights, settings.device)
    raise ValueError(f"no landmark backend {settings.backend!r}")
