"""Landmarks with the package face-alignment: 2D-FAN-4 (Bulat & Tzimiropoulos, ICCV 2017).

Networks, pre- and postprocessing are the package's own. Only the weights are loaded here: from
given paths, else from torch's cache (`$TORCH_HOME/hub/checkpoints`), else downloaded into it; they
are never unpickled (`torch.load(weights_only=True)`).

All its neural detectors are offered: sfd (the package's default), retinaface, blazeface, which
looks only at the square in the middle of a frame, and two in ONNX: yunet, which OpenCV runs on the
CPU, and scrfd, which needs the package onnxruntime. Its two others are left out: dlib's is
deprecated there (the backend `dlib` has it), and "folder" reads boxes from files.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from face_alignment import FaceAlignment, LandmarksType
from face_alignment.api import CENTER_Y_OFFSET, models_urls
from face_alignment.models import FAN
from face_alignment.utils import crop, flip, get_preds_fromhm, load_file_from_url

from dfer.errors import UserError
from dfer.faces.track import Backend

GPU_BATCH = 32  # faces at a time, 256² pixels each; on a CPU one alone keeps its cores as busy

# Detector → key of its weights among the addresses in its module.
_WEIGHTS = {
    "sfd": "s3fd",
    "retinaface": "retinaface_mobilenet0.25",
    "blazeface": "blazeface_weights",
}
# Detector in ONNX, whose module has one address → the package's name for its file in the cache.
_ONNX = {"yunet": "face_detection_yunet_2023mar.onnx", "scrfd": "scrfd_2.5g_bnkps.onnx"}


class FaceAlignment68(Backend):
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

    # `searches_parts` it has not: some detectors bring what they are given to one size.

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
        self.batch = GPU_BATCH if torch.device(device).type == "cuda" else 1

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
        return self.landmarks_of([frame], [box])[0]

    @torch.no_grad()
    def landmarks_of(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """`landmarks` of each frame and its box, which go through the network together.

        As the package's `get_landmarks_from_image`, which takes several faces but one image.
        """
        network = self._network
        places = [_place(box, network.face_detector.reference_scale) for box in boxes]
        parts = [crop(frame, *at) for frame, at in zip(frames, places, strict=True)]
        faces = np.stack([part.transpose(2, 0, 1) for part in parts]).astype(np.float32) / 255.0
        faces = torch.from_numpy(faces).to(network.device, dtype=network.dtype)
        heat = network.face_alignment_net(faces)[-1]  # of the last of four stacked networks
        heat += flip(network.face_alignment_net(flip(faces))[-1], is_label=True)
        heat = heat.to("cpu", torch.float32).numpy()
        return [
            get_preds_fromhm(heat[number : number + 1], *at)[1].reshape(68, 2).astype(np.float32)
            for number, at in enumerate(places)
        ]


def _place(box: np.ndarray, reference: float) -> tuple[np.ndarray, float]:
    """Centre and scale of what the network sees of a face, as the package takes them."""
    x0, y0, x1, y1 = box[:4]
    centre = np.array([x1 - (x1 - x0) / 2.0, y1 - (y1 - y0) / 2.0])
    centre[1] -= (y1 - y0) * CENTER_Y_OFFSET
    return centre, (x1 - x0 + y1 - y0) / reference


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
