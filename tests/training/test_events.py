"""Event files of trainings: what TensorBoard reads is the history, and results stay as they are."""

import math
import sys

import numpy as np
import pytest
from conftest import write_inputs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_train import arguments, settings, train

from dfer.errors import UserError
from dfer.files import read_parquet
from dfer.training import state as kept
from dfer.training import train as stage
from dfer.training.events import event_log

SCORES = {"loss": "loss", "UAR": "uar", "WAR": "war"}


@pytest.fixture
def folder(tiny_store, tmp_path):
    return write_inputs(tiny_store, tmp_path)


def watched(folder, out, run_settings):
    """Train with event files."""
    words = [*map(str, arguments(folder, out, run_settings)), "--tensorboard"]
    stage.main(stage.parser().parse_args(words))
    return folder / out


def killed(monkeypatch, train_it, after, saved=True):
    """Train for so many epochs and die, with the state of the last of them saved or not."""
    real = kept.write_state

    def write_and_die(path, **state):
        if saved or state["epoch"] < after:
            real(path, **state)
        if state["epoch"] == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kept, "write_state", write_and_die)
        patch.setattr(kept, "SAVING", math.inf)  # after every epoch
        with pytest.raises(KeyboardInterrupt):
            train_it()


def outputs(run):
    """The bytes of all that the stage declares to write."""
    return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


def events(run):
    """Tag → (epochs, values), as TensorBoard reads them."""
    (file,) = (run / "tensorboard").iterdir()
    read = EventAccumulator(str(file.parent)).Reload()
    points = {tag: read.Scalars(tag) for tag in read.Tags()["scalars"]}
    return {tag: ([p.step for p in own], [p.value for p in own]) for tag, own in points.items()}


def check(run, splits):
    """Each number of the history is in the events once, and no other but the speed."""
    history, found = read_parquet(run / "history.parquet"), events(run)
    expected = {"learning_rate": history[history.split == "train"].set_index("epoch").lr}
    for split, rows in history.groupby("split"):
        for name, column in SCORES.items():
            expected[f"{name}/{split}"] = rows.set_index("epoch")[column]
    epochs, speeds = found.pop("clips_per_second")
    assert epochs == sorted(set(history.epoch)) and min(speeds) > 0
    assert {tag.partition("/")[2] for tag in expected} == {"", *splits}
    assert found.keys() == expected.keys()
    for tag, numbers in expected.items():
        epochs, values = found[tag]
        assert epochs == numbers.index.tolist(), tag
        assert np.array_equal(np.float32(values), np.float32(numbers)), tag


@pytest.mark.parametrize("rule", ["last", "val"])
def test_results_keep_their_bytes_and_the_events_are_the_history(folder, rule):
    run = settings(checkpoint=rule)
    plain, seen = train(folder, "plain", run), watched(folder, "seen", run)
    assert outputs(seen) == outputs(plain)
    assert outputs(seen).keys() == {"checkpoint.safetensors", "history.parquet", "run.json"}
    assert not (plain / "tensorboard").exists()
    check(seen, {"train"} | {"val"} & {rule})


@pytest.mark.parametrize("saved", [True, False])
def test_a_killed_training_goes_on_without_doubled_points(folder, monkeypatch, saved):
    run = settings(checkpoint="val")
    whole = outputs(train(folder, "whole", run))
    killed(monkeypatch, lambda: watched(folder, "cut", run), 2, saved)
    assert events(folder / "cut")["loss/train"][0] == [1, 2]
    cut = watched(folder, "cut", run)
    assert outputs(cut) == whole
    check(cut, {"train", "val"})


def test_what_was_trained_unwatched_is_shown_too(folder, monkeypatch):
    killed(monkeypatch, lambda: train(folder, "run"), after=2)
    check(watched(folder, "run", settings()), {"train"})


def test_killed_after_its_last_epoch_it_shows_all(folder, monkeypatch):
    killed(monkeypatch, lambda: watched(folder, "run", settings()), after=3)
    check(watched(folder, "run", settings()), {"train"})


def test_a_training_that_is_not_watched_leaves_no_events_of_an_earlier_one(folder):
    assert (watched(folder, "run", settings()) / "tensorboard").exists()
    assert not (train(folder, "run", settings(lr=1e-3)) / "tensorboard").exists()


def test_without_tensorboard_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert event_log(tmp_path / "events", wanted=False) is None
    with pytest.raises(UserError, match="pip install tensorboard"):
        event_log(tmp_path / "events", wanted=True)
