"""The whole model: every variant of the tables, what is frozen, what figures read from it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from goldens import check, fill, normal

from dfer.demo.small_backbone import new_backbone
from dfer.errors import UserError
from dfer.models.backbone import vision_config
from dfer.models.method import build
from dfer.models.recogniser import Recogniser
from dfer.provenance import modules
from dfer.settings import BackboneSettings, ModelSettings
from dfer.training.text import text_features

ROOT = Path(__file__).parents[2]
TINY = str(ROOT / "config" / "backbone" / "tiny.json")
WORDS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
CLASSES = len(WORDS)
PLAIN = {"interfit": False, "aggregation": "mean"}
VARIANTS = {
    "baseline": PLAIN | {"blocks": 0},
    "+InterFIT": {"aggregation": "mean", "blocks": 0},
    "+InterFIT+MSTA": {"blocks": 0},
    "w/o text": {"blocks": 0, "head": "linear"},
    **{f"M={m}": {"blocks": m} for m in range(1, 6)},
    "w/o InterFIT, MSTA, VP": PLAIN | {"prompts": "text"},
    "w/o InterFIT, MSTA": PLAIN,
    "joint pairing": {"pairing": "joint"},
    "joint pairing, text prompt": {"pairing": "joint", "prompts": "text"},
    "learnt temperature": {"learn_temperature": True},
    "MSTA alone": {"interfit": False, "blocks": 0},
    "16 frames": {"frames": 16, "kernels": (5, 6, 7), "strides": (3, 3, 3)},
}


def recogniser(**settings):
    return fill(Recogniser(ModelSettings(**settings), vision_config(TINY), normal(7, CLASSES, 32)))


def clips(batch=2, frames=8):
    return normal(8, batch, frames, 3, 32, 32)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_learns_with_all_its_parameters(name):
    torch.manual_seed(0)
    settings = ModelSettings(**VARIANTS[name])
    model = build(settings, BackboneSettings(TINY, None), WORDS, normal(7, CLASSES, 32))
    inputs, labels = clips(4, settings.frames), torch.tensor([0, 2, 4, 6])
    logits = model(inputs)
    assert logits.shape == (4, CLASSES)
    assert logits.dtype == torch.float32
    first = F.cross_entropy(logits, labels)
    first.backward()
    assert all(p.grad is not None for p in model.parameters())
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(8):
        optimiser.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimiser.step()
    assert loss < first / 2


@pytest.mark.parametrize("name", VARIANTS)
def test_clips_of_a_batch_do_not_see_each_other(name):
    model = recogniser(**VARIANTS[name]).eval()
    inputs = clips(3, model.settings.frames)
    with torch.inference_mode():
        alone = torch.cat([model(clip) for clip in inputs.split(1)])
        torch.testing.assert_close(model(inputs), alone, rtol=1e-4, atol=1e-4)


def test_logits_are_cosines_over_the_temperature():
    model = recogniser(temperature=0.05)
    v = model.features(clips())
    k_hat, v_hat = (x.detach().double().numpy() for x in model.prompts(v))
    assert k_hat.shape == v_hat.shape == (2, CLASSES, 32)
    logits = model(clips()).detach().numpy()
    for b in range(2):
        for j in range(CLASSES):
            lengths = np.linalg.norm(v_hat[b, j]) * np.linalg.norm(k_hat[b, j])
            expected = v_hat[b, j] @ k_hat[b, j] / lengths / 0.05
            assert logits[b, j] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_baseline_is_clip_s_own_zero_shot_rule_on_the_mean_feature(tmp_path):
    backbone = new_backbone(TINY, seed=0)
    torch.save(backbone.state_dict(), tmp_path / "backbone.pt")
    settings = BackboneSettings(TINY, str(tmp_path / "backbone.pt"))
    text = text_features(settings, ["happiness", "sadness", "fear"])
    model = build(ModelSettings(**VARIANTS["baseline"]), settings, WORDS, text)
    with torch.inference_mode():
        image = backbone.encode_image(clips().flatten(0, 1)).unflatten(0, (2, 8)).mean(1)
        expected = 100 * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
        torch.testing.assert_close(model(clips()), expected, rtol=0, atol=1e-4)


def test_frames_in_another_order_matter_to_the_full_model_alone():
    turned = clips().flip(1)
    with torch.inference_mode():
        baseline, full = recogniser(**VARIANTS["baseline"]), recogniser()
        torch.testing.assert_close(baseline(clips()), baseline(turned), rtol=1e-4, atol=1e-3)
        assert (full(clips()) - full(turned)).abs().max() > 0.1


def test_text_features_are_frozen_and_travel_with_the_checkpoint():
    model = recogniser(learn_temperature=True)
    before = model.text.clone()
    assert "text" not in dict(model.named_parameters())
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    F.cross_entropy(model(clips()), torch.tensor([1, 2])).backward()
    optimiser.step()
    assert model.text.grad is None
    assert torch.equal(model.text, before)
    other = Recogniser(model.settings, vision_config(TINY), torch.zeros(CLASSES, 32))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(clips()), model(clips()))


def test_new_parameters_are_all_but_clip_s():
    model = recogniser()
    new = model.new_parameters()
    tower = sum(p.numel() for p in model.image.parameters())
    assert sum(p.numel() for p in new.values()) + tower == sum(
        p.numel() for p in model.parameters()
    )
    assert {name.partition(".")[0] for name in new} == {"interfit", "msta", "biehpro"}
    assert not recogniser(**VARIANTS["baseline"]).new_parameters()


def test_checkpointing_changes_memory_not_gradients():
    model = recogniser()
    gradients = []
    for checkpointing in (False, True):
        model.image.gradient_checkpointing = checkpointing
        model.zero_grad()
        model(clips()).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(map(torch.equal, *gradients))


def test_attention_maps_are_distributions_and_cost_nothing_unasked():
    model, maps = recogniser(), []
    v = model.features(clips(), maps)
    torch.testing.assert_close(v, model.features(clips()))
    assert [m.shape for m in maps] == [(16, 2, 6, 6)] * 2  # class, 4 patches, interaction token
    torch.testing.assert_close(maps[0].sum(-1), torch.ones(16, 2, 6))
    (gradient,) = torch.autograd.grad(model.classify(v)[0, 0], maps[-1])
    assert gradient[:8].any()  # of the first clip's frames
    assert not gradient[8:].any()


def test_bfloat16_stays_near_float32():
    torch.manual_seed(0)
    model = build(
        ModelSettings(), BackboneSettings(TINY, None), WORDS, normal(7, CLASSES, 32)
    ).eval()
    with torch.inference_mode():
        exact = model(clips())
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(clips())
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, exact, rtol=0, atol=1.0)  # of ±100: cosines to 0.01


def test_a_variant_s_code_is_only_what_it_uses():
    optional = {f"dfer.models.{name}" for name in ("interfit", "msta", "biehpro")}
    assert optional < set(modules("dfer.models.recogniser"))
    assert not optional & set(modules("dfer.models.recogniser", without=optional))
    importing = re.compile(r"(from|import) dfer\.models\.(interfit|msta|biehpro)\b")
    sources = (ROOT / "src" / "dfer").rglob("*.py")
    found = {path.name for path in sources if importing.search(path.read_text(encoding="utf-8"))}
    assert found == {"recogniser.py"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "linear", "blocks": 2}, r"head: linear has no text for the 2 blocks"),
        ({"frames": 16}, r"MSTA cannot sum its scales"),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        recogniser(**settings)


def test_inputs_of_another_shape_are_refused():
    with pytest.raises(UserError, match=r"\(2, 6, 3, 32, 32\).*T = 8"):
        recogniser()(clips(frames=6))
    with pytest.raises(UserError, match=r"\(2, 8, 3, 16, 16\).*\(B, T, 3, 32, 32\)"):
        recogniser()(clips()[..., :16, :16])
    with pytest.raises(UserError, match=r"24 dimensions and the image tower has 32"):
        Recogniser(ModelSettings(), vision_config(TINY), torch.zeros(CLASSES, 24))


@pytest.mark.parametrize("name", ["baseline", "w/o text", "M=2"])
def test_golden(name):
    check("recogniser-" + re.sub(r"\W+", "-", name), recogniser(**VARIANTS[name])(clips()))
