"""A trained run of fixed weights, and videos: a face of twelve seconds, and ones without use."""

import numpy as np
import pytest
from numbered import encode
from skimage import data
from small_run import small_run

from dfer.models.checkpoint import save_run

FACE = data.astronaut()[0:200, 130:330]
LANDMARKS = {"backend": "dlib", "every": 4, "min_face_share": 0.3}


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    save_run(small_run(landmarks=LANDMARKS), folder / "checkpoint.safetensors")
    return folder


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """A folder with face.mp4 (10 s, three windows), blank.mp4, long.mp4 (40 s), broken.mp4."""
    folder = tmp_path_factory.mktemp("videos")
    light = np.linspace(0.7, 1, 40)[:, None, None, None]
    encode(folder / "face.mp4", (FACE * light).astype(np.uint8), rate=4)
    encode(folder / "blank.mp4", np.full((8, 96, 96, 3), 120, np.uint8), rate=4)
    encode(folder / "long.mp4", np.full((40, 96, 96, 3), 120, np.uint8), rate=1)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder
