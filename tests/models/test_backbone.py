"""CLIP: features equal open_clip's, every weight format loads, what does not fit is refused."""

import json
import re
import warnings
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.model import convert_weights_to_fp16
from open_clip.openai import load_openai_model
from safetensors.torch import save_file
from torch import nn

from dfer.demo.small_backbone import new_backbone
from dfer.errors import UserError
from dfer.models import backbone as module
from dfer.models.backbone import (
    load_backbone,
    load_image_tower,
    pixel_statistics,
    read_config,
    vision_config,
)
from dfer.models.vit import ImageTower
from dfer.settings import BackboneSettings

CONFIGS = Path(__file__).parents[2] / "config" / "backbone"
TINY = str(CONFIGS / "tiny.json")
OPENAI_LIKE = {  # heads of 64, as all of OpenAI's
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 128, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture
def openai_like(tmp_path):
    """The path of a small configuration in OpenAI's proportions."""
    return configure(tmp_path, "openai_like.json", OPENAI_LIKE)


def configure(folder, name, config, **vision):
    path = folder / name
    path.write_text(json.dumps(config | {"vision_cfg": config["vision_cfg"] | vision}))
    return str(path)


def openai_archive(backbone, path):
    """Save as OpenAI does: TorchScript, products in float16, three sizes among the tensors."""
    convert_weights_to_fp16(backbone)
    state = backbone.state_dict()
    state["input_resolution"] = torch.tensor(backbone.visual.image_size[0])
    state["context_length"] = torch.tensor(backbone.context_length)
    state["vocab_size"] = torch.tensor(backbone.vocab_size)
    root = nn.Identity()
    for name, value in state.items():
        *parents, leaf = name.split(".")
        module = root
        for parent in parents:
            if not hasattr(module, parent):
                module.add_module(parent, nn.Identity())
            module = getattr(module, parent)
        module.register_buffer(leaf, value)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        torch.jit.trace(root, torch.zeros(1)).save(path)
    return str(path)


def released(path):
    """The archive, read by open_clip's own loader of OpenAI's files."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        return load_openai_model(path, "fp32", "cpu")


def tower_of(model, backbone):
    tower = ImageTower(vision_config(model))
    tower.load_state_dict(backbone.visual.state_dict())
    return tower.eval()


def assert_same_features(tower, backbone, atol=1e-5):
    """Ours of a (2, 3) batch of frames against open_clip's, image by image."""
    size = tower.config.image_size
    clips = torch.randn(2, 3, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = backbone.encode_image(clips.flatten(0, 1)).unflatten(0, (2, 3))
        torch.testing.assert_close(tower(clips), expected, rtol=0, atol=atol)


def test_an_image_tower_alone_is_that_of_the_whole_clip(tmp_path):
    """From a file, where no CLIP is built, and random, where torch's generator moves alike."""
    save_file(new_backbone(TINY, seed=3).state_dict(), tmp_path / "backbone.safetensors")
    for weights in (str(tmp_path / "backbone.safetensors"), None):
        torch.manual_seed(4)
        expected, drawn = load_backbone(TINY, weights).visual.state_dict(), torch.rand(1)
        torch.manual_seed(4)
        found = load_image_tower(TINY, weights)
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert weights is not None or torch.equal(torch.rand(1), drawn)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ViT-B-32-quickgelu", "ViT-B-32"])
def test_features_of_vit_b_32_are_those_of_open_clip(model):
    torch.manual_seed(0)
    backbone = load_backbone(model, None)
    assert_same_features(tower_of(model, backbone), backbone)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".trainer.pt"])
def test_open_clip_checkpoints_load(suffix, tmp_path):
    saved = new_backbone(TINY, seed=3)
    path = tmp_path / f"backbone{suffix}"
    if suffix == ".pt":
        torch.save(saved.state_dict(), path)
    elif suffix == ".safetensors":
        save_file(saved.state_dict(), path)
    else:  # of open_clip's trainer under DistributedDataParallel
        state = {f"module.{name}": value for name, value in saved.state_dict().items()}
        torch.save({"epoch": 3, "state_dict": state}, path)
    backbone = load_backbone(TINY, str(path))
    assert not backbone.training
    assert_same_features(tower_of(TINY, backbone), saved)


def test_openai_archive_loads_in_float32(openai_like, tmp_path):
    torch.manual_seed(1)
    path = openai_archive(load_backbone(openai_like, None), tmp_path / "ViT.pt")
    backbone = load_backbone(openai_like, path)
    assert {p.dtype for p in backbone.parameters()} == {torch.float32}
    assert_same_features(tower_of(openai_like, backbone), released(path))


@pytest.mark.slow
def test_openai_archive_of_vit_b_32(tmp_path):
    torch.manual_seed(1)
    model = "ViT-B-32-quickgelu"
    path = openai_archive(load_backbone(model, None), tmp_path / "ViT-B-32.pt")
    tower = tower_of(model, load_backbone(model, path))
    assert_same_features(tower, released(path))
    with pytest.raises(UserError, match=r"Set backbone.model to ViT-B-32-quickgelu"):
        load_backbone("ViT-B-32", path)


def test_state_dict_of_openai_s_own_package_counts_as_openai_s(openai_like, tmp_path):
    state = load_backbone(openai_like, None).state_dict()
    state |= {name: torch.tensor(1) for name in ("input_resolution", "context_length")}
    torch.save(state | {"vocab_size": torch.tensor(1)}, tmp_path / "backbone.pt")
    load_backbone(openai_like, str(tmp_path / "backbone.pt"))
    plain = configure(tmp_path, "plain.json", OPENAI_LIKE | {"quick_gelu": False})
    with pytest.raises(UserError, match=r'trained with QuickGELU.*Write "quick_gelu": true in'):
        load_backbone(plain, str(tmp_path / "backbone.pt"))


@pytest.mark.slow
def test_openai_s_tag_needs_quickgelu_and_others_must_not_have_it():
    with pytest.raises(UserError, match=r"QuickGELU.*ViT-B-32 has GELU.*ViT-B-32-quickgelu\.$"):
        load_backbone("ViT-B-32", "openai")
    with pytest.raises(UserError, match=r"neither a file nor a pretrained tag.*laion400m_e32"):
        load_backbone("ViT-B-32-quickgelu", "laion2b_s34b_b79k")


def test_tag_is_downloaded_and_a_failed_download_says_what_to_do(monkeypatch, tmp_path):
    saved = new_backbone(TINY, seed=3)
    save_file(saved.state_dict(), tmp_path / "open_clip_model.safetensors")
    released = {"hf_hub": "someone/tiny", "quick_gelu": True, "mean": (0.1, 0.2, 0.3)}
    monkeypatch.setattr(module, "_released", lambda *_: released)
    downloaded = str(tmp_path / "open_clip_model.safetensors")
    monkeypatch.setattr(open_clip.pretrained, "download_pretrained", lambda cfg: downloaded)
    assert torch.equal(load_backbone(TINY, "tag").visual.proj, saved.visual.proj)
    assert pixel_statistics(BackboneSettings(TINY, "tag"))[0] == (0.1, 0.2, 0.3)

    def offline(cfg):
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip.pretrained, "download_pretrained", offline)
    with pytest.raises(UserError, match=r"no route to host.*set backbone.weights to its path"):
        load_backbone(TINY, "tag")


def test_openai_archive_with_other_heads_is_refused(openai_like, tmp_path):
    path = openai_archive(load_backbone(openai_like, None), tmp_path / "ViT.pt")
    narrow = configure(tmp_path, "narrow.json", OPENAI_LIKE, head_width=32)
    with pytest.raises(UserError, match=r"2 image and 1 text heads.*has 4 and 1"):
        load_backbone(narrow, path)


def test_activation_on_the_card_beside_released_weights_is_heeded(openai_like, tmp_path):
    torch.save(load_backbone(openai_like, None).state_dict(), tmp_path / "open_clip_model.bin")
    card = {"model_cfg": OPENAI_LIKE | {"quick_gelu": False}, "preprocess_cfg": {"mean": [0.5] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(card))
    settings = BackboneSettings(openai_like, str(tmp_path / "open_clip_model.bin"))
    assert pixel_statistics(settings)[0] == (0.5, 0.5, 0.5)
    with pytest.raises(UserError, match="trained with GELU"):
        load_backbone(openai_like, str(tmp_path / "open_clip_model.bin"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 3}, "image layers 2, not 3"),
        ({"width": 64}, "image width 128, not 64"),
        ({"image_size": 48}, "image size 32, not 48"),
        ({"patch_size": 8}, "patch size 16, not 8"),
        ({"mlp_ratio": 2.0}, r"6 parameters are .* visual\.transformer\.resblocks\.0\.mlp\.c_fc"),
    ],
)
def test_other_architectures_are_refused_by_name(change, message, openai_like, tmp_path):
    torch.save(load_backbone(openai_like, None).state_dict(), tmp_path / "backbone.pt")
    other = configure(tmp_path, "other.json", OPENAI_LIKE, **change)
    for load in (load_backbone, load_image_tower):
        with pytest.raises(UserError, match=message):
            load(other, str(tmp_path / "backbone.pt"))


def test_refusal_names_open_clip_s_models_that_fit(tmp_path):
    with torch.device("meta"):
        names = open_clip.CLIP(**read_config("ViT-S-16")).state_dict()
    torch.save({name: torch.zeros(value.shape) for name, value in names.items()}, tmp_path / "s.pt")
    with pytest.raises(UserError, match=r"embed_dim 384, not 32.*one of ViT-S-16\.$"):
        load_backbone(TINY, str(tmp_path / "s.pt"))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("RN50", "a ResNet as image tower"),
        ("ViT-B-16-SigLIP", "an image tower of timm (vit_base_patch16_siglip_224)"),
        ("roberta-ViT-B-32", "a text tower of Hugging Face (roberta-base)"),
        ("ViT-L-14-worldwide", "a tokeniser of Hugging Face (google/mt5-base)"),
        ("ViT-H-14-CLIPA", "vision_cfg.pool_type: avg"),
        ("ViT-M-16-alt", "vision_cfg.ls_init_value: 0.0001"),
        ("coca_ViT-B-32", "vision_cfg.attentional_pool: True"),
        ("ViT-B-33", "not a CLIP configuration"),
        ("hf-hub:someone/model", "not a CLIP configuration"),
        ("nowhere.json", "no such file"),
    ],
)
def test_towers_that_are_not_built_are_refused(model, reason):
    with pytest.raises(UserError, match=re.escape(reason)):
        vision_config(model)


def test_files_that_are_no_clip_are_refused(tmp_path):
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "resnet.pt")
    with pytest.raises(UserError, match=r"resnet.pt: no 'visual.conv1.weight' in it"):
        load_backbone(TINY, str(tmp_path / "resnet.pt"))
    (tmp_path / "cut.safetensors").write_bytes(b"\x40")
    with pytest.raises(UserError, match=r"cut.safetensors: not a readable checkpoint"):
        load_backbone(TINY, str(tmp_path / "cut.safetensors"))
    with pytest.raises(UserError, match=r"nowhere.pt: neither a file nor a pretrained tag"):
        load_backbone(TINY, str(tmp_path / "nowhere.pt"))


class Trap:
    """An object whose unpickling would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_pickle_of_a_checkpoint_is_executed(tmp_path):
    torch.save({"state_dict": Trap(tmp_path / "sprung")}, tmp_path / "backbone.pt")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load_backbone(TINY, str(tmp_path / "backbone.pt"))
    assert not (tmp_path / "sprung").exists()


def test_statistics_are_those_of_the_weights_training():
    openai = (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    assert pixel_statistics(BackboneSettings()) == openai
    assert pixel_statistics(BackboneSettings(TINY, "backbone.safetensors")) == openai
    inception = BackboneSettings("ViT-L-14", "laion2b_s32b_b82k")
    assert pixel_statistics(inception) == ((0.5,) * 3, (0.5,) * 3)
    assert pixel_statistics(BackboneSettings(normalise="none")) == ((0.0,) * 3, (1.0,) * 3)


def test_new_clip_depends_on_its_seed_alone_and_tells_words_apart():
    demo = str(CONFIGS / "demo.json")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = new_backbone(demo, seed=1)
    assert torch.equal(torch.rand(3), expected)  # the caller's generator has not moved
    again, other = new_backbone(demo, seed=1), new_backbone(demo, seed=2)
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))
    assert not torch.equal(first.visual.proj, other.visual.proj)
    words = ["happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear"]
    tokens = open_clip.SimpleTokenizer(context_length=first.context_length)(words)
    for seed in range(4):
        with torch.inference_mode():
            features = new_backbone(demo, seed).encode_text(tokens, normalize=True)
        assert (features @ features.T).fill_diagonal_(0).max() < 0.75
