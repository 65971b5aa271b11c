"""All methods in one workflow: trained, in a table, and each rerun by its own files alone."""

import json

import pandas as pd
import pytest
import yaml
from checkout import CONFIG, ran

pytestmark = pytest.mark.slow

DESCRIPTORS = {"happiness": "a smile.", "sadness": "lowered eyes.", "fear": "an open mouth."}
METHODS = {  # variant → settings; the tiny CLIP reads 16 tokens
    "baseline": {"interfit": False, "aggregation": "mean", "blocks": 0},
    "zero_shot": {"method": "zero_shot"},
    "coop": {"method": "coop", "context": 4},
    "cocoop": {"method": "cocoop"},
    "dfer_clip": {"method": "dfer_clip", "context": 4, "descriptors": DESCRIPTORS},
    "cliper": {"method": "cliper", "subclasses": 2},
    "former_dfer": {"method": "former_dfer", "frames": 4, "size": 32},
}
ON_CLIP = {"backbone", "zero_shot", "coop", "cocoop", "dfer_clip", "cliper"}  # as runs are called
STAGES = [{"epochs": 1, "frozen": ["image"]}, {"epochs": 1, "frozen": ["context"], "lr": 1e-4}]
RECIPES = {"coop": {"optimiser": "sgd"}, "cliper": {"stages": STAGES, "warmup_epochs": 0}}
WITHOUT_A_ROW = ("baseline", "cliper", "former_dfer", "coop_published")  # in Table 5
TARGETS = ("results/table5.tex",)


@pytest.fixture(scope="module")
def tree(prepared, tmp_path_factory):
    """A checkout in which each method is trained on one fold and stands in Table 5."""
    tree = prepared.copy(tmp_path_factory.mktemp("methods"))
    variants = {
        name: {"model": model, "train": RECIPES.get(name, {})} for name, model in METHODS.items()
    }
    variants["coop_published"] = variants["coop"] | {"protocol": "as_published"}
    published = {
        "backbone": {"normalise": "none"},
        "model": {"frames": 4},
        "train": {"checkpoint": "test", "sampler": "dfer_clip", "augment": {"crop_law": "swapped"}},
    }
    lines = [f"5,9{n},{name},{name},,CLIP,,,,," for n, name in enumerate(WITHOUT_A_ROW)]
    path = tree.folder / "config/reported.csv"
    path.write_text(path.read_text() + "\n".join(lines) + "\n")
    mine = CONFIG["datasets"]["mine"] | {"folds": [1]}
    config = CONFIG | {"datasets": {"mine": mine}, "protocols": {"as_published": published}}
    tree.configure(config | {"variants": {"baseline": variants["baseline"]}})
    tree.snakemake(*TARGETS)
    tree.configure(config | {"variants": variants})
    assert ran(tree.snakemake(*TARGETS))["train"] == len(variants) - 1  # the baseline stands
    assert tree.jobs(*TARGETS) == {}
    return tree


def test_each_method_has_its_numbers_in_the_table(tree):
    table = pd.read_parquet(tree.folder / "results/table5.parquet")
    measured = table[table.source == "measured"].set_index(["variant", "metric"])
    assert set(measured.index) == {
        (name, metric) for name in (*METHODS, "coop_published") for metric in ("UAR", "WAR")
    }
    assert measured.value.between(0, 100).all()


@pytest.mark.parametrize(
    ("module", "methods"),
    {
        "models.peers.zero_shot": {"zero_shot"},
        "models.peers.coop": {"coop"},
        "models.peers.cocoop": {"cocoop"},
        "models.peers.dfer_clip": {"dfer_clip"},
        "models.peers.cliper": {"cliper"},
        "models.peers.prompt_learner": {"coop", "cocoop", "dfer_clip", "cliper"},
        "models.peers.layer": {"dfer_clip", "former_dfer"},
        "models.recogniser": {"backbone"},
        "models.method": {*ON_CLIP, "former_dfer"},
        "models.clip_method": ON_CLIP,
        "models.vit": ON_CLIP,
        "models.video_network": {"former_dfer"},
        "clips.freq_hd": set(),
        **{f"methods.{name}": {name} for name in METHODS if name != "baseline"},
    }.items(),
)
def test_an_edit_reruns_the_runs_of_the_methods_that_use_it(tree, module, methods):
    with tree.editing() as edit:
        edit(f"src/dfer/{module.replace('.', '/')}.py", lambda text: text + "\nEDITED = True\n")
        jobs = tree.jobs(*TARGETS)
    changed = [job.split() for job, reason in jobs.items() if "Params have changed" in reason]
    read = {"text"} if module == "models.vit" else set()  # by the CLIP that reads class words
    assert {words[0] for words in changed} <= {"train", "evaluate"} | read  # no table
    for rule in ("train", "evaluate"):
        runs = [job.split()[2] for job in jobs if job.startswith(f"{rule} ")]
        assert {run.partition(".")[0] for run in runs} == methods


def test_a_network_without_clip_waits_for_no_text_and_no_tower(tree):
    with tree.editing() as edit:
        edit("config/backbone/tiny.json", lambda text: text + " ")
        jobs = [job.split() for job in tree.jobs(*TARGETS)]
    assert {words[2].partition(".")[0] for words in jobs if words[0] == "train"} == ON_CLIP


def test_weights_to_start_from_are_an_input(tree):
    """Pinned ones by a job of their own, once for all runs; others by their path."""
    path = tree.folder / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    network = {"method": "m3dfel", "weights": "kinetics_r3d18"}
    own = {"cliper": {"model": network}, "coop": {"model": network | {"instances": 2}}}
    try:
        tree.configure(config | {"variants": config["variants"] | own})
        jobs = list(tree.jobs(*TARGETS))
        assert [job for job in jobs if job.startswith("weights ")] == ["weights r3d_18-b3b3357e"]
        own["cliper"]["model"] = network | {"weights": "mine.pth"}
        tree.configure(config | {"variants": config["variants"] | own})
        jobs = [job.split() for job in tree.jobs(*TARGETS)]
        trained = [words[2] for words in jobs if words[0] == "train"]
        assert len(trained) == 2  # and what was made before does not stand for it
    finally:
        tree.configure(config)


def test_runs_do_not_hang_on_which_other_methods_are_configured(tree):
    """To turn one on trains that one."""
    path = tree.folder / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    try:
        for name in METHODS:
            off = {n: v for n, v in config["variants"].items() if n != name}
            tree.configure(config | {"variants": off})
            assert not [job for job in tree.jobs(*TARGETS) if job.startswith(("train", "evaluate"))]
        config["variants"]["coop"]["enabled"] = False
        tree.configure(config)
        assert {job.split()[0] for job in tree.jobs(*TARGETS)} == {"summary", "table"}
        assert tree.jobs("--config", "enable=[coop]", "--", *TARGETS) == {}
    finally:
        config["variants"]["coop"].pop("enabled")
        tree.configure(config)


def test_costs_are_measured_by_jobs_of_their_own(tree):
    """No training is asked for, and none hangs on what was measured."""
    target = "results/mine/costs_here.txt"
    jobs = tree.jobs(target)
    assert {job.split()[0] for job in jobs} == {"costs", "speed", "costs_here"}
    runs = {job.split()[2] for job in jobs if job.startswith("speed ")}
    assert len(runs) == len(METHODS) + 1
    (run,) = [run for run in runs if run.startswith("zero_shot.")]
    tree.snakemake(f"results/mine/speed/{run}.json")
    record = json.loads((tree.folder / f"results/mine/speed/{run}.json").read_text())
    assert record["run"] == run and record["predicted_per_second"] > 0
    assert f"speed mine {run}" not in tree.jobs(target)
    assert tree.jobs(*TARGETS) == {}


def test_a_method_more_reruns_nothing(tree):
    """Its files stand beside the others', and no list names it."""
    files = [tree.folder / f"src/dfer/{place}/mine.py" for place in ("methods", "models/peers")]
    try:
        for path in files:
            path.write_text((path.with_name("zero_shot.py")).read_text())
        assert tree.jobs(*TARGETS) == {}
    finally:
        for path in files:
            path.unlink()
