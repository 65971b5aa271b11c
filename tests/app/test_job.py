"""One video within bounds: what is refused, when work ends, whose files go when."""

import dataclasses
import os
import re
import time

import numpy as np
import pandas as pd
import pytest
from small_run import CLASSES, small_run

import dfer
from dfer.app import seen
from dfer.app.job import CSV, Kept, Limits, Watched, check_length, explain
from dfer.clips.media import ClipError
from dfer.errors import UserError
from dfer.models.checkpoint import save_run
from dfer.models.method import make
from dfer.predict import __main__ as command
from dfer.settings import RunSettings

LIMITS = Limits(megabytes=1, seconds=20, timeout=60)


@pytest.fixture(scope="module")
def model(run_folder):
    return dfer.load(run_folder)


def look(model, video, folder, limits=LIMITS, window=4.0, stride=4.0, tell=lambda share: None):
    return explain(model, video, limits, folder, window=window, stride=stride, tell=tell)


@pytest.fixture(scope="module")
def found(model, videos, tmp_path_factory):
    """What was found in the face's video, where its files are, how far the work was said to be."""
    folder, shares = tmp_path_factory.mktemp("found"), []
    outcome = look(model, videos / "face.mp4", folder, tell=shares.append)
    return outcome, folder, shares


def test_the_table_is_that_of_the_command(found, run_folder, videos, tmp_path):
    outcome, folder, shares = found
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    words = ["--run", str(run_folder), "--out", str(tmp_path / "own.csv")]
    command.main(command.parser().parse_args([*words, str(videos / "face.mp4")]))
    expected = pd.read_csv(tmp_path / "own.csv").assign(file="face.mp4")
    pd.testing.assert_frame_equal(pd.read_csv(folder / CSV), expected)
    assert (folder / "face.mp4").stat().st_size > 1000  # the overlay
    assert [p.faces.shape for p in outcome.predictions] == [(8, 224, 224, 3)] * 3
    assert all(p.maps is not None for p in outcome.predictions)


def test_what_the_page_shows_of_it(found):
    outcome, *_ = found
    table = seen.table(outcome, CLASSES)
    assert table["from (s)"].tolist() == [0, 4, 6] and table["to (s)"].tolist() == [4, 8, 10]
    assert (table["face in"] == "100%").all()
    shown = seen.window(outcome.footage, outcome.predictions[1], CLASSES)
    assert shown.count("<img") == 2 * 8 and "4.25 s" in shown
    chart = seen.chart(outcome.predictions, CLASSES)
    lines = re.findall(r'points="([^"]*)"', chart)
    assert len(lines) == len(CLASSES)
    first = [tuple(map(float, pair.split(","))) for pair in lines[0].split()]
    shares = [p.probabilities[0] for p in outcome.predictions]
    middles = [0, 200, 600, 800, 1000]  # of 10 s
    assert [x for x, _ in first] == middles
    heights = [100 - 100 * share for share in (shares[0], *shares, shares[-1])]
    assert [y for _, y in first] == pytest.approx(heights, abs=0.01)


def test_a_network_without_clip_has_frames_without_heat(videos, tmp_path):
    own = small_run()
    settings = RunSettings.from_dict(own.settings.to_dict() | {"model": {"method": "resnet_lstm"}})
    network = make(settings.model, own.architecture, own.words, own.text).eval()
    run = dataclasses.replace(own, model=network, settings=settings)
    save_run(run, tmp_path / "checkpoint.safetensors")
    model = dfer.load(tmp_path)
    outcome = look(model, videos / "face.mp4", tmp_path / "out")
    assert all(p.maps is None and p.faces is not None for p in outcome.predictions)
    shown = seen.window(outcome.footage, outcome.predictions[0], CLASSES)
    assert shown.count("<img") == outcome.predictions[0].faces.shape[0] and "no heat maps" in shown
    assert (tmp_path / "out/face.mp4").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blank", r"^blank.mp4 cannot be used: no face found in any of the 8 frames\.$"),
        ("broken", r"^broken.mp4 cannot be opened as a video"),
        ("long", r"^long.mp4 is 40 seconds long, and 20 are allowed here\."),
    ],
)
def test_what_cannot_be_used_is_one_sentence(model, videos, tmp_path, name, said):
    with pytest.raises(UserError, match=said):
        look(model, videos / f"{name}.mp4", tmp_path)
    assert not list(tmp_path.iterdir())


def test_windows_without_sense_are_refused(model, videos, tmp_path):
    with pytest.raises(UserError, match=r"stride of 2 s: .* no more than a window has, 1 here"):
        look(model, videos / "face.mp4", tmp_path, window=1.0, stride=2.0)


def test_a_length_at_the_limit_is_allowed(videos):
    check_length(videos / "face.mp4", 10)
    with pytest.raises(UserError, match="10 seconds long"):
        check_length(videos / "face.mp4", 9.9)


def test_work_ends_when_its_time_is_over(model, videos, tmp_path):
    with pytest.raises(UserError, match=r"takes longer than 0\.01 seconds"):
        look(model, videos / "face.mp4", tmp_path, Limits(1, 20, 0.01))
    watched = Watched(0.05, lambda share: None)
    frames = iter(watched.watch(np.zeros((3, 2, 2, 3), np.uint8), videos / "face.mp4", "video"))
    next(frames)
    time.sleep(0.06)
    with pytest.raises(ClipError, match="longer than"):
        next(frames)


# --- whose files go when ------------------------------------------------------------------------


def uploaded(root, name):
    path = root / name / "clip.mp4"
    path.parent.mkdir()
    path.write_bytes(b"video")
    return path


def test_another_video_removes_all_that_was_of_the_last_one(tmp_path):
    kept = Kept(tmp_path)
    first, second, other = (uploaded(tmp_path, name) for name in ("a", "b", "c"))
    kept.upload("me", str(first))
    kept.upload("you", str(other))
    with kept.results("me") as old, kept.results("me") as new:
        pass
    assert not old.exists() and new.exists() and first.exists()
    kept.upload("me", str(second))
    assert not new.exists() and not first.parent.exists() and second.exists() and other.exists()
    kept.upload("me", None)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    kept.forget("you")
    kept.forget("nobody")
    assert not list(tmp_path.iterdir())


def test_a_video_that_two_browsers_have_goes_with_the_second(tmp_path):
    """Gradio names the folder of an upload by its content, so that they share it."""
    kept, shared = Kept(tmp_path), uploaded(tmp_path, "hash-of-the-content")
    kept.upload("me", str(shared))
    kept.upload("you", str(shared))
    kept.upload("you", str(shared))  # the same video once more
    kept.forget("me")
    assert shared.exists()
    kept.forget("you")
    assert not list(tmp_path.iterdir())


def test_an_upload_that_never_ended_goes_with_a_later_one(tmp_path):
    kept, broken_off, running = Kept(tmp_path), tmp_path / "tmp1", tmp_path / "tmp2"
    for path in (broken_off, running):
        path.write_bytes(b"half a vid")
    os.utime(broken_off, (0, 0))
    kept.upload("me", str(uploaded(tmp_path, "a")))
    assert running.exists() and not broken_off.exists()


def test_results_go_where_the_page_was_closed_during_the_work(tmp_path):
    kept = Kept(tmp_path)
    kept.upload("me", str(uploaded(tmp_path, "a")))
    with kept.results("me") as folder:
        kept.forget("me")
        assert not list(tmp_path.iterdir())
        folder.mkdir()  # as whoever writes there does
        (folder / "overlay.mp4").touch()
    assert not list(tmp_path.iterdir())


def test_nothing_outside_its_folder_is_ever_removed(tmp_path):
    root, outside = tmp_path / "root", uploaded(tmp_path, "mine")
    root.mkdir()
    kept = Kept(root)
    for path in (outside, root / "../mine/clip.mp4", root / "deep/a/clip.mp4", root):
        kept.upload("me", str(path))
        kept.forget("me")
    assert outside.exists() and root.exists()
