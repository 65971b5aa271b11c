"""An edit reruns exactly what depends on it: Snakemake's own decisions on a completed tree."""

import re
import shutil
import subprocess
import sys
from collections import defaultdict

import pandas as pd
import pytest
from checkout import COMPLETE, CONFIG, ROOT, Checkout, make_release, ran
from forks import FORKS, PYTHON
from releases import clips_of, fill, random_lists, write_ferv39k_lists, write_jpeg

from dfer.settings import OWN, methods
from dfer.why import planned

pytestmark = pytest.mark.slow

TABLES = ("results/table1.tex", "results/table2.tex")
EVERYTHING = ("report_pages", "tune", "results/archive.tar.gz")
COLLECT = {"report_pages", "tune"}  # targets without a command of their own

# What an edit of a module reruns by itself; all that follows is `AFTER`. A run's jobs have its
# variant's name, so that `train full` is one thing and `train baseline` another.
VARIANTS = {
    "baseline": "backbone",
    "full": "interfit+msta+biehpro1",
    "without_text": "interfit+msta+linear",
    "m3": "interfit+msta+biehpro3",
    "text_prompt": "biehpro1-text",
    "both_prompts": "biehpro1",
}
PROMPTS = {"text_prompt", "both_prompts"}  # of Fig. 2
FEATURES = {"baseline", "full", *PROMPTS}  # of Figs. 2 and 5
MAPS = {"without_text", "full"}  # of Fig. 4


def runs(*rules, of=VARIANTS):
    """The jobs of `rules` for each variant in `of`, as far as there are such jobs."""
    has = {"features": FEATURES, "maps": MAPS, "tsne": {"baseline", "full"}}
    return {f"{rule} {v}" for rule in rules for v in of if v in has.get(rule, VARIANTS)}


USES_MODEL = ("train", "evaluate", "features", "maps")
TRAIN, EVALUATE = runs("train"), runs("evaluate")
MODEL = {*runs(*USES_MODEL), "trial", "flops"}
CLIP = MODEL | {"text"}
INTERFIT = {*runs(*USES_MODEL, of={"full", "without_text", "m3"}), "trial", "flops"}
BIEHPRO = {*runs(*USES_MODEL, of=set(VARIANTS) - {"baseline", "without_text"}), "trial", "flops"}
TRAINING = {*runs(*USES_MODEL), "trial"}
SCORED = {*TRAIN, *EVALUATE, "trial"}
READS_STORE = {*TRAINING, "examples figure2", "examples figure4"}
COMPARISONS = {"confusion_matrices", "recall", "learning_curves", "blocks"}
TABLE_JOBS = {  # all jobs of TABLES
    *("manifest", "align", "extract", "contents", "rejects", "accept", "splits", "text"),
    *runs("train", "evaluate", of={"baseline", "full"}),
    *("flops", "summary", "table"),
}
FIGURES = {"figure2", "figure4", "figure5", *COMPARISONS}
PAGES = {"table_page", "check_page", "rejects_page", "settings_page", "environment_page"}
STUDY = {"suggest", "trial", "best"}
READ = {"manifest", "check_dataset"}

DIRECT = {
    # from a release to the clip store
    "dfer.arguments": {*READ, "extract"},
    "dfer.datasets.consistency": READ,
    "dfer.datasets.folders": READ,
    "dfer.datasets.layouts": READ,
    "dfer.datasets.lists": set(),
    "dfer.datasets.release": READ,
    "dfer.datasets.table": READ,
    "dfer.check.copies": {"check_dataset"},
    "dfer.check.decoding": {"check_dataset"},
    "dfer.check.findings": {"check_dataset"},
    "dfer.check.frames": {"check_dataset"},
    "dfer.check.looks": {"check_dataset"},
    "dfer.check.official": {"check_dataset"},
    "dfer.check.page": {"check_dataset"},
    "dfer.check.release": {"check_dataset"},
    "dfer.check.structure": {"check_dataset"},
    "dfer.prepare.manifest": {"manifest"},
    "dfer.prepare.align": {"align"},
    "dfer.faces.backends": {"align"},
    "dfer.faces.dlib_68": {"align"},
    "dfer.faces.settings": {"align"},
    "dfer.faces.track": {"align"},
    "dfer.clips.media": {*READ, "align", "extract"},
    "dfer.clips.progress": {"align", "extract", "check_dataset"},
    "dfer.clips.shard": {"align", "extract"},
    "dfer.clips.decoder": {"align", "extract", "check_dataset"},
    "dfer.clips.images": {"align", "extract", "check_dataset"},
    "dfer.clips.shown": {"align", "extract", "check_dataset"},
    "dfer.clips.video": {"align", "extract", "check_dataset"},
    "dfer.prepare.extract": {"extract"},
    "dfer.prepare.contents": {"contents"},
    "dfer.faces.similarity": {"extract"},
    "dfer.clips.store": {"extract", "contents", "check_dataset", *READS_STORE},
    "dfer.prepare.splits": {"rejects", "accept", "splits"},
    # the model and its training
    "dfer.training.text": {"text", *TRAIN, "trial"},
    "dfer.models.attention": CLIP,
    "dfer.models.biehpro": BIEHPRO,
    "dfer.models.checkpoint": TRAINING,
    "dfer.models.backbone": CLIP,
    "dfer.models.flops": {"flops"},
    "dfer.models.interfit": INTERFIT,
    "dfer.models.lstm": INTERFIT,
    "dfer.models.clip_method": MODEL,
    "dfer.models.method": MODEL,
    "dfer.video_settings": MODEL,
    "dfer.models.mlp": CLIP,
    "dfer.models.msta": INTERFIT,
    "dfer.models.recogniser": MODEL,
    "dfer.models.sealed": {"text", *TRAINING},
    "dfer.models.vit": CLIP,
    "dfer.clips.augment": TRAINING,
    "dfer.clips.evaluation": TRAINING,
    "dfer.clips.loader": TRAINING,
    "dfer.clips.planes": TRAINING,
    "dfer.clips.sampling": READS_STORE,
    "dfer.training.criterion": {*TRAIN, "trial"},
    "dfer.training.device": TRAINING,
    "dfer.training.inference": {*SCORED, *runs("maps")},
    "dfer.training.loop": {*TRAIN, "trial"},
    "dfer.training.metrics": SCORED,
    "dfer.training.optimiser": {*TRAIN, "trial"},
    "dfer.training.schedule": {*TRAIN, "trial"},
    "dfer.training.share": {*TRAIN, "trial"},
    "dfer.training.recorded": {*SCORED, *runs("maps")},
    "dfer.training.train_set": {*TRAIN, "trial"},
    "dfer.training.state": {*TRAIN, "trial"},
    "dfer.training.step": {*TRAIN, "trial"},
    "dfer.training.train": {*TRAIN, "trial"},
    "dfer.training.test_set": {*EVALUATE, *runs("features")},
    "dfer.training.evaluate": EVALUATE,
    "dfer.training.scores": EVALUATE,
    # tables and figures
    "dfer.tables.summary": {"summary"},
    "dfer.tables.paired": {"summary"},
    "dfer.tables.flops": {"flops"},
    "dfer.tables.captions": {"table", "table_page"},
    "dfer.tables.latex": {"table"},
    "dfer.tables.layout": {"table", "table_page"},
    "dfer.tables.markdown": {"table"},
    "dfer.tables.numbers": {"table", "table_page"},
    "dfer.tables.reported": {"table", "flops", "table_page"},
    "dfer.tables.table": {"table"},
    "dfer.analysis.features": runs("features"),
    "dfer.analysis.tsne": runs("tsne"),
    "dfer.analysis.examples": {"examples figure2", "examples figure4"},
    "dfer.analysis.maps": runs("maps"),
    "dfer.analysis.relevance": runs("maps"),
    "dfer.figures.blocks": {"blocks"},
    "dfer.figures.confusion": {"confusion_matrices"},
    "dfer.figures.figure5": {"figure5"},
    "dfer.figures.figure4": {"figure4"},
    "dfer.figures.heat": {"figure4"},
    "dfer.figures.learning": {"learning_curves"},
    "dfer.figures.recall": {"recall"},
    "dfer.figures.figure2": {"figure2"},
    "dfer.figures.style": FIGURES | {"tuning_figure"},
    "dfer.report.page": PAGES,
    "dfer.report.runs": {"table_page"},
    "dfer.report.sortable": {"table_page"},
    "dfer.report.table_page": {"table_page"},
    "dfer.report.archive": {"archive"},
    # tuning
    "dfer.tuning.study": STUDY,
    "dfer.tuning.replay": STUDY,
    "dfer.tuning.suggest": {"suggest"},
    "dfer.tuning.trial": {"trial"},
    "dfer.tuning.best": {"best"},
    "dfer.tuning.figures": {"tuning_figure"},
    # what a run's identity is made of
    "dfer.settings": {*CLIP, "suggest", "best"},
    "dfer.provenance": {*TRAIN, "trial"},
    # how jobs are planned, started and told of, which no result depends on
    "dfer.dag.configuration": set(),
    "dfer.dag.experiment": set(),
    "dfer.dag.gpu": set(),
    "dfer.why": set(),
    "dfer.training.events": set(),
    # of other datasets than this tree's (below)
    "dfer.datasets.dfew": set(),
    "dfer.datasets.ferv39k": set(),
    "dfer.datasets.mafw": set(),
    "dfer.faces.face_alignment_68": set(),
    "dfer.faces.face_alignment_settings": set(),
    # of other methods than this tree's (tests/workflow/test_methods.py)
    **{
        f"dfer.{place}.{name}": set()
        for place in ("methods", "models.peers")
        for name in methods()
        if name != OWN
    },
    **{
        f"dfer.models.peers.{name}": set()
        for name in (
            *("convert_dfer_clip", "prompt_learner", "layer", "class_token"),
            *("cnn3d", "pooling", "ec_stfl", "resnet18"),
        )
    },
    "dfer.clips.freq_hd": {"trial"},  # a study's space may name any sampler
    "dfer.clips.balanced": {"trial"},  # and balanced epochs
    "dfer.models.pretrained": set(),
    "dfer.models.text_tower": set(),
    "dfer.models.video_network": set(),
    "dfer.training.weights": set(),
    # of no target of these: the figure of shares and what is done for rare classes
    # (tests/workflow/test_rare.py), whose trainings are their own; costs; proofs, which need LaTeX;
    # predictions of one's own videos, and the page in the browser
    "dfer.figures.shares": set(),
    "dfer.training.held_out": set(),
    "dfer.training.correct": set(),
    "dfer.tables.costs": set(),
    "dfer.tables.costs_here": set(),
    "dfer.training.speed": set(),
    "dfer.tables.proof": set(),
    "dfer.__main__": set(),
    "dfer.app.__main__": set(),
    "dfer.completion": set(),
    "dfer.app.behind": set(),
    "dfer.app.job": set(),
    "dfer.app.page": set(),
    "dfer.app.results_tab": set(),
    "dfer.app.seen": set(),
    "dfer.app.server": set(),
    "dfer.app.video_tab": set(),
    "dfer.predict.__main__": set(),
    "dfer.predict.api": set(),
    "dfer.predict.run": set(),
    "dfer.predict.classify": set(),
    "dfer.predict.clip": set(),
    "dfer.predict.face": set(),
    "dfer.predict.footage": set(),
    "dfer.predict.hub": set(),
    "dfer.predict.overlay": set(),
    "dfer.predict.package": set(),
    "dfer.predict.pictures": set(),
    "dfer.predict.predictor": set(),
    "dfer.predict.strip": set(),
    "dfer.predict.tables": set(),
    "dfer.predict.windows": set(),
    "dfer.predict.with_onnx": set(),
    "dfer.predict.with_torch": set(),
    "dfer.sharing.card": set(),
    "dfer.sharing.export": set(),
    "dfer.sharing.graph": set(),
    "dfer.sharing.upload": set(),
}
DIRECT["dfer.errors"] = {job for jobs in DIRECT.values() for job in jobs}
DIRECT["dfer.files"] = {job for jobs in DIRECT.values() for job in jobs}

AFTER = {
    # Which lists change is known when the release has been read, so a dry run names them all.
    "manifest": {"align", "extract", "splits"},
    "check_dataset": {"check_page"},
    "align": {"extract", "rejects"},
    "extract": {"rejects", "contents"},
    "contents": READS_STORE,
    "rejects": {"accept", "splits", "rejects_page", "archive"},
    "accept": {"splits"},
    "splits": {*TRAIN, *EVALUATE, *runs("features"), "trial"},
    "text": {*TRAIN, "trial"},
    "summary": {"table", "blocks"},
    "flops": {"table"},
    "table": {"table_page"},
    "examples figure2": {"figure2"},
    "examples figure4": {*runs("maps"), "figure4"},
    "suggest": {"trial"},
    "trial": {"suggest", "best"},
    "best": {"tuning_figure"},
    **{
        f"train {v}": runs("evaluate", "features", "maps", of={v})
        | {"environment_page", "archive"}
        | ({"learning_curves"} if v in ("baseline", "full") else set())
        for v in VARIANTS
    },
    "evaluate m3": {"summary", "archive"},
    **{f"evaluate {v}": {"summary", "archive", "examples figure2"} for v in PROMPTS},
    "evaluate without_text": {"summary", "archive", "examples figure4"},
    "evaluate full": {"summary", "archive", "examples figure4", "confusion_matrices", "recall"},
    "evaluate baseline": {"summary", "archive", "confusion_matrices", "recall"},
    **{f"features {v}": {"figure2"} for v in PROMPTS},
    **{f"features {v}": {f"tsne {v}"} for v in ("baseline", "full")},
    **{f"tsne {v}": {"figure5"} for v in ("baseline", "full")},
    **{f"maps {v}": {"figure4"} for v in MAPS},
}


def names(jobs):
    """Kinds of jobs, the runs' settings replaced by their variant's name."""
    variant = {key: name for name, key in VARIANTS.items()}
    kinds = set()
    for job in jobs:
        rule, *values = job.split()
        if rule in (*USES_MODEL, "tsne"):
            rule += f" {variant[values[1].partition('.')[0]]}"
        elif rule == "examples":
            rule += f" {values[1]}"
        if rule not in COLLECT:
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


@pytest.fixture(scope="module")
def tree(complete):
    """The completed checkout; nothing that these tests change in it stays."""
    assert complete.jobs(*EVERYTHING) == {}
    return complete


@pytest.fixture
def edit(tree):
    """Change a file of the tree; it is put back afterwards."""
    with tree.editing() as change:
        yield change


def test_a_fork_plans_what_the_command_plans(tree, edit):
    """All tests of edits ask tests/forks.py: the same jobs for the same reasons, and errors."""

    def clauses(jobs):
        return {job: sorted(re.split(r"[:;,] ", reason)) for job, reason in jobs.items()}

    edit("src/dfer/models/msta.py", edited)
    command = [sys.executable, "-m", "snakemake", "-n", *EVERYTHING]
    asked = {"cwd": tree.folder, "env": tree.environment(), "capture_output": True, "text": True}
    done = subprocess.run(command, **asked, check=True)
    commanded = {str(job): job.reason for job in planned(done.stdout + done.stderr)}
    assert commanded and clauses(tree.jobs(*EVERYTHING)) == clauses(commanded)
    with pytest.raises(AssertionError, match="MissingRuleException"):
        tree.jobs("results/table9.pdf")


def modules():
    files = sorted((ROOT / "src/dfer").rglob("*.py"))
    names = [".".join(file.relative_to(ROOT / "src").with_suffix("").parts) for file in files]
    return [n for n in names if not n.endswith("__init__") and not n.startswith("dfer.demo.")]


def test_the_table_of_edits_has_every_module():
    assert set(modules()) == set(DIRECT)


def edited(text):
    """A change of meaning."""
    return text + "\nEDITED = True\n"


ALIKE = defaultdict(list)  # modules of which the same jobs depend: one dry run tells of all
for module, jobs in DIRECT.items():
    ALIKE[frozenset(jobs)].append(module)


@pytest.mark.parametrize("direct", ALIKE, ids=lambda direct: ALIKE[direct][0])
def test_modules_rerun_exactly_what_depends_on_them(tree, edit, direct):
    """Those that are alike are edited together, and each must be named as a reason."""
    for module in ALIKE[direct]:
        edit(f"src/{module.replace('.', '/')}.py", edited)
    jobs = tree.jobs(*EVERYTHING)
    assert names(jobs) == closure(direct)
    reasons = {job: why for job, why in jobs.items() if "Params have changed" in why}
    assert bool(reasons) == bool(direct)
    for job, why in reasons.items():
        assert names([job]) <= direct
        assert set(re.findall(r"'(dfer[\w.]*)@", why)) == set(ALIKE[direct])


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
def test_no_change_of_meaning_reruns_nothing(tree, edit, function):
    """Of the model, its training, what it reads and what is made of it."""
    for module in ("models/msta", "training/train", "tables/table", "clips/store"):
        edit(f"src/dfer/{module}.py", function)
    assert tree.jobs(*TABLES) == {}


def test_other_versions_of_packages_rerun_nothing(tree, edit):
    """A documented choice: each run records its versions, and redoing is the user's decision."""
    edit("environment.yml", lambda text: text.replace("torch==", "torch==1"))
    assert tree.jobs(*TABLES) == {}


def test_an_edit_that_is_undone_reruns_nothing(tree, edit):
    edit("src/dfer/models/msta.py", edited)
    assert tree.jobs(*TABLES)
    edit("src/dfer/models/msta.py", lambda text: text.replace("\nEDITED = True\n", ""))
    assert tree.jobs(*TABLES) == {}


@pytest.fixture
def configure(tree):
    yield lambda **changes: tree.configure(COMPLETE | changes)
    tree.configure(COMPLETE)


def test_a_variants_learning_rate_retrains_that_variant(tree, configure):
    full = {"full": {"train": {"lr": 2e-3}}}
    configure(variants=COMPLETE["variants"] | full)
    jobs = tree.jobs(*EVERYTHING)
    assert names(jobs) == closure({"train full", "settings_page", *COMPARISONS})


def test_to_watch_trainings_reruns_nothing_and_changes_no_byte(tree, configure, tmp_path):
    configure(tensorboard=True)
    assert tree.jobs(*EVERYTHING) == {}
    run = next((tree.folder / "results/mine/runs").glob("backbone.*/fold1-seed0"))
    made = [run / "checkpoint.safetensors", run / "history.parquet"]
    made += [tree.folder / "results/mine/tuning/lr/trials/0.0.json"]
    names = [str(path.relative_to(tree.folder)) for path in made]
    mine = tree.copy(tmp_path)
    assert ran(mine.snakemake("--force", *names)) == {"train": 1, "trial": 1}
    for name, path in zip(names, made, strict=True):
        assert (tmp_path / name).read_bytes() == path.read_bytes(), name
    events = [tmp_path / names[0], tmp_path / names[2]]
    for folder in (events[0].with_name("tensorboard"), events[1].with_suffix(".tensorboard")):
        assert len(list(folder.iterdir())) == 1


def test_a_further_seed_trains_only_that_seed(tree, configure):
    configure(seeds=[0, 1])
    jobs = tree.jobs(*TABLES)
    trained = [job.split() for job in jobs if job.startswith("train")]
    assert sorted(words[-1] for words in trained) == ["1"] * 4
    assert names(jobs) == closure({"train baseline", "train full"}) & TABLE_JOBS


def test_a_further_variant_trains_only_that_variant(tree, configure):
    configure(variants=COMPLETE["variants"] | {"interfit_msta": {"model": {"blocks": 0}}})
    jobs = tree.jobs(*TABLES)
    trained = {job.split()[2] for job in jobs if job.startswith("train")}
    assert len(trained) == 1 and trained.pop().startswith("interfit+msta.")


def test_two_variants_of_equal_settings_are_one_run(tree, configure):
    configure(variants=COMPLETE["variants"] | {"m1": {"model": {"blocks": 1}}})
    jobs = tree.jobs(*TABLES, "results/table4.tex")
    assert names(jobs) == {"table"}


def test_a_title_changes_tables_only(tree, configure):
    mine = COMPLETE["datasets"]["mine"] | {"title": "Mine, renamed"}
    configure(datasets={"mine": mine})
    assert names(tree.jobs(*TABLES)) == {"table"}


def why(tree, *words):
    """What `python -m dfer.why` prints."""
    FORKS.start("snakemake", "stages")
    asked = {"cwd": tree.folder, "env": tree.environment(), "capture_output": True, "text": True}
    done = subprocess.run([PYTHON, "-m", "dfer.why", *words], **asked, check=True)
    return done.stdout


def test_why_names_the_file_the_jobs_and_what_follows(tree, edit):
    assert why(tree, *TABLES) == "0 jobs would run.\n"
    edit("src/dfer/models/msta.py", edited)
    run = next(path.name for path in (tree.folder / "results/mine/runs").glob("*msta+biehpro1.*"))
    told = why(tree, *TABLES)
    because, follows = told.split("\n\n")[1:]
    assert because.splitlines()[0] == "Because src/dfer/models/msta.py was edited:"
    jobs = {line.strip() for line in because.splitlines()[1:]}
    assert jobs == {"flops", f"train mine {run} 1 0", f"train mine {run} 2 0"}
    assert follows == "And what follows from these: 2 × evaluate, 2 × summary, 2 × table.\n"


def test_why_names_settings_and_missing_results(tree, configure):
    configure(datasets={"mine": COMPLETE["datasets"]["mine"] | {"title": "Renamed"}})
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
    mine = COMPLETE["datasets"]["mine"] | {"folds": [1, 2, 3]}
    configure(datasets={"mine": mine})
    jobs = tree.jobs(*TABLES)
    folds = {job.split()[-2] for job in jobs if job.startswith(("train", "evaluate"))}
    assert folds == {"3"}
    assert names(jobs) == closure({"splits"}) & TABLE_JOBS


def test_a_fold_that_the_release_lacks_is_named(tree, configure):
    mine = COMPLETE["datasets"]["mine"] | {"folds": [1, 4]}
    configure(datasets={"mine": mine})
    done = tree.snakemake("-n", *TABLES, check=False)
    assert done.returncode
    assert "the release of mine has no fold 4; it has 1, 2, 3" in done.stdout + done.stderr


def test_an_edited_reader_that_reads_the_same_aligns_nothing_anew(tree, tmp_path):
    """Run for real: the shard lists come out the same, so no shard is aligned or extracted.

    What follows those jobs would be done, up to the tables: Snakemake keeps the reasons that it
    gave before a checkpoint.
    """
    mine = tree.copy(tmp_path)
    with mine.editing() as edit:
        edit("src/dfer/datasets/table.py", edited)
        kinds = ran(mine.snakemake(*TABLES, "--until", "splits"))
    assert kinds["manifest"] == 1 and kinds["splits"] == 2
    assert kinds["align"] == kinds["extract"] == 0


def test_a_further_clip_aligns_its_shard_only(tree, tmp_path):
    """Run for real."""
    mine = tree.copy(tmp_path)
    shutil.copy(mine.folder / "release/videos/c00.mp4", mine.folder / "release/videos/new.mp4")
    with (mine.folder / "release/labels.csv").open("a") as file:
        file.write("new,videos/new.mp4,happy,1\n")
    kinds = ran(mine.snakemake(*TABLES))
    assert kinds["manifest"] == kinds["align"] == kinds["extract"] == 1
    assert kinds["train"] == kinds["evaluate"] == 4
    splits = pd.read_parquet(mine.folder / "results/mine/splits/1.parquet")
    assert splits.set_index("clip").split["new"] == "test"


# ── Several datasets ────────────────────────────────────────────────────────────────────────────

SEVERAL = (
    "results/mine/splits/1.parquet",
    "results/crops/splits/1.parquet",
    "results/neural/landmarks/0.parquet",
)


@pytest.fixture(scope="module")
def several(tmp_path_factory, weights):
    """Videos aligned with dlib, videos aligned with face-alignment, and a release's own crops."""
    tree = Checkout(tmp_path_factory.mktemp("several"))
    make_release(tree.folder / "release", clips=9, frames=1)
    lists = random_lists("ferv39k", share=2000)
    write_ferv39k_lists(tree.folder / "ferv39k", lists)
    image = write_jpeg(tree.folder / "face.jpg")
    fill(tree.folder / "ferv39k/2_ClipsforFaceCrop", clips_of(lists), ["1.jpg", "2.jpg"], image)
    mine = CONFIG["datasets"]["mine"] | {"shards": 1}
    labels = dict.fromkeys(label for rows in lists.values() for _, label in rows)
    crops = mine | {"layout": "ferv39k", "root": "ferv39k", "source": "crops", "folds": [1]}
    crops["classes"] = {label: label for label in labels}
    paths = {"landmarks": weights["landmarks"], "detector": weights["sfd"]}
    network = {"backend": "face_alignment", "detector": "sfd", "weights": paths, "device": "cpu"}
    datasets = {"mine": mine, "crops": crops, "neural": mine | {"landmarks": network}}
    tree.configure(CONFIG | {"datasets": datasets})
    tree.snakemake(*SEVERAL)
    assert tree.jobs(*SEVERAL) == {}
    return tree


@pytest.mark.parametrize(
    ("module", "expected"),
    {
        "datasets.table": {"manifest mine", "manifest neural"},
        "datasets.ferv39k": {"manifest crops"},
        "datasets.lists": {"manifest crops"},
        "faces.dlib_68": {"align mine 0"},
        "faces.face_alignment_68": {"align neural 0"},
        "faces.face_alignment_settings": {"align neural 0"},
        "faces.similarity": {"extract mine 0"},
        "prepare.extract": {"extract mine 0", "extract crops 0"},
    }.items(),
)
def test_an_edit_reruns_the_datasets_that_use_it(several, module, expected):
    with several.editing() as edit:
        edit(f"src/dfer/{module.replace('.', '/')}.py", edited)
        jobs = several.jobs(*SEVERAL)
    assert {job for job, reason in jobs.items() if "Params have changed" in reason} == expected
    assert {job.split()[1] for job in jobs} == {job.split()[1] for job in expected}
