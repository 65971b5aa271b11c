"""The whole recogniser as ONNX gives torch's logits, in batches of every size, or is refused."""

import dataclasses
import sys

import numpy as np
import pytest
import torch
from small_run import small_run

from dfer.errors import UserError
from dfer.models.method import make
from dfer.predict.with_onnx import session_of
from dfer.settings import RunSettings
from dfer.sharing import graph
from dfer.video_settings import PIXELS

WITHIN = 1e-4


@pytest.fixture(autouse=True)
def exporter():
    pytest.importorskip("onnxscript")


def network(method):
    """A small run of a network without CLIP."""
    values = {"model": {"method": method, "frames": 4, "size": 32, "pixels": "imagenet"}}
    settings, text = RunSettings.from_dict(values), torch.zeros(3, 0)
    torch.manual_seed(0)
    model = make(settings.model, {}, ["happiness", "sadness", "neutral"], text).eval()
    changes = {"settings": settings, "architecture": {}, "pixels": PIXELS["imagenet"]}
    return dataclasses.replace(small_run(), model=model, text=text, **changes)


def differences(run, path, batches=(1, 2, 3, 7)):
    """Of the graph's logits from torch's, in batches that the exporter has not seen."""
    model, session = run.model, session_of(path, threads=1)
    shape = (max(batches), run.settings.model.frames, 3, run.image_size, run.image_size)
    frames = np.random.default_rng(7).integers(0, 256, shape, np.uint8)
    with torch.inference_mode():
        expected = model(run.normalise(torch.from_numpy(frames))).numpy()
    assert expected.std(axis=0).max() > 10 * WITHIN  # clips differ
    for batch in batches:
        (found,) = session.run(["logits"], {"frames": frames[:batch]})
        assert found.shape == (batch, 3) and found.dtype == np.float32
        yield np.abs(found - expected[:batch]).max()


def test_the_full_model_has_torchs_logits(onnx_package):
    """Bi-LSTM, InterFIT, MSTA, BiEhPro."""
    assert max(differences(small_run(), onnx_package / "model.onnx")) < WITHIN


def test_a_graph_tells_no_path_of_the_machine_that_made_it(onnx_package):
    content = (onnx_package / "model.onnx").read_bytes()
    assert not [word for word in (b".py", b"site-packages", b"/home", b"/src/") if word in content]


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        {"blocks": 0, "interfit": False, "aggregation": "mean"},
        {"blocks": 0, "head": "linear"},
        {"pairing": "joint", "learn_temperature": True},
    ],
    ids=["baseline", "linear head", "joint"],
)
def test_variants_have_torchs_logits(model, tmp_path):
    run = small_run(model)
    assert graph.write_graph(run, tmp_path / "model.onnx") < WITHIN
    assert max(differences(run, tmp_path / "model.onnx")) < WITHIN


@pytest.mark.slow
@pytest.mark.parametrize("method", ["resnet_lstm", "former_dfer"])
def test_networks_without_clip_have_torchs_logits(method, tmp_path):
    run = network(method)
    graph.write_graph(run, tmp_path / "model.onnx")
    assert max(differences(run, tmp_path / "model.onnx")) < WITHIN


@pytest.mark.slow
def test_equal_runs_give_equal_graphs(onnx_package, tmp_path):
    graph.write_graph(small_run(), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == (onnx_package / "model.onnx").read_bytes()


def test_the_run_itself_is_left_as_it_is(onnx_package):
    """The Bi-LSTM is replaced in a copy."""
    run = small_run()
    before = [type(module) for module in run.model.modules()]
    graph.Graph(run)
    assert [type(module) for module in run.model.modules()] == before


def test_a_method_that_cannot_be_exported_is_refused_by_its_name(tmp_path, monkeypatch):
    run = small_run()
    monkeypatch.setattr(run.model, "aggregate", lambda z: z.mean(1) if z.sum() > 0 else z[:, 0])
    with pytest.raises(UserError, match="bidirectional cannot be exported to ONNX"):
        graph.write_graph(run, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_graph_that_is_not_the_model_is_refused_and_removed(onnx_package, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes((onnx_package / "model.onnx").read_bytes())
    run = small_run()
    frames = graph._frames(run, 5)
    expected = np.zeros((5, 3), np.float32)
    with pytest.raises(UserError, match=r"bidirectional .* logits are off by"):
        graph._compare(path, frames.numpy(), expected, "bidirectional")


def test_what_is_too_large_or_not_installed_is_told_first(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(graph, "LARGEST", 1000)
        with pytest.raises(UserError, match="holds less than 2"):
            graph.write_graph(small_run(), tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"package onnxscript .*pip install 'dfer\[onnx\]'"):
        graph.write_graph(small_run(), tmp_path / "model.onnx")
