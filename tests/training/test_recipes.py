"""Recipes of other methods: schedules, optimisers, stages, work that is not repeated."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CLASSES, write_inputs

from dfer.clips.loader import EpochBatches, TrainClips
from dfer.clips.store import ClipStore
from dfer.errors import UserError
from dfer.files import read_parquet
from dfer.models.checkpoint import load_run
from dfer.models.clip_method import ClipMethod
from dfer.models.method import build, part_of
from dfer.settings import AugmentSettings, RunSettings, TrainSettings
from dfer.training import evaluate
from dfer.training import state as kept
from dfer.training import train as stage
from dfer.training.optimiser import new_optimiser, parameter_groups
from dfer.training.schedule import learning_rate

WORDS = dict(zip(CLASSES, ["happiness", "sadness", "neutral"], strict=True))
TEXTS = {"happiness": "a smile.", "sadness": "lowered eyes.", "neutral": "a calm face."}
METHODS = {
    "zero_shot": {"method": "zero_shot"},
    "coop": {"method": "coop", "context": 4},
    "dfer_clip": {"method": "dfer_clip", "context": 4, "descriptors": TEXTS},
    "cliper": {"method": "cliper", "subclasses": 2},
}
STILL = {  # nothing of a training clip is drawn at random
    "sampler": "middle",
    "augment": {
        "crop_scale": [1, 1],
        "crop_ratio": [1, 1],
        "flip": 0,
        **dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0),
    },
}
TWO_STAGES = [
    {"epochs": 2, "frozen": ["image"], "lr": 1e-2, "weight_decay": 0, "schedule": "constant"},
    {"epochs": 3, "frozen": ["context"], "lr": 1e-3, "restart": 2},
]


def settings(method, **train):
    recipe = {"epochs": 3, "batch": 6, "lr": 3e-3, "min_lr": 3e-5, "warmup_epochs": 0} | train
    backbone = {"model": "config/backbone/tiny.json", "weights": None}
    return RunSettings.from_dict({"backbone": backbone, "model": METHODS[method], "train": recipe})


@pytest.fixture
def folder(tiny_store, tmp_path):
    return write_inputs(tiny_store, tmp_path)


def train(folder, out, own):
    run = folder / out
    words = [
        *("--dataset", "tiny", "--classes", json.dumps(WORDS), "--landmark-settings", "null"),
        *("--splits", folder / "splits.parquet", "--fold", 1),
        *("--store", *sorted((folder / "store").iterdir())),
        *("--text", folder / "text.safetensors"),
        *("--settings", own.to_json(), "--seed", 0),
        *("--out-checkpoint", run / "checkpoint.safetensors"),
        *("--out-history", run / "history.parquet", "--out-record", run / "run.json"),
    ]
    stage.main(stage.parser().parse_args(list(map(str, words))))
    return run


def contents(run):
    return [(run / name).read_bytes() for name in ("checkpoint.safetensors", "history.parquet")]


# ── Schedules ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (
            10,
            {
                0: 1e-05,
                1: 0.002,
                2: 0.0019510565162951536,
                5: 0.0013090169943749475,
                9: 0.00019098300562505268,
            },
        ),
        (
            50,
            {
                0: 1e-05,
                1: 0.002,
                2: 0.0019980267284282717,
                25: 0.001062790519529313,
                49: 7.88529868552223e-06,
            },
        ),
        (
            200,
            {
                0: 1e-05,
                1: 0.002,
                2: 0.0019998766324816606,
                100: 0.0010157073173118199,
                199: 4.934396342683993e-07,
            },
        ),
    ],
)
def test_coop_s_schedule_is_that_of_its_public_code(epochs, expected):
    recipe = TrainSettings(epochs=epochs, lr=0.002, schedule="coop", warmup_epochs=0)
    for epoch, lr in expected.items():
        for step in (0, 6):
            assert learning_rate(recipe, 7 * epoch + step, 7) == pytest.approx(lr, rel=1e-9)


def test_the_rate_falls_at_each_plateau():
    """The loss falls to 1 and stays: after 2 epochs of patience, every third lowers the rate."""
    recipe = TrainSettings(schedule="plateau", lr=1.0, gamma=0.2, patience=2, warmup_epochs=0)
    losses = [3.0, 2.0, 1.0] + [1.0] * 7
    rates = [learning_rate(recipe, 5 * n, 5, losses[:n]) for n in range(len(losses) + 1)]
    assert rates == pytest.approx([1.0] * 6 + [0.2] * 3 + [0.04] * 2)
    falling = [1 / (n + 1) for n in range(50)]
    assert learning_rate(recipe, 250, 5, falling) == 1.0


def test_dfer_clip_s_schedule():
    recipe = TrainSettings(epochs=50, lr=1.0, schedule="step", warmup_epochs=0)
    rates = [learning_rate(recipe, 5 * epoch + 4, 5) for epoch in range(50)]
    assert rates == pytest.approx([1] * 30 + [0.1] * 10 + [0.01] * 10)


def test_a_cosine_that_begins_again():
    recipe = TrainSettings(epochs=20, lr=1.0, min_lr=0.0, warmup_epochs=0, restart=10)
    rates = [learning_rate(recipe, step, 3) for step in range(60)]
    assert rates[:30] == rates[30:]
    assert rates[0] == 1.0 and rates[29] == pytest.approx(0.0) and rates[28] > rates[29]


# ── Optimisers ──────────────────────────────────────────────────────────────────────────────────


def test_sgd_by_hand():
    """v ← m v + g + λ w,  w ← w − η v, with momentum m and decay λ, of the context too."""
    own = settings("coop", optimiser="sgd", lr=0.5, momentum=0.9, weight_decay=0.1, decay_all=True)
    torch.manual_seed(0)
    model = build(own.model, own.backbone, list(WORDS.values()), torch.zeros(3, 32))
    optimiser = new_optimiser(model, own.train)
    w, v = model.context.detach().clone(), 0.0
    for number in (1, 2):
        g = torch.full_like(w, float(number))
        model.context.grad = g.clone()
        optimiser.step()
        v = 0.9 * v + g + 0.1 * w
        w = w - 0.5 * v
        torch.testing.assert_close(model.context.detach(), w)


def test_a_learning_rate_a_part():
    rates = {"temporal": 1e-2, "image": 1e-5, "context": 1e-3}
    own = settings("dfer_clip", part_lr=rates, lr=1e-3, decay_all=True)
    model = build(own.model, own.backbone, list(WORDS.values()), torch.zeros(3, 32))
    names = {id(p): name for name, p in model.named_parameters()}
    found = {}
    for group in parameter_groups(model, own.train):
        assert group["weight_decay"] == own.train.weight_decay
        for parameter in group["params"]:
            found.setdefault(part_of(names[id(parameter)]), set()).add(
                round(group["lr_factor"] * own.train.lr, 12)
            )
    assert found == {part: {rate} for part, rate in rates.items()}


# ── Stages ──────────────────────────────────────────────────────────────────────────────────────


def test_stages_train_their_parts_one_after_the_other(folder, monkeypatch):
    own = settings("cliper", epochs=5, checkpoint="test", stages=TWO_STAGES)
    real, states = kept.write_state, []

    def write(path, **state):
        states.append({name: value.clone() for name, value in state["model"].items()})
        real(path, **state)

    monkeypatch.setattr(kept, "write_state", write)
    monkeypatch.setattr(kept, "SAVING", float("inf"))
    history = read_parquet(train(folder, "run", own) / "history.parquet")
    assert len(states) == 5

    def changed(before, after):
        names = {n for n in before if not torch.equal(before[n], after[n])}
        return {part_of(name) for name in names}

    moves = [changed(a, b) for a, b in itertools.pairwise(states)]
    assert moves == [{"context"}, {"image"}, {"image"}, {"image"}]
    rates = history.lr[history.split == "train"].tolist()
    assert rates == pytest.approx([1e-2, 1e-2, rates[2], 3e-5, rates[4]])
    assert rates[2] == rates[4] > 3e-5  # a new cosine every two epochs


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", [1, 2, 4, 5])
def test_a_training_killed_in_or_between_stages_ends_with_the_same_bytes(
    folder, monkeypatch, killed_after
):
    own = settings("cliper", epochs=5, stages=TWO_STAGES)
    whole = contents(train(folder, "whole", own))
    real = kept.write_state

    def write_and_die(path, **state):
        real(path, **state)
        if state["epoch"] == killed_after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kept, "write_state", write_and_die)
        patch.setattr(kept, "SAVING", float("inf"))
        with pytest.raises(KeyboardInterrupt):
            train(folder, "cut", own)
    assert contents(train(folder, "cut", own)) == whole


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"epochs": 4, "stages": TWO_STAGES}, "the stages have 5 epochs together, and epochs is 4"),
        ({"schedule": "step", "warmup_epochs": 2}, "schedule: step has no warm-up"),
        ({"frozen": ["imag"]}, "frozen: no part 'imag'; there is image, context"),
        ({"part_lr": {"txt": 1e-3}}, "part_lr: no part 'txt'"),
        ({"frozen": ["image", "context"]}, "frozen: nothing is left to train"),
        ({"restart": 2, "warmup_epochs": 1}, "restart: .* no warm-up"),
        ({"epochs": 1, "stages": [{"epochs": 1, "lr": 1e-9}]}, "stage 1: min_lr is above lr"),
    ],
)
def test_what_does_not_go_together_is_named(train, message):
    own = settings("cliper", **train)
    faults = own.train.faults(own.model.parts)
    assert len(faults) == 1
    assert re.search(message, faults[0])


# ── Work that is not repeated ───────────────────────────────────────────────────────────────────


def test_frozen_frame_features_are_computed_once(folder, monkeypatch):
    """Each clip is decoded once where the tower is frozen and nothing is drawn at random."""
    own = settings("coop", checkpoint="test", epochs=4, **STILL)
    real, decoded = ClipStore.frames, []

    def frames(self, clip, *words, **more):
        decoded.append(clip)
        return real(self, clip, *words, **more)

    monkeypatch.setattr(ClipStore, "frames", frames)
    known = train(folder, "known", own)
    assert len(decoded) == len(set(decoded)) == 36  # 18 train clips and 18 test clips
    decoded.clear()
    monkeypatch.setattr(ClipMethod, "sees_frames_alike", lambda self: False)
    again = train(folder, "again", own)
    assert len(decoded) == 4 * 36
    histories = [read_parquet(run / "history.parquet") for run in (known, again)]
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)
    models = [load_run(run / "checkpoint.safetensors").model for run in (known, again)]
    torch.testing.assert_close(models[0].context, models[1].context, rtol=1e-3, atol=1e-5)


def test_frames_that_are_drawn_at_random_are_seen_anew(folder, monkeypatch):
    own = settings("coop", epochs=2)
    real, decoded = ClipStore.frames, []

    def frames(self, clip, *words, **more):
        decoded.append(clip)
        return real(self, clip, *words, **more)

    monkeypatch.setattr(ClipStore, "frames", frames)
    train(folder, "run", own)
    assert len(decoded) == 2 * 18


@pytest.mark.parametrize("changed", ["crop_scale", "crop_ratio", "flip", "hue", "rotation"])
def test_a_view_is_fixed_only_where_nothing_is_drawn(tiny_store, changed):
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in STILL["augment"].items()}
    store = ClipStore(sorted(tiny_store[0].glob("*.arrow")))

    def clips(sampler="middle", **changes):
        augment = AugmentSettings(**values | changes)
        seen = {"frames": 8, "size": 32, "seed": 0, "sampler": sampler}
        return TrainClips(store, ["c0-00"], [0], **seen, augment=augment)

    assert clips().as_they_are() is not None
    assert clips("segments").as_they_are() is None
    value = (0.5, 1.0) if changed.startswith("crop") else 0.1
    assert clips(**{changed: value}).as_they_are() is None


def test_a_fixed_view_shows_what_training_shows(tiny_store):
    from dfer.clips.loader import AugmentedBatches

    augment = RunSettings.from_dict({"train": STILL}).train.augment
    store = ClipStore(sorted(tiny_store[0].glob("*.arrow")))
    seen = {"frames": 8, "size": 32, "seed": 0, "sampler": "middle"}
    data = TrainClips(store, ["c0-00", "c1-05"], [0, 1], **seen, augment=augment)
    batch, _ = AugmentedBatches(data)[[(3, 0), (7, 1)]]
    view = data.as_they_are()
    assert torch.equal(batch, torch.from_numpy(np.stack([view[0][0], view[1][0]])))


# ── What is not trained ─────────────────────────────────────────────────────────────────────────


def test_zero_shot_is_written_as_it_begins_and_evaluated(folder):
    run = train(folder, "run", settings("zero_shot"))
    assert read_parquet(run / "history.parquet").empty
    assert json.loads((run / "run.json").read_text())["epoch"] == 0
    words = [
        *("--checkpoint", run / "checkpoint.safetensors", "--splits", folder / "splits.parquet"),
        *("--store", *sorted((folder / "store").iterdir())),
        *("--out-predictions", run / "p.parquet", "--out-metrics", run / "m.parquet"),
    ]
    evaluate.main(evaluate.parser().parse_args(list(map(str, words))))
    assert len(read_parquet(run / "p.parquet")) == 18


# ── Batches ─────────────────────────────────────────────────────────────────────────────────────


def test_the_last_batch_is_left_out_if_it_is_smaller():
    given = {"first": 0, "last": 2, "seed": 0}
    kept = list(EpochBatches(20, 6, **given))
    left = list(EpochBatches(20, 6, **given, drop_last=True))
    assert [len(batch) for batch in kept] == [6, 6, 6, 2] * 2
    assert left == kept[:3] + kept[4:7]


def test_no_whole_batch_is_refused(folder):
    with pytest.raises(UserError, match=r"18 clips are no whole batch of 20\. Set train\.batch"):
        train(folder, "run", settings("coop", batch=20, drop_last=True))
