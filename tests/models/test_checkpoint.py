"""A trained run as a file: whole in itself, the same to the byte, refused where it is not ours."""

import dataclasses
import json
import os
import shutil

import pytest
import torch
from goldens import normal
from safetensors import safe_open
from safetensors.torch import save_file
from small_run import TINY, small_run
from unprivileged import unprivileged

from dfer.demo import pretrain
from dfer.demo.small_backbone import new_backbone
from dfer.errors import UserError
from dfer.models.backbone import pixel_statistics
from dfer.models.checkpoint import load_run, save_run
from dfer.models.sealed import read_sealed, save_sealed
from dfer.settings import BackboneSettings

HEADS = {"text": {}, "linear": {"head": "linear", "blocks": 0}}


def plain(run):
    """All of a run but its model and its tensors."""
    values = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    return {name: value for name, value in values.items() if name not in ("model", "text")}


@pytest.mark.parametrize("head", HEADS)
def test_what_is_saved_is_what_is_loaded(head, tmp_path):
    run = small_run(HEADS[head], synthetic=True, landmarks=None, fold=3, seed=5)
    save_run(run, tmp_path / "run.safetensors")
    loaded = load_run(tmp_path / "run.safetensors")
    assert plain(loaded) == plain(run)
    assert torch.equal(loaded.text, normal(7, 3, 32))
    assert not loaded.model.training
    clips = normal(8, 2, 8, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded.model(clips), run.model(clips))


@pytest.mark.parametrize("head", HEADS)
def test_equal_runs_give_equal_bytes(head, tmp_path):
    for name in ("a", "b", "c"):
        save_run(small_run(HEADS[head]), tmp_path / name)
    save_run(load_run(tmp_path / "c"), tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()
    with safe_open(tmp_path / "a", "pt") as file:
        (text,) = file.metadata().values()
    assert text == json.dumps(json.loads(text), sort_keys=True)


def test_a_moved_run_needs_no_other_file(tmp_path, monkeypatch):
    """Its configuration and the card beside CLIP's weights are gone, and it is somewhere else."""
    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.chdir(made)
    shutil.copy(TINY, "tiny.json")
    save_file(new_backbone("tiny.json", seed=0).state_dict(), "backbone.safetensors")
    card = {"preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}}
    (made / "open_clip_config.json").write_text(json.dumps(card))
    pixels = pixel_statistics(BackboneSettings("tiny.json", "backbone.safetensors"))
    run = small_run(architecture="tiny.json", pixels=pixels)
    frames = torch.full((8, 3, 32, 32), 100, dtype=torch.uint8)
    with torch.inference_mode():
        expected = run.model(run.normalise(frames)[None])
    save_run(run, "run.safetensors")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(made / "run.safetensors", elsewhere)
    shutil.rmtree(made)
    monkeypatch.chdir(elsewhere)
    moved = load_run("run.safetensors")
    assert moved.pixels == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert moved.image_size == 32
    with torch.inference_mode():
        assert torch.equal(moved.model(moved.normalise(frames)[None]), expected)


def test_a_second_user_may_read_a_run(tmp_path):
    path = tmp_path / "run.safetensors"
    save_run(small_run(), path)
    pretrain.save(new_backbone(TINY, seed=0), tmp_path / "backbone.safetensors")
    for written in (path, tmp_path / "backbone.safetensors"):
        assert written.stat().st_mode & 0o777 == 0o666 & ~umask()
    with unprivileged(tmp_path):
        load_run(path)
    path.chmod(0)
    with unprivileged(tmp_path), pytest.raises(UserError, match="safetensors: you may not read"):
        load_run(path)


def umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def test_what_is_no_run_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    with pytest.raises(UserError, match="no such checkpoint"):
        load_run(path)
    path.write_bytes(b"\0" * 20)
    with pytest.raises(UserError, match="not a checkpoint of a run"):
        load_run(path)
    save_file({"text": torch.zeros(3, 32)}, path)
    with pytest.raises(UserError, match="not a checkpoint of a run"):
        load_run(path)


@pytest.mark.parametrize("missing", ["architecture", "pixels", "landmarks", "settings"])
def test_a_header_that_lacks_something_is_refused(missing, tmp_path):
    """As those of earlier versions do."""
    path = tmp_path / "run.safetensors"
    save_run(small_run(), path)
    header, tensors = read_sealed(path)
    del header[missing]
    save_sealed(header, tensors, path)
    with pytest.raises(UserError, match=f"not a checkpoint of a run.*{missing}.*trained again"):
        load_run(path)


def test_weights_of_other_code_are_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    save_run(small_run(), path)
    header, tensors = read_sealed(path)
    del tensors["msta.project.bias"]
    save_sealed(header, tensors, path)
    with pytest.raises(UserError, match=r"not those of its settings.*msta\.project\.bias"):
        load_run(path)


def test_a_flipped_bit_is_seen_wherever_it_is(tmp_path):
    path = tmp_path / "run.safetensors"
    save_run(small_run(), path)
    whole = path.read_bytes()
    for place in (100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"run\.safetensors: not a checkpoint of a run"):
            load_run(path)
