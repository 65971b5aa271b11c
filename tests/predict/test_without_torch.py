"""`dfer predict --onnx` where torch cannot be imported: the same predictions as with it."""

import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from packages import write_run
from test_predict import scene, write_video

from dfer.predict import __main__ as command

# Torch and all that needs it raise as they do where they are not installed.
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "open_clip", "timm", "onnxscript"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""
PREDICT = (
    BLOCKED
    + """
sys.argv[0] = "dfer"
from dfer.__main__ import main
try:
    main(["predict", *sys.argv[1:]])
finally:
    assert "torch" not in sys.modules
"""
)
LOAD = (
    BLOCKED
    + """
import dfer
for source in sys.argv[2:]:
    model = dfer.load(source, onnx=True)
    found = model.predict(sys.argv[1])
    print(model.classes[0], *found.filter(like="probability").to_numpy().ravel().tolist())
"""
)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", [scene(n) for n in range(30)])


def without_torch(program, *words):
    command = [sys.executable, "-W", "ignore", "-c", program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def probabilities(table):
    return table.filter(like="probability_").to_numpy()


def test_it_predicts_as_with_torch(onnx_package, video, tmp_path):
    windows = ["--window", "1.5", "--stride", "1"]
    words = ["--run", str(onnx_package), *windows, "--out", str(tmp_path / "torch.csv"), str(video)]
    command.main(command.parser().parse_args(words))
    onnx = ["--onnx", onnx_package / "model.onnx", *windows, "--out", tmp_path / "onnx.csv", video]
    done = without_torch(PREDICT, *onnx)
    assert done.returncode == 0, done.stderr
    assert "trained on mine, fold 1, seed 0: happy, sad, neutral" in done.stdout
    expected, found = (pd.read_csv(tmp_path / name) for name in ("torch.csv", "onnx.csv"))
    assert len(expected) == 3 and expected.columns.equals(found.columns)
    same = ["file", "window", "start_s", "end_s", "label", "face_share"]
    pd.testing.assert_frame_equal(found[same], expected[same])
    np.testing.assert_allclose(probabilities(found), probabilities(expected), atol=1e-4)
    assert np.ptp(probabilities(expected), axis=0).max() > 1e-3  # windows differ


def test_the_graph_is_found_in_a_folder_and_in_a_zip(onnx_package, video, tmp_path):
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        for file in onnx_package.iterdir():
            archive.write(file, file.name)
    sources = [onnx_package / "model.onnx", onnx_package, tmp_path / "package.zip"]
    done = without_torch(LOAD, video, *sources)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and len(set(lines)) == 1 and lines[0].startswith("happy 0.")


def test_what_needs_torch_says_so(onnx_package, video, tmp_path):
    done = without_torch(PREDICT, "--run", onnx_package, video)
    assert done.returncode == 1 and "torch cannot be imported" in done.stderr
    done = without_torch(PREDICT, "--onnx", onnx_package, "--out-strips", tmp_path, video)
    assert done.returncode == 1 and "heat maps need gradients" in done.stderr
    networks = '{"backend": "face_alignment"}'
    done = without_torch(PREDICT, "--onnx", onnx_package, "--landmark-settings", networks, video)
    assert done.returncode == 1 and "face_alignment cannot be imported" in done.stderr
    assert "let dlib find the faces" in done.stderr


def test_a_run_that_was_not_exported_says_how(video, tmp_path):
    done = without_torch(PREDICT, "--onnx", write_run(tmp_path / "run"), video)
    assert done.returncode == 1 and "dfer export" in done.stderr
