"""Heat maps: against plain loops and finite differences, and models that look at one patch only."""

from pathlib import Path

import numpy as np
import pytest
import torch
from goldens import fill, normal

from dfer.analysis.relevance import relevance, upsample
from dfer.models.backbone import vision_config
from dfer.models.recogniser import Recogniser
from dfer.settings import ModelSettings

TINY = str(Path(__file__).parents[2] / "config" / "backbone" / "tiny.json")
LAYERS, HEADS, PATCHES, CLASSES = 2, 2, 4, 3
PLAIN = {"interfit": False, "aggregation": "mean", "blocks": 0}
VARIANTS = {
    "baseline": PLAIN,
    "full": {"blocks": 1},
    "w/o text": {"blocks": 0, "head": "linear"},
    "two frames": {"frames": 2, "aggregation": "mean", "blocks": 1, "temperature": 0.02},
}


def recogniser(**settings):
    model = Recogniser(ModelSettings(**settings), vision_config(TINY), normal(7, CLASSES, 32))
    return fill(model).eval()


def clips(model, batch=2):
    return normal(8, batch, model.settings.frames, 3, 32, 32)


def attention(model, inputs):
    """Weights (layers, frames, heads, tokens, tokens) of one clip, float64."""
    maps = []
    model.features(inputs, maps)
    return torch.stack(maps).detach().double().numpy()


@pytest.mark.slow
@pytest.mark.parametrize("label", range(CLASSES))
def test_relevance_is_what_finite_differences_say(label, monkeypatch):
    """The gradient by moving every attention weight of every frame, InterFIT's effects included."""
    model = recogniser(**VARIANTS["two frames"])
    inputs, frames = clips(model, 1), 2
    weights = attention(model, inputs)
    moved: dict = {}
    calls = []

    def attend(self, x, maps=None, queries=None):
        """`SelfAttention.forward` of the tower, all queries, with one weight moved by `moved`."""
        q, k, v = self._split(
            torch.nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias), 3
        )
        a = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
        if len(calls) == moved["layer"]:
            a = a.clone()
            a[moved["at"]] += moved["by"]
        calls.append(1)
        return self._merge(a @ v)

    for block in model.image.transformer.resblocks:
        monkeypatch.setattr(block.attn, "forward", attend.__get__(block.attn))

    def logit(layer, at, by):
        calls.clear()
        moved.update(layer=layer, at=at, by=by)
        with torch.no_grad():
            return float(model(inputs)[0, label])

    step = 0.01
    rows = np.stack([np.eye(1 + PATCHES)] * frames)
    for layer in range(LAYERS):
        gain = np.zeros((frames, 1 + PATCHES, 1 + PATCHES))
        for frame, head, i, j in np.ndindex(frames, HEADS, 1 + PATCHES, 1 + PATCHES):
            at = frame, head, i, j
            slope = (logit(layer, at, step) - logit(layer, at, -step)) / (2 * step)
            gain[frame, i, j] += max(0, slope * weights[layer][at]) / HEADS
        rows = rows + gain @ rows
    expected = rows[:, 0, 1:].reshape(frames, 2, 2)
    monkeypatch.undo()
    maps = relevance(model, inputs, torch.tensor([label]))[0].numpy()
    np.testing.assert_allclose(maps, expected / expected.sum(), rtol=2e-3, atol=1e-4)


def forced(patch, head):
    """A tower whose attention all goes to one patch, under a head of two opposite classes."""
    settings = {**PLAIN, "head": head}
    direction = normal(3, 32)
    text = torch.stack([direction, -direction])
    model = fill(Recogniser(ModelSettings(**settings), vision_config(TINY), text)).eval()
    with torch.no_grad():
        model.image.conv1.weight *= 0.01  # places, not contents, tell the patches apart
        model.image.positional_embedding *= 0.1
        model.image.positional_embedding[1 + patch, 5] = 20.0
        model.image.ln_pre.weight.fill_(1).narrow(0, 5, 1).fill_(2)
        for block in model.image.transformer.resblocks:
            block.ln_1.weight.fill_(1)
            block.ln_1.bias.zero_()
            block.attn.in_proj_weight[:64].zero_()
            block.attn.in_proj_bias.zero_()
            for first in (0, 16):  # of each head: every query asks for what only channel 5 gives
                block.attn.in_proj_bias[first] = 30.0
                block.attn.in_proj_weight[32 + first, 5] = 10.0
        if head == "linear":
            model.linear.weight.copy_(text)
            model.linear.bias.zero_()
    return model


@pytest.mark.parametrize("head", ["text", "linear"])
@pytest.mark.parametrize("patch", range(PATCHES))
def test_a_model_that_sees_one_patch_has_its_peak_there(patch, head):
    model = forced(patch, head)
    inputs = clips(model, 1)
    assert (attention(model, inputs)[..., 0, 1 + patch] > 0.99).all()
    place = divmod(patch, 2)
    both = relevance(model, inputs.expand(2, -1, -1, -1, -1), torch.tensor([0, 1]))
    for maps in both:
        frames = maps.flatten(1).sum(1) > 1e-3
        assert (maps[frames].flatten(1).argmax(1) == patch).all()
        assert maps[:, place[0], place[1]].sum() > 0.95 or maps.sum() == 0
    assert both.sum() > 0


def test_opposite_classes_have_opposite_evidence():
    """Where the logit of one falls, that of the other rises: no weight speaks for both."""
    model = recogniser(**PLAIN, head="linear")
    with torch.no_grad():
        model.linear.weight[1] = -model.linear.weight[0]
        model.image.transformer.resblocks = model.image.transformer.resblocks[-1:]
    inputs, maps = clips(model, 1), []
    logits = model.classify(model.features(inputs, maps))
    gradients = [torch.autograd.grad(logits[0, c], maps, retain_graph=True)[0] for c in (0, 1)]
    torch.testing.assert_close(gradients[0], -gradients[1])
    one, other = (relevance(model, inputs, torch.tensor([c])) for c in (0, 1))
    expected = (gradients[0] * maps[0]).clamp(min=0).mean(1)[:, 0, 1:]
    torch.testing.assert_close(one.flatten(), (expected / expected.sum()).flatten())
    assert not torch.allclose(one, other, atol=0.01)


@pytest.mark.parametrize("name", VARIANTS)
def test_maps_are_shares(name):
    model = recogniser(**VARIANTS[name])
    frames = model.settings.frames
    labels = torch.tensor([2, 0])
    maps = relevance(model, clips(model), labels)
    assert maps.shape == (2, frames, 2, 2)
    assert maps.dtype == torch.float32
    assert (maps >= 0).all()
    assert not maps.requires_grad
    torch.testing.assert_close(maps.sum((1, 2, 3)), torch.ones(2))
    alone = [relevance(model, clips(model)[[i]], labels[[i]]) for i in (0, 1)]
    torch.testing.assert_close(maps, torch.cat(alone), rtol=1e-3, atol=1e-5)
    assert all(p.grad is None for p in model.parameters())


def test_needs_no_gradients_of_the_caller_or_the_parameters():
    model = recogniser(blocks=1)
    inputs, labels = clips(model), torch.tensor([1, 1])
    expected = relevance(model, inputs, labels)
    model.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(relevance(model, inputs, labels), expected)


def test_a_class_without_any_evidence_has_empty_maps():
    model = recogniser(**PLAIN, head="linear")
    with torch.no_grad():
        model.linear.weight.zero_()
    maps = relevance(model, clips(model), torch.tensor([0, 1]))
    assert not maps.any()
    assert not upsample(maps[0], 32).any()


def test_upsampled_maps_are_bilinear_between_the_centres_of_patches():
    maps = torch.zeros(2, 2, 2)
    maps[0, 0, 1], maps[1, 1, 1] = 4.0, 1.0
    large = upsample(maps, 32)
    assert large.shape == (2, 32, 32)
    assert large.max() == 1
    assert large[1].max() == 0.25  # the scale is the clip's, not the frame's
    assert (large[0, :8, 24:] == 1).all()  # beyond the patch's centre it stays
    column = large[0, 0]  # centres lie at pixels 7.5 and 23.5
    torch.testing.assert_close(column[8:24], (torch.arange(8, 24) - 7.5) / 16)
    inner = torch.zeros(1, 4, 4)
    inner[0, 1, 2] = 0.5  # no pixel lies right at the centre of a patch of even size
    assert upsample(inner, 32).max() == 1
