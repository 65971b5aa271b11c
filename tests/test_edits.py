"""An edit reruns exactly what depends on it: Snakemake's own decisions on a completed tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from checkout import CONFIG, Checkout, make_release, ran

ROOT = Path(__file__).parents[1]
TARGETS = ("results/table1.tex", "results/table2.tex")

# What an edit of a module reruns by itself; all that follows is `DOWNSTREAM`.
TRAINING = {"train baseline", "train full", "evaluate baseline", "evaluate full"}
MODEL = TRAINING | {"flops"}
STORE = {"align", "extract", *TRAINING}
DIRECT = {
    "dfer.align": {"align"},
    "dfer.archive": set(),
    "dfer.card": set(),
    "dfer.clips.augment": TRAINING,
    "dfer.clips.loader": TRAINING,
    "dfer.clips.sampling": TRAINING,
    "dfer.clips.shard": {"align", "extract"},
    "dfer.clips.store": {"extract", *TRAINING},
    "dfer.clips.video": {"align", "extract"},
    "dfer.datasets.release": {"manifest"},
    "dfer.datasets.table": {"manifest"},
    "dfer.datasets.dfew": set(),
    "dfer.datasets.ferv39k": set(),
    "dfer.datasets.mafw": set(),
    "dfer.datasets.findings": set(),
    "dfer.datasets.media": set(),
    "dfer.datasets.official": set(),
    "dfer.evaluate": {"evaluate baseline", "evaluate full"},
    "dfer.extract": {"extract"},
    "dfer.faces.dlib_68": {"align"},
    "dfer.faces.face_alignment_68": set(),
    "dfer.faces.settings": {"align"},
    "dfer.faces.similarity": {"extract"},
    "dfer.faces.track": {"align"},
    # figures, their data, and the report
    "dfer.embedding": set(),
    "dfer.example_maps": set(),
    "dfer.examples": set(),
    "dfer.features": set(),
    "dfer.figures.blocks": set(),
    "dfer.figures.confusion": set(),
    "dfer.figures.embedding": set(),
    "dfer.figures.heatmaps": set(),
    "dfer.figures.learning": set(),
    "dfer.figures.recall": set(),
    "dfer.figures.similarity": set(),
    "dfer.figures.style": set(),
    "dfer.heatmaps": set(),
    "dfer.page": set(),
    "dfer.flops": {"flops"},
    "dfer.hardware": TRAINING,
    "dfer.inference": TRAINING,
    "dfer.manifest": {"manifest"},
    "dfer.metrics": TRAINING,
    "dfer.models.attention": MODEL | {"text"},
    "dfer.models.biehpro": {"train full", "evaluate full", "flops"},
    "dfer.models.checkpoint": TRAINING,
    "dfer.models.clip": MODEL | {"text"},
    "dfer.models.interfit": {"train full", "evaluate full", "flops"},
    "dfer.models.mlp": MODEL | {"text"},
    "dfer.models.msta": {"train full", "evaluate full", "flops"},
    "dfer.models.recogniser": MODEL,
    "dfer.models.small_clip": set(),
    "dfer.models.vit": MODEL | {"text"},
    "dfer.pretrain": set(),
    "dfer.predict": set(),
    "dfer.proof": set(),
    "dfer.render": set(),
    "dfer.footage.clips": set(),
    "dfer.footage.overlay": set(),
    "dfer.footage.pictures": set(),
    "dfer.footage.strip": set(),
    "dfer.paired": {"summary"},
    "dfer.provenance": {"train baseline", "train full"},
    "dfer.configuration": set(),
    "dfer.check_data": set(),
    "dfer.schedule": {"train baseline", "train full"},
    "dfer.settings": MODEL | {"text"},
    "dfer.splits": {"rejects", "accept", "splits"},
    "dfer.summary": {"summary"},
    "dfer.tables": {"table"},
    "dfer.tested": {"evaluate baseline", "evaluate full"},
    "dfer.text": {"text", "train baseline", "train full"},
    "dfer.train": {"train baseline", "train full"},
    "dfer.tuning.best": set(),
    "dfer.tuning.figures": set(),
    "dfer.tuning.replay": set(),
    "dfer.tuning.study": set(),
    "dfer.tuning.suggest": set(),
    "dfer.tuning.trial": set(),
    "dfer.why": set(),
}
DIRECT["dfer.files"] = {job for jobs in DIRECT.values() for job in jobs}

AFTER = {
    # Which lists change is known when the release has been read, so a dry run names them all.
    "manifest": {"align", "extract", "splits"},
    "align": {"extract", "rejects"},
    "extract": {"rejects", "train baseline", "train full", "evaluate baseline", "evaluate full"},
    "rejects": {"accept", "splits"},
    "accept": {"splits"},
    "splits": {"train baseline", "train full", "evaluate baseline", "evaluate full"},
    "text": {"train baseline", "train full"},
    "train baseline": {"evaluate baseline"},
    "train full": {"evaluate full"},
    "evaluate baseline": {"summary"},
    "evaluate full": {"summary"},
    "summary": {"table"},
    "flops": {"table"},
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A checkout whose targets are complete."""
    tree = Checkout(tmp_path_factory.mktemp("checkout"))
    make_release(tree.folder / "release")
    tree.snakemake(*TARGETS)
    assert tree.jobs(*TARGETS) == {}
    return tree


def names(jobs):
    """Kinds of jobs, the runs' settings replaced by their variant's name."""
    kinds = set()
    for job in jobs:
        rule, *values = job.split()
        if rule in ("train", "evaluate"):
            rule += " full" if "interfit" in values[1] else " baseline"
        kinds.add(rule)
    return kinds


def closure(direct):
    """`direct` and all that follows from it."""
    reached, todo = set(), list(direct)
    while todo:
        job = todo.pop()
        if job not in reached:
            reached.add(job)
            todo += AFTER.get(job, ())
    return reached


@pytest.fixture
def edit(tree):
    """Change a file of the tree; it is put back afterwards."""
    saved = {}

    def change(name, function):
        path = tree.folder / name
        saved.setdefault(path, (path.read_bytes(), path.stat()))
        path.write_text(function(path.read_text(encoding="utf-8")), encoding="utf-8")

    yield change
    for path, (content, stat) in saved.items():
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def modules():
    files = sorted((ROOT / "src/dfer").rglob("*.py"))
    names = [".".join(file.relative_to(ROOT / "src").with_suffix("").parts) for file in files]
    return [n for n in names if not n.endswith("__init__") and not n.startswith("dfer.demo.")]


def test_the_table_of_edits_has_every_module():
    assert set(modules()) == set(DIRECT)


@pytest.mark.parametrize("module", sorted(DIRECT))
def test_a_module_reruns_exactly_what_depends_on_it(tree, edit, module):
    edit(f"src/{module.replace('.', '/')}.py", lambda text: text + "\nEDITED = True\n")
    jobs = tree.jobs(*TARGETS)
    assert names(jobs) == closure(DIRECT[module])
    for job, reason in jobs.items():
        if names([job]) & DIRECT[module] and "Params have changed" in reason:
            assert f"now: '{module}@" in reason


@pytest.mark.parametrize(
    "function",
    [
        lambda text: text + "\n# a comment\n",
        lambda text: text.replace('"""', '"""Of note: ', 1),
        lambda text: text.replace("\n\n\n", "\n\n\n\n\n"),
        lambda text: text,
    ],
    ids=["comment", "docstring", "format", "touch"],
)
@pytest.mark.parametrize("module", ["models/msta", "train", "tables", "clips/store"])
def test_no_change_of_meaning_reruns_nothing(tree, edit, module, function):
    edit(f"src/dfer/{module}.py", function)
    assert tree.jobs(*TARGETS) == {}


def test_other_versions_of_packages_rerun_nothing(tree, edit):
    """A documented choice: each run records its versions, and redoing is the user's decision."""
    edit("environment.yml", lambda text: text.replace("torch==", "torch==1"))
    edit("pyproject.toml", lambda text: text.replace("torch==", "torch==1"))
    assert tree.jobs(*TARGETS) == {}


def test_an_edit_that_is_undone_reruns_nothing(tree, edit):
    edit("src/dfer/models/msta.py", lambda text: text + "\nEDITED = True\n")
    assert tree.jobs(*TARGETS)
    edit("src/dfer/models/msta.py", lambda text: text.replace("\nEDITED = True\n", ""))
    assert tree.jobs(*TARGETS) == {}


@pytest.fixture
def configure(tree):
    yield lambda **changes: tree.configure(CONFIG | changes)
    tree.configure(CONFIG)


def test_a_variants_learning_rate_retrains_that_variant(tree, configure):
    full = {"full": {"train": {"lr": 2e-3}}}
    configure(variants=CONFIG["variants"] | full)
    assert names(tree.jobs(*TARGETS)) == closure({"train full"})


def test_a_further_seed_trains_only_that_seed(tree, configure):
    configure(seeds=[0, 1])
    jobs = tree.jobs(*TARGETS)
    trained = [job.split() for job in jobs if job.startswith("train")]
    assert sorted(words[-1] for words in trained) == ["1"] * 4
    assert names(jobs) == closure({"train baseline", "train full"})


def test_a_further_variant_trains_only_that_variant(tree, configure):
    configure(variants=CONFIG["variants"] | {"interfit_msta": {"model": {"blocks": 0}}})
    jobs = tree.jobs(*TARGETS)
    trained = {job.split()[2] for job in jobs if job.startswith("train")}
    assert len(trained) == 1 and trained.pop().startswith("interfit+msta.")


def test_two_variants_of_equal_settings_are_one_run(tree, configure):
    configure(variants=CONFIG["variants"] | {"m1": {"model": {"blocks": 1}}})
    jobs = tree.jobs(*TARGETS, "results/table4.tex")
    assert names(jobs) == {"summary", "table"}


def test_a_title_changes_tables_only(tree, configure):
    mine = CONFIG["datasets"]["mine"] | {"title": "Mine, renamed"}
    configure(datasets={"mine": mine})
    assert names(tree.jobs(*TARGETS)) == {"table"}


def why(tree, *words):
    """What `python -m dfer.why` prints."""
    command = [sys.executable, "-m", "dfer.why", *words]
    env = os.environ | {"PYTHONPATH": str(tree.folder / "src")}
    done = subprocess.run(
        command, cwd=tree.folder, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_why_names_the_file_the_jobs_and_what_follows(tree, edit):
    assert why(tree, *TARGETS) == "0 jobs would run.\n"
    edit("src/dfer/models/msta.py", lambda text: text + "\nEDITED = True\n")
    run = next(path.name for path in (tree.folder / "results/mine/runs").glob("*msta*"))
    told = why(tree, *TARGETS)
    because, follows = told.split("\n\n")[1:]
    assert because.splitlines()[0] == "Because src/dfer/models/msta.py was edited:"
    jobs = {line.strip() for line in because.splitlines()[1:]}
    assert jobs == {"flops", f"train mine {run} 1 0", f"train mine {run} 2 0"}
    assert follows == "And what follows from these: 2 × evaluate, 2 × summary, 2 × table.\n"


def test_why_names_settings_and_missing_results(tree, configure):
    configure(datasets={"mine": CONFIG["datasets"]["mine"] | {"title": "Renamed"}})
    (tree.folder / "results/summary/table2.parquet").rename(tree.folder / "moved")
    try:
        told = why(tree, "results/summary/table2.parquet", "results/table1.tex")
    finally:
        (tree.folder / "moved").rename(tree.folder / "results/summary/table2.parquet")
    assert "Because its result is missing:\n    summary 2\n" in told
    assert re.search(
        r"Because the settings changed from .*Mine.* to .*Renamed.*:\n    table 1", told
    )


def test_tables_are_made_anew_from_an_archive_without_training(tree, tmp_path):
    """In another clone that has neither data nor runs."""
    tree.snakemake("results/archive.tar.gz")
    other = Checkout(tmp_path)
    archive = tree.folder / "results/archive.tar.gz"
    shutil.unpack_archive(archive, other.folder, filter="data")
    rules = ["--allowed-rules", "tables", "table", "summary", "flops"]
    done = other.snakemake("tables", *rules, "--configfile", "config/archived.yaml")
    assert set(ran(done)) == {"tables", "table", "summary", "flops"}
    for ending in ("tex", "parquet", "md"):
        name = f"results/table1.{ending}"
        assert (other.folder / name).read_bytes() == (tree.folder / name).read_bytes()


def test_a_further_fold_trains_only_that_fold(tree, configure):
    mine = CONFIG["datasets"]["mine"] | {"folds": [1, 2, 3]}
    configure(datasets={"mine": mine})
    jobs = tree.jobs(*TARGETS)
    folds = {job.split()[-2] for job in jobs if job.startswith(("train", "evaluate"))}
    assert folds == {"3"}
    assert names(jobs) == closure({"train baseline", "train full", "splits"})


def test_a_fold_that_the_release_lacks_is_named(tree, configure):
    mine = CONFIG["datasets"]["mine"] | {"folds": [1, 4]}
    configure(datasets={"mine": mine})
    done = tree.snakemake("-n", *TARGETS, check=False)
    assert done.returncode
    assert "the release of mine has no fold 4; it has 1, 2, 3" in done.stdout + done.stderr


def test_an_edited_reader_that_reads_the_same_aligns_nothing_anew(tree, edit):
    """Run for real: the shard lists come out the same, so no shard is aligned or extracted.

    What follows those jobs is done: Snakemake keeps the reasons that it gave before a checkpoint.
    """
    edit("src/dfer/datasets/table.py", lambda text: text + "\nEDITED = True\n")
    kinds = ran(tree.snakemake(*TARGETS))
    assert kinds["manifest"] == 1
    assert kinds["align"] == kinds["extract"] == 0


def test_a_further_clip_aligns_its_shard_only(tree):
    """Run for real, and last: the tree is another one afterwards."""
    shutil.copy(tree.folder / "release/videos/c00.mp4", tree.folder / "release/videos/new.mp4")
    with (tree.folder / "release/labels.csv").open("a") as file:
        file.write("new,videos/new.mp4,happy,1\n")
    kinds = ran(tree.snakemake(*TARGETS))
    assert kinds["manifest"] == kinds["align"] == kinds["extract"] == 1
    assert kinds["train"] == kinds["evaluate"] == 4
    splits = pd.read_parquet(tree.folder / "results/mine/splits/1.parquet")
    assert splits.set_index("clip").split["new"] == "test"
