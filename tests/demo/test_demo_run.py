"""The demo made small (config/test.yaml), for real: from rendered video to Table 1, and killed."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from checkout import Checkout

pytestmark = pytest.mark.slow

TARGET = ("results/table1.tex", "--configfile", "config/test.yaml", "--cores", "2")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The demo, made by one command from nothing, and what Snakemake printed."""
    tree = Checkout(tmp_path_factory.mktemp("demo"), config=None)
    return tree, tree.snakemake(*LOOKS, *TARGET).stdout


@pytest.fixture(scope="module")
def tree(made):
    return made[0]


def results(tree):
    """The bytes of every result that must not depend on interruptions."""
    kinds = ("*.parquet", "*.safetensors", "*.tex", "*.arrow", "*.md")
    found = [path for kind in kinds for path in (tree.folder / "results").rglob(kind)]
    return {str(path.relative_to(tree.folder)): path.read_bytes() for path in sorted(found)}


def test_one_command_from_nothing_to_table_1(made):
    tree, printed = made
    assert "epoch 2/2" in printed
    table = pd.read_parquet(tree.folder / "results/table1.parquet")
    measured = table[table.source == "measured"]
    assert len(measured) == 4 and measured.synthetic.all()
    assert measured.value.between(0, 100).all() and (measured.folds == 2).all()
    assert "(synthetic)" in (tree.folder / "results/table1.tex").read_text()
    assert len(pd.read_parquet(tree.folder / "results/demo/rejects.parquet")) == 0
    words = pd.read_parquet(tree.folder / "results/demo/words/measures.parquet")
    assert set(words.of) == {"clips", "stills"} and (words.chance > 0).all()
    assert words["count"].tolist() == [32, 56] * 4 + [56] * 2
    again = tree.snakemake(*TARGET)
    assert "Nothing to be done" in again.stdout + again.stderr


RENDER = {"render", "render_stills", "labels"}
LOOKS = ("results/demo/contact_sheet.png", "results/figures/demo/words.svg")


@pytest.mark.parametrize(
    ("module", "expected"),
    {
        "demo.captions": {"captions"},
        "demo.contact_sheet": {"contact_sheet"},
        "demo.dataset": RENDER | {"captions"},
        "demo.draws": RENDER | {"captions"},
        "demo.expressions": RENDER | {"captions"},
        "demo.face_model": {"face_model", "labels"},
        "demo.hair": RENDER,
        "demo.identities": RENDER | {"captions"},
        "demo.paint": RENDER,
        "demo.pretrain": {"pretrain"},
        "demo.raster": RENDER,
        "demo.render": RENDER,
        "demo.renderer": RENDER,
        "demo.scene": RENDER | {"captions"},
        "demo.shading": RENDER,
        "demo.small_backbone": {"pretrain"},
        "demo.vocabulary": {"captions"},
        "demo.words": {"words"},
        "demo.words_figure": {"words_figure"},
    }.items(),
)
def test_an_edit_of_the_demo_reruns_what_it_makes(tree, module, expected):
    """What also follows from another job has that for its reason, whatever it runs itself."""
    with tree.editing() as edit:
        edit(f"src/dfer/{module.replace('.', '/')}.py", lambda text: text + "\nEDITED = True\n")
        jobs = tree.jobs(*LOOKS, *TARGET)
    edited = [job for job, reason in jobs.items() if "Params have changed" in reason]
    assert {job.split()[0] for job in edited} == expected
    kinds = {job.split()[0] for job in jobs}
    assert ("train" in kinds) == bool(expected & {"render", "face_model", "captions", "pretrain"})
    assert ("align" in kinds) == bool(expected & {"render", "face_model"})


def test_killed_trainings_go_on_and_end_with_the_same_bytes(tree):
    """SIGKILL to Snakemake and all its jobs while they train; then once more."""
    whole = results(tree)
    command = [sys.executable, "-m", "snakemake", *TARGET]
    for path in ("demo/runs", "summary"):
        shutil.rmtree(tree.folder / "results" / path)
    for path in (tree.folder / "results").glob("table1.*"):
        path.unlink()
    started = subprocess.Popen(
        command, cwd=tree.folder, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in started.stdout:
        if "epoch 1/2" in line:
            break
    time.sleep(0.2)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    tree.snakemake("--unlock", *TARGET)
    done = tree.snakemake(*TARGET)
    assert results(tree) == whole
    assert "goes on after epoch" in done.stdout
