"""Precision: what `auto` comes to on each machine, and weights in it for an evaluation."""

import pytest
import torch
from goldens import normal
from small_run import small_run

from dfer.settings import BackboneSettings, RunSettings, TrainSettings
from dfer.training import device as stage
from dfer.training.train import decisive

WIDE, CPU = "ViT-B-32-quickgelu", torch.device("cpu")


def settings(model):
    return RunSettings(BackboneSettings(model, None))


@pytest.mark.parametrize(
    ("width", "precision", "native", "expected"),
    [
        (768, "auto", True, torch.bfloat16),
        (768, "auto", False, torch.float32),
        (32, "auto", True, torch.float32),
        (32, "bf16", False, torch.bfloat16),
        (768, "fp32", True, torch.float32),
    ],
)
def test_auto_is_bf16_for_wide_towers_on_a_cpu_that_multiplies_it(
    monkeypatch, width, precision, native, expected
):
    monkeypatch.setattr(stage, "multiplies_bf16", lambda: native)
    assert stage.precision(TrainSettings(precision=precision), width, CPU) == expected


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"architecture": "aarch64"}, False),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True, "amx_bf16": False}, True),  # Zen 4
        ({"avx512_bf16": True, "amx_bf16": True}, True),  # Sapphire Rapids
    ],
)
def test_a_cpu_multiplies_bf16_by_either_of_two_sets_of_instructions(
    monkeypatch, capabilities, expected
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert stage.multiplies_bf16() is expected


def test_precision_is_part_of_what_decides_a_run(monkeypatch):
    parts = []
    for native in (False, True):
        monkeypatch.setattr(stage, "multiplies_bf16", lambda native=native: native)
        parts.append(decisive(stage.machine(settings(WIDE), CPU, 1)))
    assert [part.pop("precision") for part in parts] == ["float32", "bfloat16"]
    assert parts[0] == parts[1]


def test_weights_cast_once_give_what_autocast_gives_and_come_back():
    model, clips = small_run().model, normal(8, 2, 8, 3, 32, 32)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = model(clips)
        with stage.weights_in(model, torch.bfloat16):
            assert model.image.transformer.resblocks[0].attn.in_proj_weight.dtype == torch.bfloat16
            assert torch.equal(model(clips), expected)
    for name, p in model.named_parameters():
        assert p.dtype == torch.float32, name
        assert torch.equal(p, before[name]), name
    model(clips).sum().backward()  # training goes on
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


def test_weights_come_back_after_an_error():
    model = small_run().model
    with pytest.raises(KeyError), stage.weights_in(model, torch.bfloat16):
        raise KeyError
    assert {p.dtype for p in model.parameters()} == {torch.float32}
