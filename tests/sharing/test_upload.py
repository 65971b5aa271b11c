"""Uploading to a hub on 127.0.0.1: private, whole, and only by those who say that they may."""

import os
import subprocess
import sys

import pytest
from hub import Model, serve
from packages import write_package

from dfer.errors import UserError
from dfer.predict.package import CONFIG, read_config
from dfer.sharing import upload

MAY = "--i-may-share-these-weights"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Of real and of synthetic faces."""
    return [
        write_package(tmp_path_factory.mktemp("package"), synthetic=synthetic)
        for synthetic in (False, True)
    ]


@pytest.fixture
def hub():
    with serve() as running:
        yield running


def call(hub, tmp_path, *words):
    """`dfer upload` in a process of its own, as the client reads HF_ENDPOINT once."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_TOKEN": "hf_of_the_tests",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    command = [sys.executable, "-W", "ignore", "-m", "dfer", "upload", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_package_goes_up_whole_and_private(packages, hub, tmp_path):
    done = call(hub, tmp_path, packages[0], "--to", "me/faces", MAY)
    assert done.returncode == 0, done.stderr
    model = hub.models["me/faces"]
    files = model.commits[model.branches["main"]]
    assert {name: files[name] for name in files if name != ".gitattributes"} == {
        path.name: path.read_bytes() for path in packages[0].iterdir()
    }
    assert model.private and len(model.commits) == 2  # as it was made, and ours
    assert "given under agreement" in done.stdout and "uploaded, private" in done.stdout


def test_weights_of_people_are_not_shared_by_accident(packages, hub, tmp_path):
    done = call(hub, tmp_path, packages[0], "--to", "me/faces")
    assert done.returncode == 1 and hub.asked == []
    assert "trained on mine. DFEW, FERV39k and MAFW are given under agreement" in done.stderr
    assert MAY in done.stderr


def test_a_model_that_all_can_see_is_not_written_to_by_accident(packages, hub, tmp_path):
    hub.models["me/open"] = Model(private=False)
    before = hub.models["me/open"].commit({"README.md": b""})
    done = call(hub, tmp_path, packages[1], "--to", "me/open")
    assert done.returncode == 1 and "everybody can see it. Say --public" in done.stderr
    assert hub.models["me/open"].branches["main"] == before
    done = call(hub, tmp_path, packages[1], "--to", "me/open", "--public")
    assert done.returncode == 0, done.stderr
    assert hub.models["me/open"].branches["main"] != before
    assert "SYNTHETIC" in done.stdout and "for everybody" in done.stdout


def test_only_synthetic_faces_need_no_word(packages):
    real, synthetic = (read_config(package / CONFIG) for package in packages)
    upload.check_rights(packages[1], synthetic, confirmed=False)
    upload.check_rights(packages[0], real, confirmed=True)
    with pytest.raises(UserError, match="say so"):
        upload.check_rights(packages[0], real, confirmed=False)


@pytest.mark.parametrize("name", ["faces", "me/faces@main", "me/my/faces"])
def test_other_names_are_refused(packages, name):
    words = [str(packages[1]), "--to", name]
    with pytest.raises(UserError, match="give user/name"):
        upload.main(upload.parser().parse_args(words))


def test_a_harmed_package_stays_here(tmp_path):
    package = write_package(tmp_path, synthetic=True)
    with open(package / "model.safetensors", "ab") as file:
        file.write(b"\0")
    with pytest.raises(UserError, match=r"not the file that config\.json"):
        upload.upload(package, read_config(package / CONFIG), "me/faces", public=False)
