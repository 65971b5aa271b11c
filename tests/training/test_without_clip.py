"""Networks without CLIP through the stages: trained, loaded and evaluated without text or tower."""

import json

import pytest
from conftest import write_inputs

from dfer.files import read_parquet
from dfer.models.checkpoint import load_run
from dfer.settings import RunSettings
from dfer.training import evaluate, train

WORDS = {"happy": "happiness", "sad": "sadness", "neutral": "neutral"}
NETWORKS = {  # method → settings of the model and of the recipe
    "resnet3d": ({"ec_stfl": 10.0}, {"optimiser": "adam", "schedule": "plateau", "patience": 0}),
    "est": ({"frames": 14}, {"sampler": "snippets", "checkpoint": "val"}),
    "freq_hd": ({"frames": 3}, {"sampler": "freq_hd", "optimiser": "sgd", "lr": 1e-2}),
    "m3dfel": ({}, {"label_smoothing": 0.1, "sampler": "shifted", "checkpoint": "test"}),
}


@pytest.fixture(params=NETWORKS)
def run(tiny_store, tmp_path, request):
    """The folder of a run of one of them, and its settings."""
    folder = write_inputs(tiny_store, tmp_path)
    (folder / "text.safetensors").unlink()
    model, recipe = NETWORKS[request.param]
    settings = RunSettings.from_dict(
        {
            "model": {"method": request.param, "frames": 8, "size": 32} | model,
            "train": {"epochs": 2, "batch": 9, "lr": 1e-4, "warmup_epochs": 0} | recipe,
        }
    )
    where = ["--splits", folder / "splits.parquet"]
    where += ["--store", *sorted((folder / "store").iterdir())]
    made = folder / "run"
    words = [
        *("--dataset", "tiny", "--classes", json.dumps(WORDS), "--landmark-settings", "null"),
        *("--fold", 1, *where, "--settings", settings.to_json(), "--seed", 0),
        *("--out-checkpoint", made / "checkpoint.safetensors"),
        *("--out-history", made / "history.parquet", "--out-record", made / "run.json"),
    ]
    train.main(train.parser().parse_args(list(map(str, words))))
    words = [
        *("--checkpoint", made / "checkpoint.safetensors", *where),
        *("--out-predictions", made / "predictions.parquet"),
        *("--out-metrics", made / "metrics.parquet"),
    ]
    evaluate.main(evaluate.parser().parse_args(list(map(str, words))))
    return made, settings


def test_it_is_trained_and_evaluated(run):
    folder, settings = run
    predictions = read_parquet(folder / "predictions.parquet")
    assert len(predictions) == 18 and set(predictions.run) == {settings.key}
    assert settings.key.startswith(f"{settings.method}.")
    loaded = load_run(folder / "checkpoint.safetensors")
    assert loaded.settings == settings and loaded.image_size == 32
    assert loaded.architecture == {} and loaded.text.shape == (3, 0)
    record = json.loads((folder / "run.json").read_text())
    assert record["environment"]["precision"] == "float32"
    assert not any("vit@" in stamp or "clip_method@" in stamp for stamp in record["code"])
