"""The demo's language: what captions say is true, and a CLIP that learns from them."""

import csv

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from small_run import TINY

from dfer.demo import captions, pretrain, words
from dfer.demo.dataset import CLASSES, clips_of
from dfer.demo.draws import draw_still, random_numbers
from dfer.demo.expressions import PATTERNS, apex, sided
from dfer.demo.small_backbone import new_backbone
from dfer.demo.vocabulary import (
    ALSO_CALLED,
    DESCRIPTORS,
    EXPRESSIONS,
    LOOKS,
    UNITS,
    UNSEEN,
    UNSEEN_DESCRIPTORS,
    asserted,
    called,
    compose,
    kind,
    mirrored,
    phrases,
    unit_facts,
)
from dfer.errors import UserError
from dfer.models.backbone import vision_config
from dfer.settings import TrainSettings

CONTEXT = 16  # tokens of the small CLIP
LOOK = {"who.woman", "hair.tied", "colour.dark", "light.left", "pose.right", "background.dark"}


def drawn(number):
    """What is true of a still that is drawn at random."""
    rng = np.random.default_rng(number)
    label = CLASSES[number % len(CLASSES)]
    return {f"expression.{label}", f"called.{label}"} | unit_facts(apex(rng, label)) | LOOK


# --- the vocabulary -------------------------------------------------------------------------------


def test_what_training_never_sees_is_made_of_words_that_it_does():
    said = {word for phrase in phrases() for word in phrase.split()}
    for text in [*UNSEEN.values(), *UNSEEN_DESCRIPTORS.values()]:
        for phrase in text.split(", "):
            assert phrase not in phrases(), phrase
            assert set(phrase.split()) <= said, phrase


def test_some_phrasing_of_every_expression_and_unit_is_held_out():
    facts = {f"called.{label}" for label in EXPRESSIONS} | {f"unit.{unit}" for unit in UNITS}
    assert set(UNSEEN) == facts
    assert len(set(UNSEEN.values())) == len(facts)


def test_units_are_the_renderers():
    drawn_units = {unit for patterns in PATTERNS.values() for p in patterns for unit in p}
    assert set(UNITS) - {"none"} <= drawn_units
    assert set(EXPRESSIONS) == set(DESCRIPTORS) == set(UNSEEN_DESCRIPTORS) == set(CLASSES)


@pytest.mark.parametrize("label", CLASSES)
def test_a_descriptor_is_true_of_its_class_alone(label):
    """Of an apex at full intensity, in each pattern of the class."""
    of = {other: [unit_facts(sided(p)) for p in PATTERNS[other]] for other in CLASSES}
    said = asserted(DESCRIPTORS[label])
    assert all(said <= facts for facts in of[label])
    others = [facts for other in CLASSES if other != label for facts in of[other]]
    assert not any(said <= facts for facts in others)


@pytest.mark.parametrize("label", CLASSES)
def test_unseen_descriptors_say_the_same(label):
    """Each phrase is the unseen phrasing of a fact, all facts those of the descriptor."""
    fact_of = {text: fact for fact, text in UNSEEN.items()}
    texts = UNSEEN_DESCRIPTORS[label].replace(" strongly", "").split(", ")
    said = asserted(DESCRIPTORS[label])
    assert {fact_of[text] for text in texts} == {fact for fact in said if "unit." in fact}
    assert ("strongly" in UNSEEN_DESCRIPTORS[label]) == any("strongly." in fact for fact in said)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({}, {"unit.none"}),
        ({"jawOpen": 0.44}, {"unit.none"}),
        ({"jawOpen": 0.45}, {"unit.jawOpen", "slightly.jawOpen"}),
        ({"jawOpen": 0.75}, {"unit.jawOpen"}),
        ({"jawOpen": 1.1}, {"unit.jawOpen", "strongly.jawOpen"}),
        ({"eyeWideLeft": 0.1, "eyeWideRight": 0.9}, {"unit.eyeWide"}),
        ({"eyeBlinkLeft": 1.0}, {"unit.none"}),
    ],
)
def test_a_unit_is_named_by_the_weight_of_its_stronger_side(weights, expected):
    assert unit_facts(weights) == expected


def test_a_mirror_swaps_sides_and_nothing_else():
    facts = frozenset(drawn(3))
    swapped = {"light.left", "pose.right"}, {"light.right", "pose.left"}
    assert facts ^ mirrored(facts) == swapped[0] | swapped[1]
    assert mirrored(mirrored(facts)) == facts


def test_captions_are_true_and_fit():
    rng = np.random.default_rng(0)
    tokenise = SimpleTokenizer(context_length=CONTEXT)
    said = []
    for number in range(700):
        facts = drawn(number)
        text = compose(facts, rng)
        assert asserted(text) <= facts
        assert len(tokenise.encode(text)) <= CONTEXT - 2
        said.append({kind(phrases()[phrase]) for phrase in text.split(", ")})
    assert 0.2 < np.mean(["called" in kinds for kinds in said]) < 0.3
    assert 0.15 < np.mean([bool(kinds & set(LOOKS)) for kinds in said]) < 0.35
    assert all(kinds & {"unit", "strength"} for kinds in said)


def test_expressions_are_named_loosely_and_only_as_they_are_confused():
    rng = np.random.default_rng(0)
    for label in CLASSES:
        names = [called(label, rng) for _ in range(400)]
        shares = {name: names.count(name) / len(names) for name in names}
        assert set(shares) == {label, ALSO_CALLED.get(label, label)}
        assert all(abs(share - 1 / len(shares)) < 0.1 for share in shares.values())
    facts = {"expression.fear", "called.surprise", "unit.eyeWide"}
    said = frozenset().union(*(asserted(compose(facts, rng)) for _ in range(100)))
    assert said == {"called.surprise", "unit.eyeWide"}


@pytest.mark.parametrize(
    "needs", sorted(set(phrases().values()), key=sorted), ids=lambda facts: "+".join(sorted(facts))
)
def test_every_phrase_can_be_said(needs):
    """Where it is true; a phrase that no caption has would be learnt from nothing."""
    facts = set(needs)
    facts |= set() if kind(needs) == "called" else {"called.happy"}
    facts |= set() if kind(needs) in ("unit", "strength") else {"unit.none"}
    rng = np.random.default_rng(0)
    said = {phrase for _ in range(200) for phrase in compose(facts, rng).split(", ")}
    assert {phrase for phrase, wants in phrases().items() if wants == needs} <= said


# --- captions of a release ------------------------------------------------------------------------


def write_captions(wheel, out, people):
    words_of = ["--face-model", wheel, "--people", people, "--stills", 2, "--size", 128]
    args = captions.parser().parse_args([*map(str, words_of), "--out", str(out)])
    captions.main(args)
    return out.read_text(encoding="utf-8").splitlines()


def test_a_caption_hangs_on_its_still_alone(wheel, tmp_path):
    two = write_captions(wheel, tmp_path / "two.csv", 2)
    three = write_captions(wheel, tmp_path / "three.csv", 3)
    assert two == three[: len(two)]
    assert len(three) == 1 + 3 * 7 * 2
    rows = list(csv.DictReader(three))
    assert len({row["image"] for row in rows}) == len(rows)
    for row in rows:
        assert asserted(row["caption"]) <= set(row["facts"].split(";"))
        facts, label = row["facts"].split(";"), row["clip"].split("-")[1]
        assert f"expression.{label}" in facts
        assert (f"called.{label}" in facts) != (f"called.{ALSO_CALLED.get(label)}" in facts)


def test_facts_are_those_of_the_still_that_is_rendered(wheel, tmp_path):
    """The renderer is asked what it was given to draw."""
    from dfer.demo import render

    class Camera:
        size = 128

        def frame(self, head, weights, pose, scene, rng):
            given.append((weights, pose, scene))

    write_captions(wheel, tmp_path / "captions.csv", 1)
    found = captions.read_captions(tmp_path / "captions.csv")
    for clip in clips_of("stills", 0, dict.fromkeys(CLASSES, 2), folds=1):
        for number in (1, 2):
            given: list = []
            render.still(Camera(), None, clip.label, random_numbers("stills", 0, clip, number))
            ((weights, pose, scene),) = given
            facts = found[clip.clip][number - 1].facts
            assert unit_facts(weights) <= facts
            assert ("pose.front" in facts) == (abs(pose.yaw) < 0.08)
            assert ("light.left" in facts) == (scene.key[0] < -0.2)


def test_a_still_is_drawn_as_before():
    """Scene, then face units, then pose, of one stream: an edit here would render all anew."""
    clip = clips_of("stills", 0, {"fear": 1}, folds=1)[0]
    _, weights, pose = draw_still(random_numbers("stills", 0, clip, 1), "fear", 128)
    assert weights["eyeWideLeft"] == pytest.approx(1.2, abs=0.8)
    assert abs(pose.yaw) <= 0.5


# --- learning from them ---------------------------------------------------------------------------


def test_true_texts_share_the_target():
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(5, 7)), rng.random((5, 7)) < 0.4
    truth[2] = False  # nothing is true of it: it does not count
    losses = []
    for row, true in zip(logits, truth, strict=True):
        if true.any():
            log = row - np.log(np.exp(row).sum())
            losses.append(-log[true].mean())
    found = pretrain.spread(torch.tensor(logits), torch.tensor(truth, dtype=torch.float64))
    assert found.item() == pytest.approx(np.mean(losses), abs=1e-12)


def test_every_kind_of_phrase_is_contrasted_within_itself():
    """Raising the logits of all phrases of a kind alike changes nothing."""
    torch.manual_seed(0)
    asserts = list(phrases().values())
    kinds: dict[str, list[int]] = {}
    for number, facts in enumerate(asserts):
        kinds.setdefault(kind(facts), []).append(number)
    truth = pretrain.truth([frozenset(drawn(number)) for number in range(9)], asserts)
    logits = torch.randn(truth.shape, dtype=torch.float64)
    loss = pretrain.phrases_loss(logits, truth, kinds)
    assert loss > 0
    for columns in kinds.values():
        raised = logits.clone()
        raised[:, columns] += 3
        assert pretrain.phrases_loss(raised, truth, kinds).item() == pytest.approx(loss.item())
    better = logits + 2 * truth
    assert pretrain.phrases_loss(better, truth, kinds) < loss


def test_the_learning_text_tower_is_open_clips():
    """Up to the end token, over the texts' own tokens; the others' rows stay as they were."""
    clip = new_backbone(TINY, seed=0)
    with torch.no_grad():
        torch.manual_seed(1)
        clip.positional_embedding.normal_()
    texts = ["a smiling mouth", "eyes wide open, happiness", "fear"]
    tokens = SimpleTokenizer(context_length=clip.context_length)(texts)
    with torch.no_grad():
        expected = F.normalize(clip.encode_text(tokens), dim=-1)
    before = clip.token_embedding.weight.detach().clone()
    tower = pretrain.TextTower(clip, texts)
    features = tower(texts)
    assert torch.allclose(features, expected, atol=1e-6)
    torch.nn.functional.mse_loss(features, torch.ones_like(features)).backward()
    with torch.no_grad():
        clip.token_embedding.weight -= clip.token_embedding.weight.grad
    tower.close()
    changed = (clip.token_embedding.weight != before).any(dim=1).nonzero().flatten()
    ends = {int(text.argmax()) for text in tokens}
    read = {int(t) for text, end in zip(tokens, map(int, tokens.argmax(1)), strict=True)
            for t in text[: end + 1]}  # fmt: skip
    assert set(changed.tolist()) <= read and ends
    assert len(changed) >= len(read) - 1


def make_stills(count=64):
    """Stills whose upper half is bright where the brows are raised, and dark where not."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (count, 40, 40, 3), dtype=np.uint8)
    facts = []
    for number in range(count):
        label = ("surprise", "neutral")[number % 2]
        if label == "surprise":
            pixels[number, :20] += 180
        unit = {"unit.browInnerUp"} if label == "surprise" else {"unit.none"}
        facts.append(frozenset({f"called.{label}"} | unit | LOOK))
    return pretrain.Stills(pixels, facts, captions=[])


def taught(epochs):
    clip = new_backbone(TINY, seed=0)
    settings = TrainSettings(epochs=epochs, batch=32, lr=2e-3, min_lr=2e-5, warmup_epochs=1)
    vision, scaled = vision_config(TINY), lambda frames: frames.float() / 255
    pretrain.teach(clip, vision, make_stills(), scaled, settings, seed=0)
    return clip.eval()


def test_a_clip_learns_words_from_captions():
    clip = taught(12)
    pixels = torch.from_numpy(words.resize(make_stills().pixels, clip.visual.image_size[0]))
    with torch.inference_mode():
        images = F.normalize(clip.encode_image(pixels.permute(0, 3, 1, 2) / 255), dim=-1)
    labels = [number % 2 for number in range(len(images))]
    for texts in (["surprise", "neutral"], ["inner eyebrows raised", "a relaxed face"]):
        assert words.zero_shot(images, words.text_features(clip, texts), labels) == 100


def test_equal_seeds_teach_the_same():
    one, other = taught(2).state_dict(), taught(2).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_stills_without_their_captions_are_refused(tiny_store, tmp_path):
    from dfer.clips.store import ClipStore

    path = tmp_path / "captions.csv"
    path.write_text("clip,image,caption,facts\nc0-00,1.jpg,fear,expression.fear;unit.none\n")
    store = ClipStore(sorted(tiny_store[0].glob("*.arrow")))
    with pytest.raises(UserError, match=r"captions.csv: 1 captions of c0-00, and \d+ stills"):
        pretrain.read_stills(store, ["c0-00"], path, 32)


@pytest.mark.parametrize(
    "content", [None, b"a,b\n1,2\n", b"clip,image,caption,facts\nc0\n", b"clip,facts\n\xff,\xff\n"]
)
def test_what_is_no_file_of_captions_is_named(content, tmp_path):
    path = tmp_path / "cap tions.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"cap tions\.csv: no captions to read .* makes it anew"):
        captions.read_captions(path)


# --- what words mean to it ------------------------------------------------------------------------


def test_retrieval_counts_any_true_caption():
    rng = np.random.default_rng(0)
    images, texts = (F.normalize(torch.tensor(rng.normal(size=(70, 5))), dim=-1) for _ in "ab")
    true = rng.random((70, 70)) < 0.1
    captions_found, stills_found, chance = words.retrieval(images, texts, true, 64, seed=0)
    group = np.random.default_rng(0).permutation(70)[:64]  # the last six make no group
    right = [true[i, max(group, key=lambda j, i=i: float(images[i] @ texts[j]))] for i in group]
    assert captions_found == pytest.approx(100 * np.mean(right))
    right = [true[max(group, key=lambda i, j=j: float(images[i] @ texts[j])), j] for j in group]
    assert stills_found == pytest.approx(100 * np.mean(right))
    assert chance == pytest.approx(100 * true[np.ix_(group, group)].mean())


def test_the_map_of_face_units_knows_what_fear_and_surprise_share():
    table = words.cosines(words.patterns(), "face units").set_index(["one", "other"]).cosine
    assert isinstance(table, pd.Series)
    assert table["fear", "surprise"] > max(table["fear", "happy"], table["surprise", "disgust"])
    assert table["fear", "fear"] == pytest.approx(1)
    assert table["neutral", "neutral"] == 0  # no unit: no direction
    assert table["sad", "angry"] == table["angry", "sad"]
