"""A trained run as a package: what it holds, what it tells, what it keeps to itself."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from packages import call, write_package, write_run
from small_run import TINY, small_run

import dfer
from dfer.errors import UserError
from dfer.models.checkpoint import load_run, save_run
from dfer.settings import RunSettings
from dfer.sharing import graph
from dfer.tables.summary import summarise


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp("plain"))


def card_of(package):
    """Front matter and text of a card."""
    _, front, text = (package / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def metrics_of(front):
    (result,) = front["model-index"][0]["results"]
    return {metric["type"]: metric["value"] for metric in result["metrics"]}, result["dataset"]


def test_a_package_is_three_files_and_computes_as_its_run(package):
    assert sorted(p.name for p in package.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    clip = torch.rand(2, 8, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(dfer.load(package).run.model(clip), small_run().model(clip))


def test_config_json_is_the_header_of_the_weights(package):
    config = json.loads((package / "config.json").read_text())
    run = load_run(package / "model.safetensors")
    for name in ("dataset", "classes", "words", "landmarks", "synthetic", "fold", "seed"):
        assert config[name] == getattr(run, name), name
    assert RunSettings.from_dict(config["settings"]) == run.settings
    assert (config["frames"], config["image_size"], config["sampler"]) == (8, 32, "segments")
    assert np.allclose(config["pixels"], run.pixels)


def test_the_card_has_the_metrics_where_the_hub_looks_for_them(package):
    front, _ = card_of(package)
    assert front["pipeline_tag"] == "video-classification" and front["library_name"] == "dfer"
    values, dataset = metrics_of(front)
    assert values == {"accuracy": 60.0, "recall": 50.0}  # recalls of 100, 50 and 0 % of 4, 4, 2
    assert (dataset["name"], dataset["config"], dataset["split"]) == ("mine", "fold 1", "test")
    assert "license" not in front and "synthetic" not in front["tags"]


def test_the_card_has_intervals_recalls_and_the_protocol(package):
    _, text = card_of(package)
    run = package.parent / "run"
    summary = summarise(pd.read_parquet(run / "predictions.parquet")).set_index("metric")
    for metric in ("UAR", "WAR"):
        row = summary.loc[metric]
        assert f"| {row.value:.2f} | {row.low:.2f} to {row.high:.2f} |" in text
    for line in ("| `happy` | 100.00 | 4 |", "| `sad` | 50.00 | 4 |", "| `neutral` | 0.00 | 2 |"):
        assert line in text
    for line in ("| fold, seed | 1, 0 |", "no choice is made (`last`)", "every 8", "0123456789ab"):
        assert line in text
    assert "Fewer than 30 test clips stand behind the recall of happy, sad, neutral." in text
    assert "DFEW, FERV39k and MAFW are given under agreement" in text


def test_synthetic_is_said_loudly_and_in_the_front_matter(tmp_path):
    front, text = card_of(write_package(tmp_path, synthetic=True))
    assert "SYNTHETIC" in metrics_of(front)[1]["name"] and "synthetic" in front["tags"]
    assert text.index("**SYNTHETIC.**") < text.index("expressions comes out") < text.index("| ")
    assert "given under agreement" not in text


def test_a_rule_that_flatters_is_named(tmp_path):
    settings = small_run().settings.to_dict()
    settings["train"] = {"checkpoint": "test"}
    _, text = card_of(write_package(tmp_path, settings=RunSettings.from_dict(settings)))
    assert "which flatters the numbers (`test`)" in text and "its numbers are optimistic" in text


def test_a_licence_is_the_one_that_is_given(tmp_path):
    front, text = card_of(write_package(tmp_path, "--licence", "cc-by-nc-4.0"))
    assert front["license"] == "cc-by-nc-4.0" and "Weights: cc-by-nc-4.0." in text


def test_a_run_that_was_not_evaluated_has_no_metrics(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    (run / "predictions.parquet").unlink()
    (run / "run.json").unlink()
    call(run, "--to", tmp_path / "package")
    front, text = card_of(tmp_path / "package")
    assert "model-index" not in front and "has not been evaluated" in text
    assert "NOT evaluated" in capsys.readouterr().out


def test_predictions_of_another_run_are_refused(tmp_path):
    run = write_run(tmp_path / "run")
    save_run(small_run(fold=2), run / "checkpoint.safetensors")
    with pytest.raises(UserError, match=r"not the predictions .*fold 2"):
        call(run, "--to", tmp_path / "package")


def test_no_path_of_this_machine_is_exported(tmp_path):
    settings = small_run().settings.to_dict()
    settings["backbone"] = {"model": TINY, "weights": "/home/me/clip.safetensors"}
    landmarks = {
        "backend": "face_alignment",
        "every": 4,
        "weights": {"landmarks": "/home/me/fan.pth"},
    }
    changes = {"settings": RunSettings.from_dict(settings), "landmarks": landmarks}
    package = write_package(tmp_path, **changes)
    for file in package.iterdir():
        content = file.read_bytes()
        assert b"/home/" not in content and TINY.encode() not in content, file.name
    run = load_run(package / "model.safetensors")
    assert run.landmarks == {"backend": "face_alignment", "every": 4}
    assert run.settings.backbone.weights == "clip.safetensors"


def test_equal_runs_give_equal_bytes_and_a_zip_holds_the_same(package, tmp_path):
    again = write_package(tmp_path)
    call(tmp_path / "run", "--to", tmp_path / "a.zip")
    call(tmp_path / "run", "--to", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        for file in package.iterdir():
            content = file.read_bytes()
            assert (again / file.name).read_bytes() == content == archive.read(file.name)


def test_a_package_is_written_over_and_nothing_else_is(tmp_path):
    package = write_package(tmp_path)
    (package / "model.onnx").write_bytes(b"of an earlier export")
    call(tmp_path / "run", "--to", package)
    assert not (package / "model.onnx").exists()
    (package / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds other files \(thesis.tex\)"):
        call(tmp_path / "run", "--to", package)
    own = tmp_path / "own"
    own.mkdir()
    (own / "README.md").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        call(tmp_path / "run", "--to", own)
    assert (own / "README.md").read_text() == "mine"


def test_what_cannot_be_exported_leaves_the_package_that_stands_there(tmp_path, monkeypatch):
    def refuse(*_):
        raise UserError("onnxscript is missing")

    package = write_package(tmp_path)
    before = {path.name: path.read_bytes() for path in package.iterdir()}
    monkeypatch.setattr(graph, "write_graph", refuse)
    with pytest.raises(UserError, match="onnxscript is missing"):
        call(tmp_path / "run", "--to", package, "--with-onnx")
    assert before == {path.name: path.read_bytes() for path in package.iterdir()}


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no trained run"):
        call(tmp_path / "nothing", "--to", tmp_path / "package")
