"""The fast parts against torch's own, written plainly: numbers and gradients in float64."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from goldens import fill, normal
from plain import plain

from dfer.models.backbone import vision_config
from dfer.models.lstm import BiLSTM
from dfer.models.recogniser import Recogniser
from dfer.models.vit import PatchEmbedding
from dfer.settings import ModelSettings

TINY = str(Path(__file__).parents[2] / "config" / "backbone" / "tiny.json")
CASES = {
    "full": ({}, 2, 8),
    "one clip": ({}, 1, 8),
    "joint pairing": ({"pairing": "joint"}, 2, 8),
    "without InterFIT": ({"interfit": False}, 2, 8),
    "16 frames": ({"frames": 16, "kernels": (5, 6, 7), "strides": (3, 3, 3)}, 2, 16),
    "one frame": ({"frames": 1, "aggregation": "mean", "blocks": 0}, 2, 1),
    "linear head": ({"blocks": 0, "head": "linear"}, 2, 8),
}


def recogniser(**settings):
    model = Recogniser(ModelSettings(**settings), vision_config(TINY), normal(7, 7, 32))
    return fill(model).double()


def gradients(model, clips, **of_features):
    """Logits, and the gradient of their loss for each parameter."""
    logits = model.classify(model.features(clips, **of_features))
    loss = F.cross_entropy(logits, torch.arange(len(clips)))
    found = torch.autograd.grad(loss, list(model.parameters()))
    return logits, dict(zip(dict(model.named_parameters()), found, strict=True))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_logits_and_all_gradients_are_those_of_the_plain_model(name, checkpointing):
    settings, batch, frames = CASES[name]
    model = recogniser(**settings)
    clips = normal(8, batch, frames, 3, 32, 32).double()
    expected, slopes = gradients(plain(model), clips)
    model.image.gradient_checkpointing = checkpointing
    logits, found = gradients(model, clips)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)  # cosines are in float32
    largest = max(slope.abs().max() for slope in slopes.values())
    for parameter, slope in slopes.items():
        torch.testing.assert_close(
            found[parameter], slope, rtol=1e-4, atol=float(1e-6 * largest), msg=parameter
        )


def test_features_are_those_of_the_plain_model_to_float64():
    model, clips = recogniser(), normal(8, 2, 8, 3, 32, 32).double()
    plainly = plain(model)
    torch.testing.assert_close(model.features(clips), plainly.features(clips), rtol=1e-9, atol=1e-9)
    slopes, expected = (
        torch.autograd.grad(
            m.features(clips).square().sum(), [*m.image.parameters(), *m.interfit.parameters()]
        )
        for m in (model, plainly)
    )
    for slope, other in zip(slopes, expected, strict=True):
        torch.testing.assert_close(slope, other, rtol=1e-8, atol=1e-8)


def test_maps_change_no_number():
    model, clips = recogniser(), normal(8, 2, 8, 3, 32, 32).double()
    expected, slopes = gradients(model, clips)
    logits, found = gradients(model, clips, maps=[])
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    assert found.keys() == slopes.keys()
    largest = max(slope.abs().max() for slope in slopes.values())
    for parameter, slope in slopes.items():
        torch.testing.assert_close(
            found[parameter], slope, rtol=1e-4, atol=float(1e-6 * largest), msg=parameter
        )


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 5), (3, 1), (3, 8)])
def test_lstm_is_torch_s(batch, steps):
    lstm, x = fill(BiLSTM(6)).double(), normal(1, batch, steps, 6).double().requires_grad_()
    other = torch.nn.LSTM(6, 6, batch_first=True, bidirectional=True).double()
    other.load_state_dict(lstm.state_dict())
    towards = normal(2, batch, steps, 12).double()
    output, expected = lstm(x), other(x)[0]
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
    found = torch.autograd.grad((output * towards).sum(), [x, *lstm.parameters()])
    slopes = torch.autograd.grad((expected * towards).sum(), [x, *other.parameters()])
    for slope, theirs in zip(found, slopes, strict=True):
        torch.testing.assert_close(slope, theirs, rtol=1e-10, atol=1e-12)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = lstm.float()(x.float())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded.double(), expected, rtol=0.02, atol=0.01)


def test_patches_are_the_convolution_and_a_rest_is_left_out():
    embed, images = fill(PatchEmbedding(5, 4)).double(), normal(1, 2, 3, 14, 9).double()
    expected = F.conv2d(images, embed.weight, stride=4).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embed(images), expected, rtol=1e-12, atol=1e-12)
