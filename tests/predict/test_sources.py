"""Where a trained run may come from, but for the hub: folders and zips, whole and harmed."""

import json
import shutil
import zipfile

import pytest
import torch
from packages import call, write_package

import dfer
from dfer.errors import UserError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with run/, package/ and package.zip."""
    folder = tmp_path_factory.mktemp("made")
    write_package(folder)
    call(folder / "run", "--to", folder / "package.zip")
    return folder


@pytest.fixture
def package(made, tmp_path):
    """A copy to be harmed."""
    return shutil.copytree(made / "package", tmp_path / "package")


def zipped(folder, path, inside=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"{inside}{file.name}")
    return path


def weights(model):
    return model.run.model.state_dict()


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def test_a_run_its_package_and_zips_of_both_are_one(made, tmp_path):
    expected = weights(dfer.load(made / "run"))
    sources = [
        made / "package",
        made / "package.zip",
        zipped(made / "package", tmp_path / "in-a-folder.zip", "my package/"),
        zipped(made / "run", tmp_path / "run.zip"),
        zipped(made / "package", tmp_path / "of another name"),
    ]
    for source in sources:
        assert same(weights(dfer.load(source)), expected), source
        assert same(weights(dfer.load(str(source))), expected), source


def test_a_package_works_where_nothing_else_is(made, tmp_path, monkeypatch):
    shutil.copy(made / "package.zip", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert dfer.load("package.zip").classes == ["happy", "sad", "neutral"]


def test_nothing_but_the_named_files_leaves_a_zip(made, tmp_path, monkeypatch):
    """Neither what lies outside of it, nor deep inside, nor under another name."""
    from dfer.predict import run

    path = zipped(made / "package", tmp_path / "evil.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../config.json", "{}")
        archive.writestr("a/b/config.json", "{}")
        archive.writestr("code.py", "raise SystemExit")
    (tmp_path / "out").mkdir()
    run._unpack(path, tmp_path / "out", {"config.json", "model.safetensors"})
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["config.json", "model.safetensors"]
    assert not (tmp_path.parent / "config.json").exists()
    assert json.loads((tmp_path / "out/config.json").read_text())["library_name"] == "dfer"


@pytest.mark.parametrize("name", ["model.safetensors"])
def test_a_flipped_bit_is_found(package, name):
    content = bytearray((package / name).read_bytes())
    content[-100] ^= 1
    (package / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: not the file that config.json"):
        dfer.load(package)


def test_a_part_of_a_package_is_told_from_none(package, tmp_path):
    (package / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model.safetensors: cannot be read .* Copy the package"):
        dfer.load(package)
    (package / "config.json").unlink()
    with pytest.raises(UserError, match="no trained run"):
        dfer.load(package)
    (package / "model.safetensors").touch()
    with pytest.raises(UserError, match=r"there is no config\.json"):
        dfer.load(package)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"library_name": "transformers"}, "something else than dfer"),
        ({"format": 2, "dfer_version": "9.1"}, r"of format 2, .* exported it \(9.1\)"),
        ({"folds": 3}, "not a configuration"),
    ],
)
def test_other_configurations_are_refused(package, changes, said):
    config = json.loads((package / "config.json").read_text())
    (package / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(UserError, match=said):
        dfer.load(package)


def test_a_damaged_zip_and_a_file_that_is_none_are_refused(made, tmp_path):
    content = (made / "package.zip").read_bytes()
    middle = len(content) // 2
    harmed = tmp_path / "harmed.zip"
    harmed.write_bytes(content[:middle] + bytes(8) + content[middle + 8 :])
    with pytest.raises(UserError, match=r"harmed.zip: not a whole zip .* Copy it again"):
        dfer.load(harmed)
    harmed.write_bytes(content[:middle])
    with pytest.raises(UserError, match=r"harmed.zip: not a whole zip .* Copy it again"):
        dfer.load(harmed)
    with zipfile.ZipFile(harmed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(made / "package/config.json", "config.json")
    content = harmed.read_bytes()
    for place in range(40, 80):  # of what is packed
        harmed.write_bytes(content[:place] + b"\xff\xff" + content[place + 2 :])
        with pytest.raises(UserError, match=r"harmed.zip: not a whole zip .* Copy it again"):
            dfer.load(harmed)
    with pytest.raises(UserError, match=r"^no-such-package: no trained run"):
        dfer.load("./no-such-package")


def test_without_a_graph_onnx_says_how_to_make_one(made):
    with pytest.raises(UserError, match=r"a run has no graph.* dfer export .*run --to"):
        dfer.load(made / "run", onnx=True)
    with pytest.raises(UserError, match=r"exported without model\.onnx"):
        dfer.load(made / "package", onnx=True)
    with pytest.raises(UserError, match="Leave out device and precision"):
        dfer.load(made / "package", onnx=True, device="cuda")


def test_a_package_of_another_version_names_it(package):
    """Whole, but with a setting that this version does not have."""
    import hashlib

    from dfer.models.sealed import read_sealed, save_sealed

    header, tensors = read_sealed(package / "model.safetensors")
    header["settings"]["model"]["of_tomorrow"] = 1
    save_sealed(header, tensors, package / "model.safetensors")
    config = json.loads((package / "config.json").read_text())
    digest = hashlib.sha256((package / "model.safetensors").read_bytes()).hexdigest()
    config |= {"dfer_version": "9.1", "sha256": {"model.safetensors": digest}}
    (package / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"exported by dfer 9\.1, .*of_tomorrow.* Install that"):
        dfer.load(package)
