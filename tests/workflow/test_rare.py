"""What is done for rare classes: its trainings, its table, what an edit reruns. For real."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from checkout import CONFIG, ran

pytestmark = pytest.mark.slow

VARIANTS = {
    "prior": {"train": {"prior": 1.0}},
    "post_hoc": {"corrected": {"variant": "full"}},
    "balanced": {"train": {"balanced": True}},
    "smoothing": {"train": {"label_smoothing": 0.1}},
}
FIGURE = "results/figures/mine/rare.svg"


@pytest.fixture(scope="module")
def tree(prepared, tmp_path_factory):
    """A checkout with the table and the figure, of one fold and a seed that no other table has."""
    tree = prepared.copy(tmp_path_factory.mktemp("rare"))
    mine = CONFIG["datasets"]["mine"] | {"folds": [1]}
    changes = {"datasets": {"mine": mine}, "table_seeds": {"6": [1]}}
    tree.configure(CONFIG | changes | {"variants": CONFIG["variants"] | VARIANTS})
    kinds = ran(tree.snakemake("rare"))
    assert (kinds["train"], kinds["evaluate"]) == (5, 4)
    assert (kinds["held_out"], kinds["correct"]) == (1, 1)
    assert tree.jobs("rare") == {}
    return tree


def run_settings(tree):
    """Run key → the settings of its training."""
    records = tree.folder.glob("results/mine/runs/*/fold1-seed1/run.json")
    return {path.parts[-3]: json.loads(path.read_text())["settings"]["train"] for path in records}


def test_each_variant_has_its_numbers_beside_the_paper_s_model(tree):
    table = pd.read_parquet(tree.folder / "results/table6.parquet")
    assert table.variant.drop_duplicates().tolist() == ["full", *VARIANTS]
    assert set(table.source) == {"measured"} and set(table.seeds) == {1}
    others = table[table.variant != "full"]
    assert set(others.against) == set(table[table.variant == "full"].origin.str.split("/").str[-1])
    assert others.p.between(0, 1).all() and others.difference.notna().all()
    assert (tree.folder / FIGURE).exists()


def test_corrected_predictions_are_those_of_the_full_model_with_the_prior_taken_out(tree):
    table = pd.read_parquet(tree.folder / "results/table6.parquet").set_index("variant")
    full, post_hoc = (tree.folder / table.origin[v].iloc[0] for v in ("full", "post_hoc"))
    assert post_hoc.name.startswith("corrected.")
    record = json.loads((post_hoc / "fold1-seed1/correction.json").read_text())
    before, after = (
        pd.read_parquet(folder / "fold1-seed1/predictions.parquet") for folder in (full, post_hoc)
    )
    for label, share in record["shares"].items():
        expected = before[f"logit_{label}"] / record["temperature"] - np.log(share)
        assert np.allclose(after[f"logit_{label}"], expected, atol=1e-4)


def test_tables_of_the_paper_and_the_figures_ask_for_none_of_it(tree):
    """Nor does Table 1, though its rows and these are in one configuration."""
    jobs = tree.jobs("tables", "figures", "results/archive.tar.gz")
    trained = [job.split()[2:] for job in jobs if job.startswith("train ")]
    assert len({key for key, _, _ in trained}) == 2 and {seed for *_, seed in trained} == {"0"}
    assert not any(job.startswith(("correct", "held_out")) for job in jobs)


@pytest.mark.parametrize(
    ("module", "first", "after"),
    [
        ("training/correct", {"correct": 1}, {"summary": 1, "table": 1, "rare_figure": 1}),
        ("training/held_out", {"held_out": 1}, {"correct": 1}),
        ("clips/balanced", {"train": 1}, {"evaluate": 1, "summary": 1}),
        ("training/train_set", {"train": 5}, {"evaluate": 4, "held_out": 1, "correct": 1}),
    ],
)
def test_an_edit_reruns_what_depends_on_it(tree, module, first, after):
    with tree.editing() as edit:
        edit(f"src/dfer/{module}.py", lambda text: text + "\nEDITED = True\n")
        jobs = tree.jobs("rare")
    changed = Counter(job.split()[0] for job, why in jobs.items() if "Params have changed" in why)
    assert changed == first
    kinds = Counter(job.split()[0] for job in jobs)
    assert {kind: kinds[kind] for kind in after} == after
    if module == "clips/balanced":
        (key,) = {job.split()[2] for job in jobs if job.startswith("train ")}
        assert run_settings(tree)[key]["balanced"]


def test_more_of_the_prior_trains_nothing(tree):
    mine = CONFIG["datasets"]["mine"] | {"folds": [1]}
    half = {"post_hoc": {"corrected": {"variant": "full", "prior": 0.5}}}
    config = CONFIG | {"datasets": {"mine": mine}, "table_seeds": {"6": [1]}}
    with tree.editing() as edit:
        edit("config/config.yaml", lambda text: text)  # is put back
        tree.configure(config | {"variants": CONFIG["variants"] | VARIANTS | half})
        kinds = Counter(job.split()[0] for job in tree.jobs("rare"))
    assert kinds == {"correct": 1, "summary": 1, "table": 1, "rare_figure": 1, "rare": 1}


def test_without_its_variants_there_is_no_such_table(prepared):
    done = prepared.snakemake("-n", "rare", check=False)
    assert done.returncode and "give the variants full, prior, post_hoc, balanced" in done.stderr


def test_all_that_is_reported_holds_with_a_corrected_variant_in_a_table_of_the_paper(tree):
    """Its row in Table 1: what only trainings have is that of the run which it corrects."""
    with tree.editing() as edit:
        edit("config/reported.csv", lambda text: text + "1,99,corrected,post_hoc,,CLIP,,,,,\n")
        jobs = tree.jobs("results/archive.tar.gz", "report_pages", "results/mine/costs_here.txt")
    assert not any(job.split()[2].startswith("corrected.") for job in jobs if job[:5] == "train")
