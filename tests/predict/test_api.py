"""`import dfer`: a trained run as an object gives what the command writes."""

import numpy as np
import pandas as pd
import pytest
import torch
from numbered import encode
from skimage import data
from small_run import small_run

import dfer
from dfer.errors import UserError
from dfer.faces.dlib_68 import Dlib68
from dfer.models.checkpoint import save_run
from dfer.predict import __main__ as command
from dfer.predict import run as run_module
from dfer.settings import RunSettings

FACE = data.astronaut()[0:200, 130:330]


@pytest.fixture(scope="module")
def backend():
    return Dlib68()


@pytest.fixture
def run(tmp_path, backend, monkeypatch):
    """The folder of a run."""
    monkeypatch.setattr(run_module, "open_backend", lambda settings: backend)
    save_run(small_run(), tmp_path / "run/checkpoint.safetensors")
    return tmp_path / "run"


@pytest.fixture
def frames():
    light = np.linspace(0.8, 1.0, 9)[:, None, None, None]
    return (FACE * light).astype(np.uint8)


def write(folder, frames):
    folder.mkdir()
    import cv2

    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), frame[..., ::-1])
    return folder


def test_files_and_arrays_give_what_the_command_writes(run, frames, tmp_path):
    clip = write(tmp_path / "clip", frames)
    words = ["--run", str(run), "--out", str(tmp_path / "p.parquet"), str(clip)]
    command.main(command.parser().parse_args(words))
    expected = pd.read_parquet(tmp_path / "p.parquet")
    model = dfer.load(run)
    found = model.predict(clip)
    assert found.reason.isna().all() and len(found) == 1
    pd.testing.assert_frame_equal(found.drop(columns="reason"), expected, check_dtype=False)
    of_array = model.predict(frames)
    assert of_array.file.tolist() == ["frames"]
    columns = [f"probability_{name}" for name in model.classes]
    assert of_array[columns].equals(found[columns])
    assert found[columns].sum(axis=1).to_numpy() == pytest.approx(1)


def test_a_video_is_explained_by_what_the_model_saw(run, frames, tmp_path):
    clip = encode(tmp_path / "clip.mp4", np.repeat(frames, 4, axis=0), rate=9)
    model = dfer.load(run)
    found = model.explain(clip, window=2.0, overlays=tmp_path / "over")
    assert (tmp_path / "over/clip.mp4").exists() and len(found.footage.faces) == 36
    rows = model.predict(clip, window=2.0)[[f"probability_{name}" for name in model.classes]]
    assert rows.to_numpy().tolist() == [p.probabilities.tolist() for p in found.predictions]
    for prediction in found.predictions:
        assert prediction.faces.shape == (8, 224, 224, 3) and prediction.faces.dtype == np.uint8
        assert len(prediction.maps) == 8 and 0 <= prediction.maps.min() <= prediction.maps.max()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    found = model.explain(broken)
    assert found.footage is None and found.predictions == [] and len(found.rejects) == 1
    with pytest.raises(UserError, match="stride"):
        model.explain(clip, window=1.0, stride=2.0)
    with pytest.raises(UserError, match="would replace this video"):
        model.explain(clip, overlays=tmp_path)


def test_what_cannot_be_used_is_a_row_with_its_reason(run, frames, tmp_path):
    good = write(tmp_path / "good", frames)
    blank = write(tmp_path / "blank", np.full_like(frames, 127))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    found = dfer.load(run).predict([good, blank, broken]).set_index("file")
    assert found.reason.isna().tolist() == [True, False, False]
    assert "no face" in found.reason[str(blank)] and found.window.isna()[str(broken)]
    assert found.label.isna().tolist() == [False, True, True]
    only = dfer.load(run).predict(blank)
    assert len(only) == 1 and list(only.columns) == list(found.reset_index().columns)
    assert only.label[0] is None and found.reason[str(good)] is None
    for table in (found.reset_index(), only):
        assert (table.end_s - table.start_s).dtype == float


def test_device_and_precision_are_arguments(run):
    model = dfer.load(run, device="cpu", precision="fp32")
    assert model.run.device == torch.device("cpu")
    assert model.run.settings.train.precision == "fp32"
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no GPU here"):
            dfer.load(run, device="cuda")


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((3, 4, 4), np.uint8), np.zeros((2, 4, 4, 3)), np.zeros((0, 4, 4, 3), np.uint8)],
)
def test_other_arrays_are_refused(run, wrong):
    with pytest.raises(UserError, match=r"give uint8 of \(N, H, W, 3\)"):
        dfer.load(run).predict(wrong)


def test_a_run_that_chooses_frames_by_the_whole_clip_is_refused(tmp_path):
    own = small_run()
    settings = RunSettings.from_dict(own.settings.to_dict() | {"train": {"sampler": "freq_hd"}})
    save_run(small_run(settings=settings), tmp_path / "checkpoint.safetensors")
    with pytest.raises(UserError, match="chosen by what a whole clip"):
        dfer.load(tmp_path)


def test_there_is_no_other_name():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        dfer.lode  # noqa: B018
