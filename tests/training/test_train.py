"""Training: the schedule, determinism, resuming, checkpoint rules, what is trained at all."""

import io
import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import CLASSES, write_inputs

from dfer.errors import UserError
from dfer.files import read_parquet, write_parquet
from dfer.models.checkpoint import load_run
from dfer.models.method import build
from dfer.prepare.splits import SPLITS
from dfer.settings import RunSettings, TrainSettings
from dfer.training import loop
from dfer.training import state as kept
from dfer.training import train as stage
from dfer.training.optimiser import parameter_groups
from dfer.training.schedule import learning_rate

WORDS = dict(zip(CLASSES, ["happiness", "sadness", "neutral"], strict=True))
SETTINGS = {
    "backbone": {"model": "config/backbone/tiny.json", "weights": None},
    "model": {"frames": 8, "blocks": 1},
    "train": {"epochs": 3, "batch": 6, "lr": 3e-3, "min_lr": 3e-5, "warmup_epochs": 1},
}


def settings(**train):
    return RunSettings.from_dict(SETTINGS | {"train": SETTINGS["train"] | train})


@pytest.fixture
def folder(tiny_store, tmp_path):
    """The inputs of the stage: splits, store, and class texts of the tiny CLIP."""
    return write_inputs(tiny_store, tmp_path)


def arguments(folder, out, run_settings, seed=0, landmarks=None, synthetic=False):
    run = folder / out
    return [
        *("--dataset", "tiny", "--classes", json.dumps(WORDS)),
        *("--landmark-settings", json.dumps(landmarks), *["--synthetic"] * synthetic),
        *("--splits", folder / "splits.parquet", "--fold", 1),
        *("--store", *sorted((folder / "store").iterdir())),
        *("--text", folder / "text.safetensors"),
        *("--settings", run_settings.to_json(), "--seed", seed),
        *("--out-checkpoint", run / "checkpoint.safetensors"),
        *("--out-history", run / "history.parquet", "--out-record", run / "run.json"),
    ]


def train(folder, out, run_settings=None, **options):
    words = map(str, arguments(folder, out, run_settings or settings(), **options))
    stage.main(stage.parser().parse_args(words))
    return folder / out


def contents(run):
    return {
        name: (run / name).read_bytes() for name in ("checkpoint.safetensors", "history.parquet")
    }


def test_learning_rate_by_hand():
    recipe = TrainSettings(epochs=10, lr=1.0, min_lr=0.1, warmup_epochs=2)
    rates = [learning_rate(recipe, step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1)
    done = (29 - 10) / 39
    assert rates[29] == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


def test_only_matrices_decay_and_only_new_modules_are_scaled():
    run = settings(lr_factor=10.0)
    model = build(run.model, run.backbone, CLASSES, torch.randn(3, 32))
    names = {id(p): name for name, p in model.named_parameters()}
    groups = parameter_groups(model, run.train)
    seen = [names[id(p)] for group in groups for p in group["params"]]
    assert sorted(seen) == sorted(names.values())
    for group in groups:
        for parameter in group["params"]:
            assert (group["weight_decay"] > 0) == (parameter.ndim > 1)
            is_of_clip = names[id(parameter)].startswith("image.")
            assert group["lr_factor"] == (1.0 if is_of_clip else 10.0)


@pytest.mark.slow
def test_same_seed_same_bytes_and_it_learns(folder):
    run = settings(epochs=8)
    first = train(folder, "a", run)
    assert contents(first) == contents(train(folder, "b", run))
    assert (
        contents(first)["checkpoint.safetensors"]
        != contents(train(folder, "c", run, seed=1))["checkpoint.safetensors"]
    )
    history = read_parquet(first / "history.parquet")
    assert history.epoch.tolist() == list(range(1, 9))
    assert history.loss.iloc[-1] < history.loss.iloc[0] / 2
    assert history.chosen.tolist() == [False] * 7 + [True]
    assert not (first / "state.pt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["last", "test"])
def test_interrupted_training_ends_with_the_same_bytes(folder, monkeypatch, rule):
    run = settings(checkpoint=rule)
    whole = contents(train(folder, "whole", run))
    real, calls = kept.write_state, []

    def write_and_die(path, **state):
        real(path, **state)
        calls.append(state["epoch"])
        if len(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kept, "write_state", write_and_die)
        with pytest.raises(KeyboardInterrupt):
            train(folder, "cut", run)
    assert (folder / "cut/state.pt").exists()
    assert contents(train(folder, "cut", run)) == whole


@pytest.mark.slow
def test_a_slow_disk_costs_a_tenth_and_what_it_missed_is_trained_again(folder, monkeypatch, capsys):
    """The clock is ours: an epoch takes 12 s on it, saving a state 25 s."""
    run, clock, saved = settings(epochs=30), [0.0], []
    whole = contents(train(folder, "whole", run))
    real_count, real_write = loop.confusion, kept.write_state

    def confusion(*args):
        clock[0] += 4.0  # three batches an epoch
        return real_count(*args)

    def write_slowly(path, **state):
        clock[0] += 25.0
        real_write(path, **state)
        saved.append(state["epoch"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "confusion", confusion)
        patch.setattr(kept, "write_state", write_slowly)
        patch.setattr(loop.time, "perf_counter", lambda: clock[0])
        with pytest.raises(KeyboardInterrupt):
            train(folder, "cut", run)
    assert saved == [1, 22]
    assert re.search(r"epoch 1/30 .* \(37\.0 s, 17:53 left\)", capsys.readouterr().out)
    assert contents(train(folder, "cut", run)) == whole


@pytest.mark.slow
def test_a_state_of_other_settings_or_a_damaged_one_is_refused(folder, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(stage, "save_run", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(folder, "run", settings(lr=1e-3))
    other = train(folder, "other")
    assert contents(train(folder, "run")) == contents(other)
    assert "other code, settings or data" in capsys.readouterr().out
    (folder / "cut").mkdir()
    (folder / "cut/state.pt").write_bytes(b"PK\x03\x04 not a state")
    assert contents(train(folder, "cut")) == contents(other)
    assert "is damaged" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["code", "splits", "store", "text", "clip", "packages"])
def test_a_state_of_other_code_or_data_is_refused(folder, monkeypatch, capsys, changed):
    """Killed after its last epoch, so that only the state is left; then something is another."""
    clip = folder / "tiny.json"
    clip.write_bytes(Path(SETTINGS["backbone"]["model"]).read_bytes())
    own = RunSettings.from_dict(SETTINGS | {"backbone": {"model": str(clip), "weights": None}})
    with monkeypatch.context() as patch:
        patch.setattr(stage, "save_run", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(folder, "run", own)
    if changed == "code":
        monkeypatch.setattr(stage, "stamps", lambda *_, **__: ["dfer.training.train@0123456789"])
    elif changed == "splits":
        splits = read_parquet(folder / "splits.parquet")
        write_parquet(splits.iloc[1:], folder / "splits.parquet", SPLITS)
    elif changed == "store":
        (folder / "store/0.arrow").touch()
    elif changed == "text":
        from dfer.models.sealed import save_sealed

        save_sealed({}, {"features": torch.ones(3, 32)}, folder / "text.safetensors")
    elif changed == "clip":
        clip.write_text(clip.read_text().replace('"layers": 2', '"layers":  2'))
    else:
        real = stage.machine
        packages = {"packages": {"torch": "0.1"}}
        monkeypatch.setattr(stage, "machine", lambda *a: real(*a) | packages)
    train(folder, "run", own)
    said = capsys.readouterr().out
    assert "other code, settings or data: training starts anew" in said
    assert said.count("epoch 1/3") == 2


@pytest.mark.slow
def test_rule_last_never_reads_test_clips_and_val_never_its_tenth(folder, monkeypatch):
    """The clips that training touches are those of its rule, counted where they are decoded."""
    from dfer.clips.store import ClipStore

    splits = read_parquet(folder / "splits.parquet").query("fold == 1")
    test = set(splits["clip"][splits.split == "test"])
    held_out = set(splits["clip"][splits.held_out])
    touched: dict[str, set] = {}
    real = ClipStore.frames
    for rule in ("last", "val", "test"):
        seen = touched[rule] = set()

        def frames(self, clip, indices, min_size=None, out=None, seen=seen):
            seen.add((clip, min_size == 32))  # a test clip is decoded at the size itself
            return real(self, clip, indices, min_size, out)

        monkeypatch.setattr(ClipStore, "frames", frames)
        train(folder, rule, settings(checkpoint=rule))
    assert not test & {clip for clip, _ in touched["last"] | touched["val"]}
    assert {clip for clip, _ in touched["last"]} == set(splits["clip"][splits.split == "train"])
    assert held_out == {clip for clip, monitored in touched["val"] if monitored}
    assert not held_out & {clip for clip, monitored in touched["val"] if not monitored}
    assert test == {clip for clip, monitored in touched["test"] if monitored}


def test_the_checkpoint_of_rule_test_is_the_first_best_epoch(folder):
    run = train(folder, "run", settings(checkpoint="test", epochs=6))
    history = read_parquet(run / "history.parquet").query("split == 'test'")
    best = history.epoch[history.war.idxmax()]
    assert history.epoch[history.chosen].tolist() == [best]
    assert json.loads((run / "run.json").read_text())["epoch"] == best


def test_gradient_checkpointing_saves_activations_and_changes_no_bit(folder, monkeypatch):
    from dfer.models import vit

    recomputed, real = [], vit.checkpoint

    def checkpoint(block, *inputs, **options):
        recomputed.append(block)
        return real(block, *inputs, **options)

    monkeypatch.setattr(vit, "checkpoint", checkpoint)
    plain = load_run(train(folder, "plain") / "checkpoint.safetensors").model.state_dict()
    assert not recomputed
    other = train(folder, "other", settings(gradient_checkpointing=True))
    assert len(recomputed) == 3 * 3 * 2  # epochs, steps, layers
    saved = load_run(other / "checkpoint.safetensors").model.state_dict()
    assert all(torch.equal(saved[name], value) for name, value in plain.items())
    histories = [read_parquet(folder / run / "history.parquet") for run in ("plain", "other")]
    assert histories[0].equals(histories[1])


def test_class_texts_are_never_trained(folder):
    from safetensors.torch import load_file

    run = train(folder, "run")
    trained = load_run(run / "checkpoint.safetensors").model
    assert torch.equal(trained.text, load_file(folder / "text.safetensors")["features"])


@pytest.mark.slow
@pytest.mark.parametrize("head", ["text", "linear"])
def test_the_checkpoint_says_all_that_the_run_was_trained_as(folder, head):
    from safetensors.torch import load_file

    landmarks = {"backend": "dlib", "every": 4, "min_face_share": 0.3}
    model = SETTINGS["model"] | {"head": head, "blocks": int(head == "text")}
    own = RunSettings.from_dict(SETTINGS | {"model": model})
    run = train(folder, "run", own, seed=2, landmarks=landmarks, synthetic=True)
    loaded = load_run(run / "checkpoint.safetensors")
    assert (loaded.dataset, loaded.fold, loaded.seed) == ("tiny", 1, 2)
    assert dict(zip(loaded.classes, loaded.words, strict=True)) == WORDS
    assert (loaded.landmarks, loaded.synthetic, loaded.settings) == (landmarks, True, own)
    assert loaded.architecture == json.loads(Path(SETTINGS["backbone"]["model"]).read_text())
    assert torch.equal(loaded.text, load_file(folder / "text.safetensors")["features"])
    crops = train(folder, "crops", own, seed=2)
    loaded = load_run(crops / "checkpoint.safetensors")
    assert loaded.landmarks is None and not loaded.synthetic


def test_a_model_of_which_all_is_frozen_is_refused(folder):
    """Its settings may be right for other variants, which have more parts."""
    baseline = {"interfit": False, "aggregation": "mean", "blocks": 0, "frames": 8}
    own = SETTINGS | {"model": baseline, "train": SETTINGS["train"] | {"frozen": ["image"]}}
    with pytest.raises(UserError, match=r"train\.frozen \(image\): nothing of this model is left"):
        train(folder, "run", RunSettings.from_dict(own))


def test_exploding_loss_stops_with_one_message(folder):
    with pytest.raises(UserError, match=r"the loss is .* in epoch .* Lower train\.lr"):
        train(folder, "run", settings(lr=1e18, min_lr=0.0))


def test_in_a_terminal_a_bar_shows_the_epoch_at_hand(folder, monkeypatch, capsys):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        train(folder, "run", settings(checkpoint="val"))
    shown = re.findall(r"epoch 3/3: .*loss=(\S+)\]", terminal.getvalue().replace("\r", "\n"))
    history = read_parquet(folder / "run/history.parquet").set_index(["split", "epoch"])
    assert shown[-1] == f"{history.loss['train', 3]:.3f}"
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3
    assert f"train loss {history.loss['train', 2]:.3f}  UAR" in said[1]
    assert f"val loss {history.loss['val', 2]:.3f}  UAR {history.uar['val', 2]:.1f}" in said[1]


@pytest.mark.slow
def test_by_hand_on_the_command_line_prints_progress(folder):
    words = [str(word) for word in arguments(folder, "run", settings(epochs=2))]
    done = subprocess.run(
        [sys.executable, "-m", "dfer.training.train", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "epoch 1/2" in done.stdout and "UAR" in done.stdout
    assert len(done.stdout.splitlines()) == 2 and "epoch" not in done.stderr
    record = json.loads((folder / "run/run.json").read_text())
    assert record["environment"]["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert any(stamp.startswith("dfer.models.msta@") for stamp in record["code"])
    history = read_parquet(folder / "run/history.parquet")
    assert history.epoch.tolist() == [1, 2] and history.split.tolist() == ["train"] * 2
    for row in history.itertuples():
        assert f"epoch {row.epoch}/2  train loss {row.loss:.3f}" in done.stdout
