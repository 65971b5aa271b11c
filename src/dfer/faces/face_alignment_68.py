"""Landmarks with the package face-alignment: 2D-FAN-4 (Bulat & Tzimiropoulos, ICCV 2017).

Networks, pre- and postprocessing are the package's own. Only the weights are loaded here: from
given paths, else from torch's cache (`$TORCH_HOME/hub/checkpoints`), else downloaded into it; they
are never unpickled (`torch.load(weights_only=True)`).

All its neural detectors are offered: sfd (the package's default), retinaface, blazeface, which
looks only at the square in the middle of a frame, and two in ONNX: yunet, which OpenCV runs on the
CPU, and scrfd, which needs the package onnxruntime. Its two others are left out: dlib's is
deprecated there (the backend `dlib` has it), and "folder" reads boxes from files.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from face_alignment import FaceAlignment, LandmarksType
from face_alignment.api import models_urls
from face_alignment.models import FAN
from face_alignment.utils import load_file_from_url

from dfer.errors import UserError

# Detector → key of its weights among the addresses in its module.
_WEIGHTS = {
    "sfd": "s3fd",
    "retinaface": "retinaface_mobilenet0.25",
    "blazeface": "blazeface_weights",
}
# Detector in ONNX, whose module has one address → the package's name for its file in the cache.
_ONNX = {"yunet": "face_detection_yunet_2023mar.onnx", "scrfd": "scrfd_2.5g_bnkps.onnx"}


class FaceAlignment68:
    """Detector and landmark network.

    Args:
        detector: "sfd", "retinaface", "blazeface", "yunet" or "scrfd".
        weights: paths under "landmarks", "detector" and (blazeface only) "anchors"; those left out
            are taken from torch's cache or downloaded.
        device: "cpu", "cuda", or "auto": the GPU if there is one.

    Raises:
        UserError: weights are neither given nor cached and cannot be downloaded, a given file does
            not exist or does not hold the weights of this network, or there is no GPU.
    """

    def __init__(self, detector: str, weights: Mapping[str, str], device: str) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("landmarks: device is cuda, but torch finds no GPU. Set it to auto.")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        files = detector_files(detector, weights)
        landmarks = weights_file("landmarks", weights, models_urls["2DFAN-4"])
        with _fits(*files.values()):
            self._network = _FaceAlignment(
                landmarks, device=device, face_detector=detector, face_detector_kwargs=files
            )
        torch.backends.cudnn.benchmark = False  # the package turns it on; runs would differ

    def detect(self, frame: np.ndarray) -> np.ndarray:
        """Find faces.

        Args:
            frame: uint8 RGB (H, W, 3).

        Returns:
            float64 (n, 5): x0, y0, x1, y1 in pixels, may reach outside the frame, and the
            detector's score, 0 … 1.
        """
        boxes = self._network.face_detector.detect_from_image(frame.copy())
        rows = [box for box in boxes if len(box)]  # blazeface says "none" by one empty box
        return np.array(rows, dtype=np.float64).reshape(-1, 5)

    def landmarks(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Place 68 points in the order of the 300-W annotation.

        Args:
            frame: uint8 RGB (H, W, 3).
            box: x0, y0, x1, y1 of a face, as `detect` draws them; more values are ignored.

        Returns:
            float32 (68, 2): x, y in pixels of the frame.
        """
        return self._network.get_landmarks_from_image(frame, [box[:4]])[0].astype(np.float32)


class _FaceAlignment(FaceAlignment):
    """The package's class with its landmark weights from a path."""

    def __init__(self, landmark_weights: str, **settings: object) -> None:
        self._landmark_weights = landmark_weights
        super().__init__(LandmarksType.TWO_D, compile=False, **settings)

    def _load_native(
        self, network_name: str, network_size: int, device: str, dtype: torch.dtype
    ) -> torch.nn.Module:
        network = FAN(network_size)
        with _fits(self._landmark_weights):
            state = torch.load(self._landmark_weights, map_location="cpu", weights_only=True)
            network.load_state_dict(state)
        return network.to(device, dtype=dtype).eval()


def detector_files(detector: str, weights: Mapping[str, str]) -> dict[str, str]:
    """The detector's weight files as arguments of the package's class."""
    module = import_module(f"face_alignment.detection.{detector}.{detector}_detector")
    if detector in _ONNX:
        name = _ONNX[detector]
        return {"path_to_detector": weights_file("detector", weights, module.model_url, name)}
    url = module.models_urls[_WEIGHTS[detector]]
    files = {"path_to_detector": weights_file("detector", weights, url)}
    if detector == "blazeface":
        url = module.models_urls["blazeface_anchors"]
        files["path_to_anchor"] = weights_file("anchors", weights, url)
    return files


def weights_file(key: str, weights: Mapping[str, str], url: str, name: str | None = None) -> str:
    """The path given in `weights[key]`, or that of the cached or downloaded file.

    Args:
        name: of the file in the cache; None: as in the address.

    Raises:
        UserError: the given file does not exist, or there is none and no network.
    """
    if key in weights:
        if not Path(weights[key]).is_file():
            raise UserError(
                f"landmarks: weights.{key} is {weights[key]}, and there is no such file. "
                f"Download it from {url}."
            )
        return weights[key]
    try:
        return load_file_from_url(url, progress=False, file_name=name)
    except OSError as error:
        raise UserError(
            f"landmarks: the weights {url} are not in torch's cache and cannot be downloaded "
            f"({error}). On a machine without internet, bring the file and give its path as "
            f"`weights: {{{key}: path}}` in the landmark settings."
        ) from error


@contextmanager
def _fits(*files: str) -> Iterator[None]:
    """Turn the errors of loading weights into one that names the files."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:  # scrfd without onnxruntime
        raise UserError(f"landmarks: {error}") from error
    except Exception as error:  # of torch, pickle, zip, OpenCV, onnxruntime
        raise UserError(
            f"landmarks: {' and '.join(files)} does not hold the weights of this network "
            f"({type(error).__name__}). Name the right file in the landmark settings' `weights`; "
            "if it was downloaded, delete it and run again."
        ) from error
