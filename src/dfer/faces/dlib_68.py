"""Landmarks with dlib: HOG face detector and 68-point predictor (Kazemi & Sullivan, CVPR 2014).

Works offline: the predictor's file comes inside the package face-recognition-models. The file is
dedicated to the public domain (CC0), but the data that it was trained on, iBUG 300-W, is for
research only: ask its owners before you use the landmarks in a product.
"""

from importlib.util import find_spec
from pathlib import Path

import cv2
import dlib
import numpy as np

from dfer.errors import UserError
from dfer.faces.track import Backend


class Dlib68(Backend):
    """Detector and predictor; on the CPU, deterministic."""

    searches_parts = True

    def __init__(self) -> None:
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(predictor_file()))

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Find upright, roughly frontal faces, from 80 pixels on; if there is none, from 40 on.

        Args:
            frame: uint8 RGB (H, W, 3).

        Returns:
            float64 (n, 5): x0, y0, x1, y1 in pixels, may reach outside the frame, and the
            detector's score (above 0; larger is surer).
        """
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        for upsample in (0, 1):
            boxes, scores, _ = self._detector.run(grey, upsample, 0.0)
            if boxes:
                break
        return np.array(
            [
                (box.left(), box.top(), box.right(), box.bottom(), score)
                for box, score in zip(boxes, scores, strict=True)
            ],
            dtype=np.float64,
        ).reshape(-1, 5)

    def landmarks(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Place 68 points in the order of the 300-W annotation.

        Args:
            frame: uint8 RGB (H, W, 3).
            box: x0, y0, x1, y1 of a face, as `detect` draws them; more values are ignored.

        Returns:
            float32 (68, 2): x, y in pixels of the frame.
        """
        x0, y0, x1, y1 = (round(float(side)) for side in box[:4])
        # The predictor reads no pixel farther from the face than its side: grey that far is enough.
        far = max(x1 - x0, y1 - y0)
        left = min(max(x0 - far, 0), frame.shape[1] - 1)
        top = min(max(y0 - far, 0), frame.shape[0] - 1)
        part = frame[top : max(y1 + far, top + 1), left : max(x1 + far, left + 1)]
        grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
        rectangle = dlib.rectangle(x0 - left, y0 - top, x1 - left, y1 - top)
        shape = self._predictor(grey, rectangle)
        return np.array(
            [(point.x + left, point.y + top) for point in shape.parts()], dtype=np.float32
        )


def predictor_file() -> Path:
    """The predictor inside face-recognition-models, which is located but never imported:
    importing it fails where setuptools no longer brings pkg_resources."""
    package = find_spec("face_recognition_models")
    if package is None:
        raise UserError(
            "landmarks: the package face-recognition-models, which brings dlib's 68-point "
            "predictor, is not installed. Install it: pip install face-recognition-models"
        )
    folder = Path(package.submodule_search_locations[0])
    return folder / "models" / "shape_predictor_68_face_landmarks.dat"
