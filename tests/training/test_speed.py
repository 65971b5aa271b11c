"""Speed and memory of a variant: what is timed, and that it is measured for each kind of method."""

import json
import shutil

import pytest
import torch
from conftest import CLASSES

from dfer.files import write_parquet
from dfer.models.sealed import save_sealed
from dfer.prepare.splits import SPLITS
from dfer.settings import RunSettings, TrainSettings
from dfer.training import speed

WORDS = dict(zip(CLASSES, ["happiness", "sadness", "neutral"], strict=True))
MODELS = {
    "ours": ({"blocks": 1}, {}),
    "coop": ({"method": "coop", "context": 4}, {"optimiser": "sgd", "part_lr": {"context": 9.0}}),
    "cliper": (
        {"method": "cliper", "subclasses": 2},
        {"epochs": 3, "stages": [{"epochs": 1, "frozen": ["image"]}, {"epochs": 2}]},
    ),
    "zero_shot": ({"method": "zero_shot"}, {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_variant_is_measured_as_it_trains(tiny_store, tmp_path, name):
    model, train = MODELS[name]
    store, splits = tiny_store
    shutil.copytree(store, tmp_path / "store")
    write_parquet(splits, tmp_path / "splits.parquet", SPLITS)
    save_sealed({}, {"features": torch.randn(3, 32)}, tmp_path / "text.safetensors")
    settings = RunSettings.from_dict(
        {
            "backbone": {"model": "config/backbone/tiny.json", "weights": None},
            "model": model,
            "train": {"batch": 4, "warmup_epochs": 0} | train,
        }
    )
    words = [
        *("--classes", json.dumps(WORDS), "--splits", tmp_path / "splits.parquet", "--fold", 1),
        *("--store", *sorted((tmp_path / "store").iterdir())),
        *("--text", tmp_path / "text.safetensors", "--settings", settings.to_json()),
        *("--seed", 0, "--seconds", 0, "--out", tmp_path / "speed.json"),
    ]
    speed.main(speed.parser().parse_args(map(str, words)))
    record = json.loads((tmp_path / "speed.json").read_text())
    assert record["run"] == settings.key and record["environment"]["precision"] == "float32"
    assert record["predicted_per_second"] > 0 and record["predicting_mb"] > 0
    if name == "zero_shot":
        assert record["trained_per_second"] is None and record["training_mb"] is None
    else:
        assert record["trained_per_second"] > 0
        assert record["training_mb"] >= record["predicting_mb"]


def test_the_first_pass_warms_up(monkeypatch):
    now = iter([0.0, 9.0, 10.0, 12.0, 15.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(now))
    clock = speed.Clock(enough=5.0)
    assert [clock() for _ in range(5)] == [False] * 4 + [True]
    assert clock.passes == [1.0, 2.0, 3.0]


def test_the_clips_that_are_timed_may_lack_a_class():
    assert speed.timed(TrainSettings(prior=1.0)).prior == 0.0


def test_a_training_without_stages_is_one():
    plain = TrainSettings(epochs=7)
    assert speed.stages_of(plain) == [plain]
    staged = TrainSettings(epochs=7, stages=({"epochs": 2, "lr": 1.0}, {"epochs": 5}))
    assert [(own.epochs, own.lr) for own in speed.stages_of(staged)] == [(2, 1.0), (5, 2e-5)]
