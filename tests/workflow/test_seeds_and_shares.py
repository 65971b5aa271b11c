"""Which trainings a table with seeds of its own asks for, and which the figure of shares."""

import re
from collections import Counter

import pytest
from checkout import COMPLETE

pytestmark = pytest.mark.slow

RUNS = re.compile(r"^train mine (\S+) (\d+) (\d+)$")


def trained(tree, target):
    """(run key, fold, seed) of every training that a target asks for."""
    jobs = tree.jobs(target)
    return {match.groups() for job in jobs if (match := RUNS.match(job))}


@pytest.fixture(scope="module")
def tree(prepared, tmp_path_factory):
    tree = prepared.copy(tmp_path_factory.mktemp("shares"))
    variants = COMPLETE["variants"] | {"interfit_msta": {"model": {"blocks": 0}}}
    own = {"variants": variants, "table_seeds": {"3": [0, 1, 2]}, "shares": [0.5, 1.0]}
    tree.configure(COMPLETE | own)
    return tree


def test_a_table_has_seeds_of_its_own(tree):
    third, second = trained(tree, "results/table3.tex"), trained(tree, "results/table2.tex")
    assert Counter(seed for _, _, seed in third) == dict.fromkeys("012", 2 * 2)
    assert {seed for _, _, seed in second} == {"0"}
    assert len(second & third) == 2  # the full model's two folds: trained once for both


def test_the_figure_of_shares_asks_for_all_variants_with_every_share(tree):
    asked = trained(tree, "shares")
    assert Counter((fold, seed) for _, fold, seed in asked) == {("1", "0"): 10, ("2", "0"): 10}
    names = Counter(key.partition(".")[0] for key, _, _ in asked)
    assert set(names.values()) == {4}  # two folds, two shares
    whole = trained(tree, "results/table3.tex") | trained(tree, "results/table5.tex")
    assert len(asked & whole) == 2 * 4  # of Tables 3 and 5, with all clips; not interfit_msta


def test_without_shares_there_is_no_such_figure(prepared):
    done = prepared.snakemake("-n", "shares", check=False)
    assert done.returncode and "give `shares` and the variants without_text" in done.stderr
