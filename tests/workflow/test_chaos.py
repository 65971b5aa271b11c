"""Kills, a full disk, two at once, rot: the same command goes on and ends with the same bytes.

A few of each; `make test-chaos` kills many times more (tests/chaos.py).
"""

import os
import shutil

import pytest
from chaos import prepare, small_disk

pytestmark = pytest.mark.slow

TARGETS = ("results/table1.tex", "results/figures/mine/recall.svg")


@pytest.fixture(scope="module")
def chaos(tmp_path_factory):
    """A small tree that was run once, on a disk of its own where that is allowed."""
    with small_disk() as disk:
        chaos = prepare(disk or tmp_path_factory.mktemp("chaos"), seed=0, targets=TARGETS)
        chaos.has_own_disk = disk is not None
        yield chaos


@pytest.fixture
def trained_anew(chaos):
    """The tree without its trainings and what follows them."""
    for path in (chaos.results / "mine/runs", chaos.results / "summary"):
        shutil.rmtree(path)
    for path in chaos.results.glob("table1.*"):
        path.unlink()
    return chaos


def test_killed_at_random_moments(chaos):
    shutil.rmtree(chaos.results)
    chaos.modes = ("power", "stage", "terminate", "group")
    chaos.survive(len(chaos.hits) + 4)
    print(chaos.report())


def test_a_full_disk(trained_anew):
    chaos = trained_anew
    if not chaos.has_own_disk:
        pytest.skip("a full disk needs the right to mount a file system in memory")
    chaos.modes = ("disk",)
    chaos.survive(len(chaos.hits) + 1)
    print(chaos.report())


def test_a_second_snakemake_is_refused_and_the_first_ends_right(trained_anew):
    chaos = trained_anew
    first, locks = chaos.start(), chaos.tree.folder / ".snakemake/locks"
    while first.poll() is None and not list(locks.glob("*")):
        pass
    second = chaos.tree.snakemake(*TARGETS, check=False)
    assert first.poll() is None  # it still runs: this was a second one
    assert second.returncode
    assert "Directory cannot be locked" in second.stdout + second.stderr
    chaos.finish(first)


def test_a_file_that_rots_is_named_and_the_remedy_works(trained_anew):
    """A whole file that is cut later, which no kill does: what reads it says what to do."""
    chaos = trained_anew
    shard = chaos.results / "mine/store/0.arrow"
    os.truncate(shard, shard.stat().st_size // 2)
    done = chaos.tree.snakemake(*TARGETS, check=False)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode and "error: results/mine/store/0.arrow: not a whole shard" in said
    assert "Delete it and run again" in said
    shard.unlink()
    chaos.tree.snakemake(*TARGETS)
    chaos.compare()
