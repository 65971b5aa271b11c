"""The text stage: open_clip's features of bare words, once and for all."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from unprivileged import unprivileged

from dfer.demo.small_backbone import new_backbone
from dfer.errors import UserError
from dfer.models.sealed import read_sealed
from dfer.settings import BackboneSettings
from dfer.training import text

TINY = str(Path(__file__).parents[2] / "config" / "backbone" / "tiny.json")
WORDS = ["happiness", "sadness", "neutral", "anger"]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """Settings of a saved tiny CLIP, and the CLIP."""
    path = tmp_path_factory.mktemp("backbone") / "backbone.pt"
    saved = new_backbone(TINY, seed=0)
    torch.save(saved.state_dict(), path)
    return BackboneSettings(TINY, str(path)), saved


def stage(backbone, out, words=WORDS):
    settings = json.dumps({"model": backbone.model, "weights": backbone.weights})
    classes = json.dumps({f"label {number}": word for number, word in enumerate(words)})
    arguments = ["--backbone", settings, "--classes", classes, "--out", str(out)]
    text.main(text.parser().parse_args(arguments))
    return out


def test_features_are_open_clip_s_of_the_bare_words_in_class_order(backbone, tmp_path):
    settings, saved = backbone
    features = text.read_features(stage(settings, tmp_path / "text.safetensors"), len(WORDS))
    with torch.inference_mode():
        expected = saved.encode_text(open_clip.SimpleTokenizer(context_length=16)(WORDS))
    assert torch.equal(features, expected)
    assert features.dtype == torch.float32
    assert not features.requires_grad


def test_file_is_the_same_to_the_byte_and_says_what_it_holds(backbone, tmp_path):
    settings, _ = backbone
    files = [stage(settings, tmp_path / f"{n}.safetensors").read_bytes() for n in range(4)]
    assert len(set(files)) == 1
    header, _ = read_sealed(tmp_path / "0.safetensors")
    assert header == {"words": WORDS, "model": TINY, "weights": settings.weights}


def test_random_weights_are_the_same_at_every_run(tmp_path):
    """Else a text that is made again, after a kill or a deletion, would be of another model."""
    settings = BackboneSettings(TINY, None)
    torch.manual_seed(1)
    first = stage(settings, tmp_path / "first.safetensors").read_bytes()
    torch.manual_seed(2)
    assert stage(settings, tmp_path / "again.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["joy", "joy"], "class word 'joy': empty, or there twice"),
        (["joy", " "], "class word ' ': empty"),
        (["joy", "a " * 15], "longer than the 16 tokens"),
    ],
)
def test_words_that_cannot_be_told_apart_are_refused(words, message, backbone, tmp_path):
    with pytest.raises(UserError, match=message):
        stage(backbone[0], tmp_path / "text.safetensors", words)


def test_reading_refuses_what_is_not_ours(backbone, tmp_path):
    path = stage(backbone[0], tmp_path / "text.safetensors")
    whole = path.read_bytes()
    with pytest.raises(UserError, match=r"features of 4 class words.*7 classes"):
        text.read_features(path, 7)
    with pytest.raises(UserError, match=r"nowhere.safetensors: no text features"):
        text.read_features(tmp_path / "nowhere.safetensors", 4)
    assert path.stat().st_mode & 0o044 == 0o044
    path.chmod(0)
    with unprivileged(tmp_path), pytest.raises(UserError, match="safetensors: you may not read"):
        text.read_features(path, 4)
    path.chmod(0o600)
    for place in (12, -1):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(UserError, match=r"text.safetensors: no text features"):
            text.read_features(path, 4)
    path.write_bytes(b"\0" * 20)
    with pytest.raises(UserError, match=r"text.safetensors: no text features"):
        text.read_features(path, 4)
