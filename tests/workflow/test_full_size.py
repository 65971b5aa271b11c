"""The paper's experiments at full size: which jobs Snakemake plans for trees of all three datasets.

The releases have the official numbers of clips, folds and classes; their files are empty.
"""

import time
from collections import Counter
from itertools import product

import pytest
from releases import DFEW_CLIPS, paper_tree

from dfer.why import planned

pytestmark = pytest.mark.slow

FOLDS = {"dfew": 5, "ferv39k": 1, "mafw": 5}
VARIANTS, SEEDS, SHARDS = 11, 3, 64
COMMAND = ("tables", "figures", "--configfile", "config/paper.yaml")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A checkout whose paper.yaml points to full releases."""
    return paper_tree(tmp_path_factory.mktemp("paper"))


def dry_run(tree):
    """The jobs of a dry run as (rule, values of its wildcards), as often as they are planned."""
    began = time.perf_counter()
    done = tree.snakemake("-n", *COMMAND)
    print(f"dry run: {time.perf_counter() - began:.1f} s")
    return [(job.rule, *job.values) for job in planned(done.stdout + done.stderr)]


def check(jobs, manifests):
    """Every training and evaluation once, and what leads to them and follows."""
    assert max(Counter(jobs).values()) == 1
    kinds = Counter(job[0] for job in jobs)
    assert kinds == {
        **({"manifest": 3} if manifests else {}),
        "align": SHARDS,  # MAFW is aligned here; the other two bring face crops
        "extract": 3 * SHARDS,
        **dict.fromkeys(("contents", "rejects", "accept", "text"), 3),
        "splits": 11,
        "train": 11 * VARIANTS * SEEDS,
        "evaluate": 11 * VARIANTS * SEEDS,
        "features": 11 * 4,  # of the variants of Figs. 2 and 5, the first seed
        **dict.fromkeys(("examples", "maps", "tsne"), 3 * 2),
        **dict.fromkeys(("figure2", "figure4", "figure5", "blocks"), 3),
        **dict.fromkeys(("confusion_matrices", "recall", "learning_curves"), 3),
        **dict.fromkeys(("summary", "table"), 5),
        **dict.fromkeys(("flops", "tables", "figures"), 1),
    }
    for rule in ("train", "evaluate"):
        runs_of = [job[1:] for job in jobs if job[0] == rule]
        for dataset, folds in FOLDS.items():
            here = [job[1:] for job in runs_of if job[0] == dataset]
            runs = {run for run, _, _ in here}
            assert len(runs) == VARIANTS
            numbers = map(str, range(1, folds + 1)), map(str, range(SEEDS))
            assert set(here) == set(product(runs, *numbers))


def test_every_job_is_planned_once(tree):
    check(dry_run(tree), manifests=True)


def test_the_plan_is_the_same_once_the_manifests_are_made(tree):
    paths = [f"results/{name}/manifest.parquet" for name in FOLDS]
    tree.snakemake(*paths, *COMMAND[2:])
    logs = {name: tree.folder / f"results/logs/{name}/manifest.log" for name in FOLDS}
    for name, clips in {"dfew": 11697, "ferv39k": 38935, "mafw": 9172}.items():
        assert f": {clips} clips, {FOLDS[name]} folds." in logs[name].read_text()
        assert "not on disk" not in logs[name].read_text()
    assert f"{DFEW_CLIPS - 11697} clips on disk are in no list" in logs["dfew"].read_text()
    check(dry_run(tree), manifests=False)
