"""The demo itself, as `make table1` makes it: what its numbers must show. `make test-demo`."""

import os

import pandas as pd
import pytest
from checkout import Checkout

pytestmark = pytest.mark.skipif(
    "TEST_WHOLE_DEMO" not in os.environ, reason="takes 6 minutes: make test-demo"
)

CHANCE = 100 / 7


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results folder of the demo, made from nothing by the default configuration."""
    tree = Checkout(tmp_path_factory.mktemp("demo"), config=None)
    tree.snakemake("--cores", "all", "results/table1.tex", "results/figures/demo/words.svg")
    return tree.folder / "results"


@pytest.fixture(scope="module")
def words(results):
    table = pd.read_parquet(results / "demo/words/measures.parquet")
    return table.set_index(["of", "measure", "texts"]).value


@pytest.mark.parametrize("texts", ["class words", "descriptors"])
def test_words_mean_something_before_anything_is_trained(words, texts):
    assert words["clips", "zero-shot UAR", texts] >= 40
    assert words["clips", "zero-shot UAR", f"{texts}, other phrasing"] >= 2 * CHANCE


def test_captions_are_found(words):
    chance = 12.2  # of 64 captions so many are true of an image
    assert words["stills", "caption of a still, among 64", "captions"] > 3 * chance
    assert words["stills", "still of a caption, among 64", "captions"] > 3 * chance


def test_near_words_are_near_faces(results):
    """Fear shares raised brows and wide eyes with surprise, and nothing with happiness."""
    table = pd.read_parquet(results / "demo/words/cosines.parquet")
    for _, rows in table.groupby("map"):
        cosine = rows.set_index(["one", "other"]).cosine
        assert cosine["fear", "surprise"] > cosine["fear", "happy"] + 0.2
        assert cosine["disgust", "angry"] > cosine["disgust", "surprise"] + 0.2


def test_training_adds_to_the_words(results, words):
    table = pd.read_parquet(results / "table1.parquet")
    uar = table[(table.source == "measured") & (table.metric == "UAR")].set_index("variant")
    assert uar.value["baseline"] > words["clips", "zero-shot UAR", "class words"] + 5
    assert uar.value["full"] > words["clips", "zero-shot UAR", "descriptors"] + 5
    assert uar.value["full"] > uar.value["baseline"] + 3 and uar.p["full"] < 0.05
    assert (uar.clips == 320).all()
