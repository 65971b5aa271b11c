"""Weights that networks without CLIP start from: torchvision's format, checked."""

import dataclasses
import hashlib

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from dfer import video_settings
from dfer.errors import UserError
from dfer.methods import former_dfer, resnet_lstm
from dfer.models import pretrained
from dfer.models.method import build
from dfer.settings import BackboneSettings
from dfer.training import weights
from dfer.video_settings import PINNED

NAME = "imagenet_resnet18"
WORDS = [f"word {n}" for n in range(7)]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """ResNet18 with 1,000 classes as torchvision publishes it, and pinned as if it were theirs."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    made = resnet18()
    (tmp_path / video_settings.WEIGHTS).mkdir(parents=True)
    path = tmp_path / PINNED[NAME].path
    torch.save(made.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(PINNED, NAME, PINNED[NAME]._replace(sha256=digest))
    return path, made


def bodies():
    made = resnet18()
    made.fc = nn.Identity()
    return made


def started(chosen):
    settings = resnet_lstm.Settings(frames=2, size=32, weights=chosen)
    return build(settings, BackboneSettings("", None), WORDS, torch.empty(7, 0))


@pytest.mark.parametrize("by", ["name", "path"])
def test_a_network_begins_with_them(published, by):
    path, theirs = published
    model = started(NAME if by == "name" else str(path))
    own = next(m for m in model.modules() if hasattr(m, "layer4"))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    theirs.fc = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(own.eval()(images[None])[0], theirs.eval()(images))


def test_other_bytes_than_the_pinned_ones_are_refused(published):
    path, _ = published
    state = torch.load(path, weights_only=True)
    state["conv1.weight"][0, 0, 0, 0] += 1
    torch.save(state, path)
    with pytest.raises(UserError, match=r"resnet18-f37072fd.pth as it was published.*Delete it"):
        pretrained.load(bodies(), NAME)


def test_what_is_not_there_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        pretrained.load(bodies(), NAME)
    said = str(error.value)
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in said
    assert f"put it at {PINNED[NAME].path}" in said


def test_a_file_of_one_s_own_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"mine\.pth: no such file\. Set model\.weights"):
        pretrained.load(bodies(), "mine.pth")


def test_weights_of_another_network_are_refused(published, tmp_path):
    other = bodies().state_dict()
    other["layer9.weight"] = torch.zeros(2)
    other["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    torch.save({"state_dict": {f"module.{name}": value for name, value in other.items()}}, "o.pth")
    with pytest.raises(UserError, match=r"o.pth: not the weights of this network: 2 of 120"):
        pretrained.load(bodies(), "o.pth")


@pytest.mark.parametrize("content", [b"", b"not torch's", None])
def test_a_damaged_file_is_one_clear_error(published, tmp_path, content):
    path, _ = published
    whole = path.read_bytes()
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(UserError, match=r"damaged\.pth"):
        pretrained.load(bodies(), str(damaged))


def test_a_download_is_checked_and_leaves_nothing_where_it_fails(published, tmp_path, monkeypatch):
    path, _ = published
    whole, out = path.read_bytes(), tmp_path / "fetched.pth"
    monkeypatch.setattr(weights, "ADDRESS", path.parent.as_uri() + "/")
    weights.fetch(NAME, out)
    assert out.read_bytes() == whole
    out.unlink()
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(UserError, match="put it at"):
        weights.fetch(NAME, out)
    path.unlink()
    with pytest.raises(UserError, match=r"could not be downloaded.*put it at .*fetched.pth"):
        weights.fetch(NAME, out)
    assert not out.exists()


def test_pinned_files_have_the_names_that_torchvision_gives_them():
    """Its own convention: a name ends with the first eight digits of the SHA-256."""
    for pinned in PINNED.values():
        assert len(pinned.sha256) == 64
        assert pinned.file.endswith(f"-{pinned.sha256[:8]}.pth")


def test_a_network_from_scratch_reads_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = dataclasses.replace(former_dfer.Settings(), frames=2, size=32)
    build(settings, BackboneSettings("", None), WORDS, torch.empty(7, 0))
