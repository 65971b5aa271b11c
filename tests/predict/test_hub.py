"""Packages from a hub on 127.0.0.1, in processes of their own: HF_ENDPOINT is read once."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hub import Model, serve
from packages import write_package

# What becomes of each name: the seed of the package that is found, or why there is none.
LOOK = """
import sys
from dfer.errors import UserError
from dfer.predict.package import check_content, read_config
from dfer.predict.run import folder_of
for name in sys.argv[1:]:
    try:
        with folder_of(name, "model.safetensors") as folder:
            config = read_config(folder / "config.json")
            check_content(folder / "model.safetensors", config, "model.safetensors")
            print(config.seed)
    except UserError as error:
        print("refused:", *str(error).splitlines())
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Two packages that differ in their seed, as files."""
    found = []
    for seed in (0, 5):
        folder = write_package(tmp_path_factory.mktemp(f"seed{seed}"), seed=seed)
        found.append({path.name: path.read_bytes() for path in folder.iterdir()})
    return found


@pytest.fixture
def hub(packages, tmp_path):
    """The hub with some models; `look` says what a new process makes of names."""
    with serve() as running:
        good = running.models["me/faces"] = Model()
        good.commit(packages[0] | {"code.py": b"raise SystemExit", "optimiser.pkl": b"\0" * 9})
        good.branches["first"] = good.branches["main"]
        good.commit(packages[1])
        running.models["me/closed"] = Model(gated=True)
        running.models["me/closed"].commit(packages[0])
        other = {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"\0" * 9}
        running.models["me/bert"] = Model()
        running.models["me/bert"].commit(other)
        running.models["me/empty"] = Model()
        running.models["me/empty"].commit({"README.md": b""})
        environment = os.environ | {
            "HF_ENDPOINT": running.address,
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        environment.pop("HF_TOKEN", None)

        def call(*words, **changes):
            return subprocess.run(
                [sys.executable, "-W", "ignore", *words],
                cwd=tmp_path,
                env=environment | changes,
                capture_output=True,
                text=True,
                check=False,
            )

        def look(*names, **changes):
            done = call("-c", LOOK, *names, **changes)
            assert done.returncode == 0, done.stderr
            return done.stdout.splitlines()

        yield SimpleNamespace(call=call, look=look, server=running)


def test_a_name_is_a_model_and_only_what_is_needed_is_fetched(hub):
    done = hub.call("-c", "import dfer; print(dfer.load('me/faces').run.seed)")
    assert done.stdout.strip() == "5", done.stderr
    assert hub.server.fetched() == {"config.json", "model.safetensors"}


def test_a_revision_is_what_stood_there_then(hub):
    first = hub.server.models["me/faces"].branches["first"]
    *found, refused = hub.look("me/faces@first", f"me/faces@{first}", "me/faces@nowhere")
    assert found == ["0", "0"] and "has no such revision" in refused


def test_what_was_fetched_once_needs_no_network(hub):
    """Nor a hub: it is found in the cache, and is fetched no second time."""
    assert hub.look("me/faces") == ["5"]
    asked = len(hub.server.asked)
    assert hub.look("me/faces", HF_HUB_OFFLINE="1") == ["5"]
    assert hub.look("me/faces", HF_ENDPOINT="http://127.0.0.1:9") == ["5"]
    assert len(hub.server.asked) == asked


REFUSED = {
    "me/none": "no such folder here, and no such model on the hub",
    "me/closed": "asks you to agree to conditions",
    "me/bert": "a model of something else than dfer",
    "me/empty": "not a package of dfer",
    "me/fa..ces": "not a name of the hub's",
    "results/faces": "no trained run",
    "faces": "no trained run",
}


def test_what_does_not_work_is_one_clear_error(hub):
    answers = hub.look(*REFUSED)
    for answer, (name, said) in zip(answers, REFUSED.items(), strict=True):
        assert answer.startswith("refused:") and said in answer, name
    assert "model.safetensors" not in hub.server.fetched()


@pytest.mark.parametrize(
    "changes", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_without_a_network_the_hub_cannot_be_reached(hub, changes):
    (answer,) = hub.look("me/faces", **changes)
    assert answer.startswith("refused: me/faces: ") and "the hub cannot be reached" in answer


def test_a_harmed_download_is_found(hub, packages):
    harmed = bytearray(packages[1]["model.safetensors"])
    harmed[-50] ^= 1
    hub.server.models["me/faces"].commit({"model.safetensors": bytes(harmed)})
    (answer,) = hub.look("me/faces")
    assert "not the file that config.json beside it names" in answer


def test_the_command_takes_names_too(hub, tmp_path):
    """It comes as far as the clip, which is none."""
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    done = hub.call("-m", "dfer", "predict", "--run", "me/faces", "broken.mp4")
    assert "trained on mine, fold 1, seed 5" in done.stdout
    assert "error: nothing could be predicted" in done.stderr
