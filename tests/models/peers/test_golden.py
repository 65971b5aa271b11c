"""Other methods against the outputs of their authors' own modules, to 1e-4."""

import pytest
import torch
from mini import GOLDEN, WORDS, clips, fill, value, write

from dfer.methods import cliper, cocoop, coop, dfer_clip, zero_shot
from dfer.models.method import build
from dfer.models.peers import cliper as cliper_model
from dfer.models.peers.dfer_clip import TemporalModel
from dfer.models.peers.prompt_learner import PromptLearner, layout

TOLERANCE = {"rtol": 0, "atol": 1e-4}
NO_TEXT = torch.zeros(7, 512)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write(tmp_path_factory.mktemp("mini"))


@pytest.fixture
def model(backbone):
    """A function from settings, and the name of the context's numbers, to a filled model."""

    def make(settings, context=None):
        made = build(settings, backbone, WORDS, NO_TEXT).eval()
        if context is not None:
            shape = made.context.shape
            own = shape if ".class" in context or context == "prompt.metd" else shape[1:]
            made.context.data.copy_(value(context, *own))
        if getattr(made, "temporal", None) is not None:
            fill(made.temporal, "tm.")
        if hasattr(made, "meta_net"):
            fill(made.meta_net, "metanet.")
        return made

    return make


def check(found, expected):
    expected = torch.tensor(expected)
    torch.testing.assert_close(found.detach().flatten(), expected, **TOLERANCE)


TEMPLATES = {
    "bare": "{word}",
    "dot": "{word}.",
    "an_expression_of": "an expression of {word}.",
    "a_photo_of_a_face_with_an_expression_of": "a photo of a face with an expression of {word}.",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_zero_shot(model, name):
    made = model(zero_shot.Settings(templates=(TEMPLATES[name],)))
    check(made(clips(8)), GOLDEN["zero_shot"][f"zeroshot_{name}_T8_mean_then_normalise"])


def test_several_templates_are_averaged_and_each_counts_alike(model):
    """The mean of the features of length 1 is what an ensemble of CLIP is."""
    both = model(zero_shot.Settings(templates=("{word}", "{word}."))).classes
    alone = [model(zero_shot.Settings(templates=(t,))).classes for t in ("{word}", "{word}.")]
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)
    assert [round(float(feature.norm()), 4) for feature in alone[0]] == [1.0] * 7


COOP = {
    "n4_unified": {"context": 4},
    "n8_unified": {"context": 8},
    "n16_unified": {"context": 16},
    "n8_class": {"context": 8, "class_specific": True},
}


@pytest.mark.parametrize("name", COOP)
def test_coop(model, name):
    settings = coop.Settings(**COOP[name])
    made = model(settings, f"prompt.ctx.{'class' if settings.class_specific else 'unified'}")
    check(made(clips(8)), GOLDEN["coop"][f"coop_{name}_end_T8_mean_then_normalise"])


def test_coop_on_stills(model):
    made = model(coop.Settings(context=4, frames=1), "prompt.ctx.unified")
    check(made(clips(8)[:, :1]), GOLDEN["coop"]["coop_n4_single_image_own_forward"])


@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_places_of_the_class_word(model, position):
    """Here the full stop belongs to the text, as in DFER-CLIP's prompts."""
    tower = model(coop.Settings(), "prompt.ctx.unified").tower
    learner = PromptLearner([layout(f"{word}.", 4, position) for word in WORDS], tower)
    learner.start_from(value("token_embedding.weight", 49408, 128))
    features = learner(value("prompt.ctx.unified", 4, 128).unsqueeze(0), tower)
    for place in (0, 5):
        name = f"prompt_classname_dot_unified4_{position}_class{place}_first4"
        check(features[place, :4], GOLDEN["prompts"][name])


def test_cocoop(model):
    made = model(cocoop.Settings(), "prompt.ctx.unified")
    check(made(clips(8)), GOLDEN["cocoop"]["cocoop_n4_T8_conditioned_on_normalised_mean"])


def test_cocoop_on_stills(model):
    made = model(cocoop.Settings(frames=1), "prompt.ctx.unified")
    check(made(clips(8)[:, :1]), GOLDEN["cocoop"]["cocoop_n4_single_image_own_forward"])


@pytest.mark.parametrize("frames", [8, 16])
def test_frame_features_and_the_temporal_model(model, frames):
    made = model(described(frames), "prompt.ctx.class")
    z = made.frame_features(clips(frames))
    golden = GOLDEN["frames"]
    check(z[0, 0, :4], golden[f"frame_features_T{frames}_clip0_frame0_first4"])
    check(made.aggregate(z)[0, :4], golden[f"temporal_out_T{frames}_clip0_first4"])


@pytest.mark.parametrize(("frames", "clip"), [(16, 0), (8, 1)])
def test_the_temporal_model_alone(frames, clip):
    temporal = TemporalModel(dfer_clip.Settings(), 512)
    fill(temporal, "tm.")
    out = temporal(value(f"input.features.T{frames}", 2, frames, 512))
    check(out[clip, :8], GOLDEN["temporal"][f"temporal_alone_T{frames}_clip{clip}_first8"])


def described(frames, **changes):
    descriptors = dict(zip(WORDS, GOLDEN["texts"], strict=True))
    return dfer_clip.Settings(frames=frames, descriptors=descriptors, **changes)


@pytest.mark.parametrize("frames", [8, 16])
@pytest.mark.parametrize("layers", [0, 1])
def test_dfer_clip(model, frames, layers):
    made = model(described(frames, temporal_layers=layers), "prompt.ctx.class")
    name = f"dferclip_{'with' if layers else 'without'}_tm_T{frames}"
    check(made(clips(frames)), GOLDEN["dfer_clip"][name])


def test_descriptors_have_the_tokens_that_the_authors_code_counts(model):
    learner = model(described(8), "prompt.ctx.class").learner
    assert (learner.ends - 9).tolist() == GOLDEN["token_counts"]  # start, 8 vectors


def test_one_step_of_dfer_clip(model):
    made, golden = model(described(8), "prompt.ctx.class"), GOLDEN["dfer_clip"]
    loss, _ = made.train().loss(made.features(clips(8)), torch.tensor([2, 5]))
    loss.backward()
    assert loss.item() == pytest.approx(golden["loss_T8_targets_2_5"], abs=1e-4)
    gradients = {
        "prompt_learner.ctx": made.context,
        "temporal.cls_token": made.temporal.cls_token,
        "temporal.pos_embedding": made.temporal.pos_embedding,
        "temporal.layer0.qkv.weight": made.temporal.layers[0].qkv.weight,
        "visual.proj": made.image.proj,
        "visual.conv1.weight": made.image.conv1.weight,
    }
    for name, parameter in gradients.items():
        found = parameter.grad.norm().item()
        assert found == pytest.approx(golden[f"grad_norm.{name}"], rel=1e-4), name
    assert golden["grad_none.text_tower"]
    assert all(parameter.grad is None for parameter in made.tower.parameters())


def test_cliper(model):
    made, golden = model(cliper.Settings(), "prompt.metd"), GOLDEN["cliper"]
    features = made.prompt_features()
    check(features[0, :4], golden["cliper_text_subclass0_first4"])
    check(features[34, :4], golden["cliper_text_subclass34_first4"])
    check(made(clips(8)), golden["cliper_T8_mean_then_normalise_class_logits"])
    assert made.learner.ends.tolist() == [10] * 35  # start, 4 words, 4 vectors, stop


def test_cliper_s_loss():
    golden = GOLDEN["cliper"]
    s = 10 * value("input.cliper.logits", 12, 35).view(12, 7, 5)
    labels = torch.tensor(golden["targets"])
    margin, alpha = cliper_model.margin_term(s, labels), cliper_model.weights(s, labels)
    fine = (alpha * cliper_model.fine_terms(s, labels)).mean()
    check(margin, [golden["cliper_loss_margin"]])
    check(alpha, golden["cliper_alpha"])
    check(fine, [golden["cliper_loss_fine_mean"]])
    check(margin + fine, [golden["cliper_loss_total"]])
    assert s.mean(dim=2).argmax(dim=1).tolist() == golden["cliper_prediction"]
