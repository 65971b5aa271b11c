"""Blanks, apostrophes, brackets and letters beyond ASCII, wherever a user may put a name.

Braces, too, but in paths, where Snakemake takes them for wildcards.
"""

import json

import pandas as pd
import pytest
import yaml
from checkout import CLASSES, CONFIG, Checkout, make_release

CHECKOUT = "it's [a] dëmo $HOME"
ROOT = "données d'été [1]/re lease"
LABELS = {
    "happy": "l'été «heureux»",
    "sad": "it's {sad} [very]",
    "fear": "恐れ $fear",
}


@pytest.mark.slow
def test_the_spine_runs_from_videos_to_a_table(tmp_path):
    folder = tmp_path / CHECKOUT
    folder.mkdir()
    tree = Checkout(folder)
    make_release(folder / ROOT)
    table = folder / ROOT / "labels.csv"
    rows = pd.read_csv(table)
    rows["label"] = rows.label.map(LABELS)
    rows.to_csv(table, index=False)
    words = {LABELS[label]: f"{word}'s {{{label}}}" for label, word in CLASSES.items()}
    mine = CONFIG["datasets"]["mine"] | {
        "title": "Mine & yours' {set}",
        "root": ROOT,
        "folds": [1],
        "classes": words,
        "figures": {"clips": ["c00"]},
    }
    tree.configure(CONFIG | {"datasets": {"mine": mine}})
    tree.snakemake("results/table1.tex", "results/figures/mine/recall.svg", "check_data")

    numbers = pd.read_parquet(folder / "results/table1.parquet")
    measured = numbers[numbers.source == "measured"]
    assert len(measured) == 4 and set(measured.dataset) == {"Mine & yours' {set}"}
    predictions = pd.concat(
        pd.read_parquet(path) for path in (folder / "results").rglob("predictions.parquet")
    )
    assert set(predictions.label) == set(words)
    assert {f"logit_{label}" for label in words} <= set(predictions.columns)
    record = json.loads(next((folder / "results").rglob("run.json")).read_text(encoding="utf-8"))
    assert record["classes"] == words or list(record["classes"]) == list(words)
    assert yaml.safe_load((folder / "config/config.yaml").read_text())["datasets"]["mine"]["root"]

    assert tree.jobs("results/table1.tex") == {}
    rows.loc[0, "label"] = LABELS["sad"]
    rows.to_csv(table, index=False)
    assert any(job.startswith("manifest") for job in tree.jobs("results/table1.tex"))


@pytest.mark.slow
def test_braces_in_the_path_of_a_clone_are_refused(tmp_path):
    folder = tmp_path / "a {clone}"
    folder.mkdir()
    done = Checkout(folder).snakemake("-n", check=False)
    assert "a {clone}: Snakemake takes braces in a path for wildcards" in done.stderr
    assert "Traceback" not in done.stderr
