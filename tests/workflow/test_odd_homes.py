"""Other locales, other folders, other homes than a developer has."""

import os
import subprocess
import sys

import pandas as pd
import pytest
from checkout import CONFIG, ROOT, Checkout, make_release

ASCII = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
READ_BY_SNAKEMAKE = ("profiles/default/config.yaml", "workflow/profiles/slurm/config.yaml")


def snakemake(tree, *words, folder=None, status=0, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *map(str, words)],
        cwd=folder or tree.folder,
        env=os.environ | {"PYTHONPATH": str(tree.folder / "src")} | environment,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", READ_BY_SNAKEMAKE)
def test_profiles_are_ascii_because_snakemake_reads_them_in_the_locale_s_encoding(name):
    (ROOT / name).read_text(encoding="ascii")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A release in a configuration that names it by its whole path."""
    tree = Checkout(tmp_path_factory.mktemp("clone"))
    make_release(tree.folder / "release", clips=6, frames=2)
    mine = CONFIG["datasets"]["mine"] | {"root": str(tree.folder / "release"), "folds": [1]}
    tree.configure(CONFIG | {"datasets": {"mine": mine}})
    return tree


@pytest.mark.slow
def test_an_ascii_locale_is_enough_for_an_ascii_configuration(tree):
    target = "results/mine/manifest.parquet"
    snakemake(tree, target, **ASCII)
    assert len(pd.read_parquet(tree.folder / target)) == 6


@pytest.mark.slow
def test_letters_that_the_locale_lacks_are_asked_to_be_given_one(tree):
    """They would reach the jobs as other letters, or not at all."""
    own = tree.folder / "own.yaml"
    text = (tree.folder / "config/config.yaml").read_text().replace("title: Mine", "title: Été")
    own.write_text(text, encoding="utf-8")
    told = snakemake(tree, "-n", "--configfile", own, status=1, **ASCII)
    assert "this locale would change them (ascii). Set PYTHONUTF8=1, or a locale such as" in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_any_folder_may_be_the_one_to_work_in(tree, tmp_path):
    """With the configuration of the clone, and the small CLIP's that it names."""
    words = ("-s", tree.folder / "workflow/Snakefile", "-d", tmp_path / "work")
    snakemake(tree, *words, "results/table1.tex", "--until", "text", folder=tmp_path)
    assert len(list((tmp_path / "work/results/mine").glob("text.*.safetensors"))) == 1
    assert not (tree.folder / "results/mine").joinpath("text").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("config/config.yaml",), ("own.yaml", "--configfile", "own.yaml")]
)
def test_a_key_that_stands_twice_is_refused_whichever_file_has_it(words, tree, tmp_path):
    name, *more = words
    mine = tree.copy(tmp_path)
    text = (mine.folder / "config/config.yaml").read_text()
    (mine.folder / name).write_text(text + "seeds: [1, 2]\n")
    told = snakemake(mine, "-n", *more, status=1)
    last, first = len(text.splitlines()) + 1, text.splitlines().index("seeds:") + 1
    assert f"{name}, line {last}: the key seeds stands here and in line {first}; keep one" in told
    assert "Traceback" not in told


SHOW = "show: ; @echo $$HOME $$USER\n"


def made(tmp_path, **environment):
    """HOME and USER of what the Makefile calls."""
    kept = {key: value for key, value in os.environ.items() if key not in ("HOME", "USER")}
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), "-f", "-", "show"],
        input=SHOW,
        cwd=tmp_path,
        env=kept | environment,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


def test_make_gives_snakemake_a_home_and_a_name_where_there_is_none(tmp_path):
    assert made(tmp_path, HOME=str(tmp_path), USER="me") == [str(tmp_path), "me"]
    own = f"{tmp_path}/.venv/home"
    assert made(tmp_path, HOME="/proc/none", USER="me") == [own, "me"]
    assert made(tmp_path, USER="me") == [own, "me"]
    (tmp_path / "id").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "id").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert made(tmp_path, HOME=str(tmp_path), PATH=path) == [str(tmp_path), "nobody"]
    assert made(tmp_path, HOME=str(tmp_path), PATH=path, USER="me") == [str(tmp_path), "me"]


@pytest.mark.slow
def test_a_home_that_cannot_be_written_needs_what_the_documentation_says(tree):
    """Containers have such homes, and the users of some have no name."""
    text = (ROOT / "docs/clusters.md").read_text(encoding="utf-8")
    assert "export HOME=" in text and "export USER=" in text and "PYTHONUTF8=1" in text
    snakemake(tree, "-n", HOME="/proc/none", XDG_CACHE_HOME=str(tree.folder / "cache"))
