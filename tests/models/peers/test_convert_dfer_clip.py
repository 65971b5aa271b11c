"""Published checkpoints of DFER-CLIP: read without running anything, and the same model."""

import json
import os
import sys
import types

import numpy as np
import pytest
import torch
from mini import GOLDEN, WORDS, clips, fill, value, write

from dfer.errors import UserError
from dfer.methods.dfer_clip import Settings
from dfer.models.checkpoint import load_run
from dfer.models.method import build
from dfer.models.peers import convert_dfer_clip as convert
from dfer.training.text import text_features

DESCRIPTORS = dict(zip(WORDS, GOLDEN["texts"], strict=True))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write(tmp_path_factory.mktemp("mini"))


@pytest.fixture(scope="module", params=[1, 0], ids=["with TM", "without TM"])
def model(backbone, request):
    settings = Settings(frames=16, temporal_layers=request.param, descriptors=DESCRIPTORS)
    made = build(settings, backbone, WORDS, torch.zeros(7, 512)).eval()
    made.context.data.copy_(value("prompt.ctx.class", *made.context.shape))
    if made.temporal is not None:
        fill(made.temporal, "tm.")
    return made


def published(model):
    """The model by the names of the authors' code, all that it holds twice and more included."""
    state = model.state_dict()

    def under(prefix):
        return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

    rows, ends = state["learner.embedded"], state["learner.ends"]
    suffix = torch.zeros(7, 68, 128)
    for row, end, out in zip(rows, ends, suffix, strict=True):
        out[: end - 8] = row[9 : end + 1]
    theirs = {
        "prompt_learner.ctx": state["context"],
        "prompt_learner.token_prefix": rows[:, :1],
        "prompt_learner.token_suffix": suffix,
        "clip_model_.token_embedding.weight": value("token_embedding.weight", 49408, 128),
        "clip_model_.logit_scale": torch.tensor(4.6),
    }
    for name, tensor in under("image.").items():
        theirs |= {f"image_encoder.{name}": tensor, f"clip_model_.visual.{name}": tensor}
    for name, tensor in under("tower.").items():
        theirs |= {f"text_encoder.{name}": tensor, f"clip_model_.{name}": tensor}
    layer = "temporal_net.temporal_transformer.layers"
    places = {"ln_attn": "0.fn.norm", "qkv": "0.fn.fn.to_qkv", "out": "0.fn.fn.to_out.0"}
    places |= {"ln_mlp": "1.fn.norm", "fc1": "1.fn.fn.net.0", "fc2": "1.fn.fn.net.3"}
    for name, tensor in under("temporal.").items():
        if name in ("cls_token", "pos_embedding"):
            theirs[f"temporal_net.{name}"] = tensor
        else:
            _, number, part, kind = name.split(".")
            theirs[f"{layer}.{number}.{places[part]}.{kind}"] = tensor
    return {f"module.{name}": tensor for name, tensor in theirs.items()}


@pytest.fixture
def script(monkeypatch):
    """The authors' training script, as its objects are pickled by it; gone when they are read."""
    module = types.ModuleType("training_script")
    module.RecorderMeter = type("RecorderMeter", (), {"__module__": "training_script"})
    monkeypatch.setitem(sys.modules, "training_script", module)
    return module


def save(path, model, script, **more):
    """A file of the published form: weights, optimiser, and an object with NumPy arrays in it."""
    recorder = script.RecorderMeter()
    recorder.epoch_accuracy = np.zeros((50, 2), np.float32)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1).state_dict()
    content = {"epoch": 50, "best_acc": torch.tensor(71.0), "recorder": recorder}
    content |= {"state_dict": published(model), "optimizer": optimiser}
    torch.save(content | more, path)
    del sys.modules["training_script"]


def arguments(path, backbone, out, descriptors=DESCRIPTORS, words=WORDS):
    text = {"model": backbone.model, "weights": backbone.weights}
    words = [
        *("--published", path, "--dataset", "dfew", "--fold", 2, "--out", out),
        *("--classes", json.dumps({word.upper(): word for word in words})),
        *("--descriptors", json.dumps(descriptors), "--backbone", json.dumps(text)),
    ]
    return convert.parser().parse_args(list(map(str, words)))


def test_a_published_checkpoint_becomes_a_run(tmp_path, model, backbone, script, capsys):
    save(tmp_path / "theirs.pth", model, script)
    with pytest.raises(Exception, match="Unsupported global"):
        torch.load(tmp_path / "theirs.pth", weights_only=True)
    convert.main(arguments(tmp_path / "theirs.pth", backbone, tmp_path / "run.safetensors"))
    assert "7 classes, other descriptors" in capsys.readouterr().out
    run = load_run(tmp_path / "run.safetensors")
    assert run.classes == [word.upper() for word in WORDS] and run.fold == 2
    assert run.settings.model == model.settings and run.settings.protocol == "as_published"
    assert run.settings.train.sampler == "dfer_clip" and run.pixels[0] == (0.0, 0.0, 0.0)
    with torch.inference_mode():
        assert torch.equal(run.model(clips(16)), model(clips(16)))
    words = text_features(backbone, list(WORDS))
    torch.testing.assert_close(run.text, words, rtol=0, atol=1e-4)


class Touch:
    """What a file can ask a pickle to do."""

    def __init__(self, function, *words):
        self.asked = function, words

    def __reduce__(self):
        return self.asked


def test_nothing_that_a_file_asks_for_is_done(tmp_path, model, backbone, script):
    """A function of a module that torch does not refuse outright is not called, but stood for."""
    mark = tmp_path / "mark"
    asked = Touch(np.save, str(mark), [1])
    save(tmp_path / "theirs.pth", model, script, asked=asked)
    convert.main(arguments(tmp_path / "theirs.pth", backbone, tmp_path / "run.safetensors"))
    assert not list(tmp_path.glob("mark*"))


@pytest.mark.parametrize("function", [os.system, os.mkdir, eval])
def test_a_file_that_asks_for_the_machine_is_refused_or_comes_to_nothing(
    tmp_path, model, backbone, script, function
):
    mark = tmp_path / "mark"
    word = f"touch {mark}" if function is os.system else str(mark)
    word = f"open({str(mark)!r}, 'w')" if function is eval else word
    save(tmp_path / "theirs.pth", model, script, asked=Touch(function, word))
    try:
        convert.read_weights(tmp_path / "theirs.pth")
    except UserError as error:
        assert "not a checkpoint of DFER-CLIP that can be read safely" in str(error)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"fear": "a grey dog."}, r"'a grey dog\.': not what .* with for 'fear'"),
        (lambda d: {k: v for k, v in d.items() if k != "anger"}, "without a descriptor .*anger"),
    ],
)
def test_other_descriptors_are_refused(tmp_path, model, backbone, script, change, message):
    save(tmp_path / "theirs.pth", model, script)
    given = arguments(tmp_path / "theirs.pth", backbone, tmp_path / "r", change(DESCRIPTORS))
    with pytest.raises(UserError, match=message):
        convert.main(given)


def test_classes_in_another_order_are_refused(tmp_path, model, backbone, script):
    save(tmp_path / "theirs.pth", model, script)
    given = arguments(tmp_path / "theirs.pth", backbone, tmp_path / "r", words=WORDS[::-1])
    with pytest.raises(UserError, match="in its order of classes"):
        convert.main(given)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", None])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "x.pth"
    if content is None:
        torch.save({"weights": torch.zeros(2)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.pth: not a checkpoint of DFER-CLIP"):
        convert.read_weights(path)
