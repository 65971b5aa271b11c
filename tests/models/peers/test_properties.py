"""What holds of the methods whatever their weights; on the mini CLIP."""

import hashlib

import pytest
import torch
import torch.nn.functional as F
from mini import ARCHITECTURE, GOLDEN, WORDS, clips, value, write

from dfer.analysis.relevance import relevance
from dfer.errors import UserError
from dfer.methods import cliper, cocoop, coop, dfer_clip, zero_shot
from dfer.models.checkpoint import TrainedRun, load_run, save_run
from dfer.models.method import build, part_of
from dfer.models.peers import cliper as cliper_model
from dfer.models.peers import dfer_clip as dfer_clip_model
from dfer.settings import RunSettings, TrainSettings
from dfer.training.device import weights_in
from dfer.training.optimiser import new_optimiser

DESCRIPTORS = dict(zip(WORDS, GOLDEN["texts"], strict=True))
METHODS = {
    "zero_shot": zero_shot.Settings(),
    "coop": coop.Settings(context=4),
    "cocoop": cocoop.Settings(),
    "dfer_clip": dfer_clip.Settings(descriptors=DESCRIPTORS),
    "dfer_clip w/o TM": dfer_clip.Settings(descriptors=DESCRIPTORS, temporal_layers=0),
    "cliper": cliper.Settings(),
}
TRAINED = {
    "coop": {"context"},
    "cocoop": {"context", "meta_net"},
    "dfer_clip": {"image", "temporal", "context"},
    "dfer_clip w/o TM": {"image", "context"},
    "cliper": {"image", "context"},
}
LABELS = torch.tensor([2, 5])


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write(tmp_path_factory.mktemp("mini"))


@pytest.fixture
def model(backbone):
    def make(settings):
        torch.manual_seed(0)
        return build(settings, backbone, WORDS, torch.zeros(7, 512)).eval()

    return make


def step(model, recipe):
    """One training step; the parts that it changed."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = new_optimiser(model.train(), recipe)
    loss, _ = model.loss(model.features(clips(8)), LABELS)
    loss.backward()
    optimiser.step()
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    return {part_of(name) for name in changed}


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_step_changes_what_the_method_trains_and_nothing_else(model, name, optimiser):
    """Weight decay, too, leaves the towers alone that are frozen."""
    recipe = TrainSettings(optimiser=optimiser, lr=1e-3, weight_decay=0.1, decay_all=True)
    assert step(model(METHODS[name]), recipe) == TRAINED[name]


@pytest.mark.parametrize("frozen", [("image",), ("context", "temporal")])
def test_a_recipe_freezes_parts_more(model, frozen):
    recipe = TrainSettings(lr=1e-3, frozen=frozen)
    changed = step(model(METHODS["dfer_clip"]), recipe)
    assert changed == {"image", "context", "temporal"} - set(frozen)


def test_the_class_features_follow_the_training(model):
    """Those that evaluation keeps are not those of before the step."""
    made = model(METHODS["coop"])
    with torch.no_grad():
        first = made(clips(8))
    step(made, TrainSettings(lr=0.1))
    with torch.no_grad():
        assert not torch.allclose(made.eval()(clips(8)), first, atol=1e-2)


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_frames_matters_to_the_temporal_model_alone(model, name):
    made = model(METHODS[name])
    with torch.inference_mode():
        difference = (made(clips(8)) - made(clips(8).flip(1))).abs().max()
    assert difference > 0.1 if name == "dfer_clip" else difference < 1e-4


@pytest.mark.parametrize("name", METHODS)
def test_clips_of_a_batch_do_not_see_each_other(model, name):
    made = model(METHODS[name])
    with torch.inference_mode():
        alone = torch.cat([made(clip) for clip in clips(8).split(1)])
        torch.testing.assert_close(made(clips(8)), alone, rtol=1e-4, atol=1e-4)


def test_a_meta_net_without_weights_makes_cocoop_coop(model):
    conditional, plain = model(METHODS["cocoop"]), model(METHODS["coop"])
    with torch.no_grad():
        conditional.meta_net.linear2.weight.zero_()
        plain.context.copy_(conditional.context + conditional.meta_net.linear2.bias)
        logits = conditional(clips(8))
        torch.testing.assert_close(logits, plain(clips(8)), rtol=0, atol=1e-4)
        conditional.meta_net.linear2.weight.normal_()
        assert not torch.allclose(conditional(clips(8)), logits, atol=0.1)


def test_a_context_of_a_template_s_words_makes_coop_zero_shot(model):
    plain = model(coop.Settings(context=3, init="an expression of"))
    zero = model(zero_shot.Settings())
    with torch.inference_mode():
        torch.testing.assert_close(plain(clips(8)), zero(clips(8)), rtol=0, atol=1e-4)


def test_words_that_do_not_fit_the_context_are_refused(model):
    with pytest.raises(UserError, match=r"init: 'a photo of a' has 4 tokens, and .* is 16"):
        model(coop.Settings(init="a photo of a"))


def test_a_prompt_that_is_longer_than_the_tower_reads_is_named(model):
    with pytest.raises(UserError, match=r"the prompt 'v v .* happiness \.' has 8\d tokens.*77"):
        model(coop.Settings(context=80))


def test_what_stands_behind_the_end_token_changes_nothing(model):
    """So prompts are encoded up to the longest end token."""
    made = model(METHODS["dfer_clip"])
    learner, short = made.learner, made.prompt_features()
    rest = 77 - learner.tokens.shape[1]
    assert rest > 40
    learner.tokens = F.pad(learner.tokens, (0, rest))
    learner.places = F.pad(learner.places, (0, rest), value=-1)
    learner.embedded = F.pad(learner.embedded, (0, 0, 0, rest), value=3.0)
    torch.testing.assert_close(made.prompt_features(), short, rtol=0, atol=1e-5)


def test_with_one_subclass_cliper_s_loss_is_twice_cross_entropy():
    s, labels = 10 * value("input.cliper.logits", 12, 35).view(35, 12, 1), torch.arange(35) % 12
    assert torch.equal(cliper_model.weights(s, labels), torch.ones(35))
    fine = cliper_model.fine_terms(s, labels).mean()
    plain = F.cross_entropy(s[..., 0], labels)
    torch.testing.assert_close(cliper_model.margin_term(s, labels) + fine, 2 * plain)


def test_rarer_subclasses_weigh_more():
    s, labels = torch.zeros(4, 2, 2), torch.zeros(4, dtype=torch.int64)
    s[:3, 0, 0] = s[3, 0, 1] = 1.0
    alpha = cliper_model.weights(s, labels)
    assert (alpha[3] > alpha[:3]).all() and len(set(alpha[:3].tolist())) == 1


@pytest.mark.parametrize("name", METHODS)
def test_a_run_is_one_file(model, backbone, tmp_path, name):
    """No CLIP, no configuration and no text is read with it."""
    settings = RunSettings(model=METHODS[name])
    made = model(settings.model)
    if hasattr(made, "context"):
        torch.nn.init.normal_(made.context)
    run = TrainedRun(
        model=made,
        settings=settings,
        architecture=ARCHITECTURE,
        pixels=((0.0,) * 3, (1.0,) * 3),
        text=torch.zeros(7, 512),
        dataset="mine",
        classes=list(WORDS),
        words=list(WORDS),
        landmarks=None,
        synthetic=True,
        fold=1,
        seed=0,
    )
    save_run(run, tmp_path / "run.safetensors")
    read = load_run(tmp_path / "run.safetensors")
    assert read.settings == settings
    with torch.inference_mode():
        assert torch.equal(read.model(clips(8)), made(clips(8)))


@pytest.mark.parametrize("name", METHODS)
def test_heat_maps_of_every_method(model, name):
    maps = relevance(model(METHODS[name]), clips(8), LABELS)
    assert maps.shape == (2, 8, 2, 2)
    torch.testing.assert_close(maps.sum(dim=(1, 2, 3)), torch.ones(2))


@pytest.mark.parametrize("name", METHODS)
def test_bfloat16_stays_near_float32(model, name):
    made = model(METHODS[name])
    with torch.inference_mode():
        exact = made(clips(8))
        made.eval()
        with weights_in(made, torch.bfloat16), torch.autocast("cpu", torch.bfloat16):
            logits = made(clips(8))
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, exact, rtol=0, atol=1.0)  # of ±100: cosines to 0.01


def test_originals_are_known_by_their_digest(monkeypatch):
    texts = list(DESCRIPTORS.values())
    assert not dfer_clip_model.are_originals(texts)
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    monkeypatch.setitem(dfer_clip_model.ORIGINALS, 7, digest)
    assert dfer_clip_model.are_originals(texts)
    assert not dfer_clip_model.are_originals(texts[::-1])
