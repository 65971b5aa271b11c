"""CONTRIBUTING.md is true: its tree names the files there are, and its examples work as printed."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

import pandas as pd
import pytest
import yaml
from checkout import CONFIG, ROOT, Checkout, ran

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FENCED = re.compile(r"(?:^`([\w./-]+)`:\n\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)
LAYOUT, VARIANT, METHOD, FIGURE = (
    "Add a dataset layout",
    "Add a variant",
    "Add a method",
    "Add a figure",
)
EXAMPLES = (LAYOUT, VARIANT, METHOD, FIGURE)


class Example(NamedTuple):
    """New files, path → text, and changes of existing ones, as `git apply` takes them."""

    files: dict[str, str]
    diffs: list[str]


def section(title):
    """The text below a heading of the guide."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", GUIDE, re.M | re.S)[1]


def example(title):
    found = FENCED.findall(section(title))
    assert all(path or kind == "diff" for path, kind, _ in found)
    return Example(
        {path: text for path, _, text in found if path},
        [text for _, kind, text in found if kind == "diff"],
    )


def perform(tree, title):
    """Do in a copy what an example says, to the repository's own configuration.

    The copy's small configuration is put back with the variants that the example adds, and trained
    on one fold.
    """
    before = yaml.safe_load((ROOT / "config/config.yaml").read_text())["variants"]
    shutil.copy(ROOT / "config/config.yaml", tree.folder / "config/config.yaml")
    files, diffs = example(title)
    for path, text in files.items():
        assert not (ROOT / path).exists()
        (tree.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (tree.folder / path).write_text(text)
    for diff in diffs:
        subprocess.run(
            ["git", "apply", "-"],
            cwd=tree.folder,
            env=os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.folder.parent)},
            input=diff,
            text=True,
            check=True,
        )
    after = yaml.safe_load((tree.folder / "config/config.yaml").read_text())["variants"]
    added = {name: changes for name, changes in after.items() if name not in before}
    datasets = {"mine": CONFIG["datasets"]["mine"] | {"folds": [1]}}
    tree.configure(CONFIG | {"datasets": datasets, "variants": CONFIG["variants"] | added})
    return added


def own_tests(tree, title):
    """Run the tests that an example brings, in the copy."""
    paths = [path for path in example(title).files if path.startswith("tests/")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths]
    environment = os.environ | {"PYTHONPATH": str(tree.folder / "src")}
    subprocess.run(command, cwd=tree.folder, env=environment, check=True)


def kinds(jobs):
    return {job.split()[0] for job in jobs}


# --- the guide ------------------------------------------------------------------------------------


def listed(tree):
    """The paths of a tree whose lines are indented by two spaces a level."""
    folders: list[str] = []
    for line in tree.splitlines():
        name, _, about = line.strip().partition(" ")
        level = (len(line) - len(line.lstrip())) // 2
        folders[level:] = [name]
        yield "".join(folders), about.strip()


def test_the_tree_names_the_files_that_there_are():
    """All of src/dfer, workflow and config, one line a file; of tests the folders."""
    [tree] = [text for _, kind, text in FENCED.findall(section("Where things stand")) if not kind]
    lines = dict(listed(tree))
    assert len(lines) == len(tree.splitlines())
    assert all(about for path, about in lines.items() if not path.endswith("/"))

    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]
    files = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    files = [path for path in files if (ROOT / path).is_file()]
    expected = {
        path
        for path in files
        if path.startswith(("src/dfer/", "workflow/", "config/"))
        and not path.endswith("__init__.py")
    }
    for path in files:
        top, *rest = path.split("/")
        if top == "tests":
            expected.add(f"tests/{rest[0]}/" if len(rest) > 1 else path)
    named = {p for p in lines if not p.endswith("/") or re.fullmatch(r"tests/\w+/", p)}
    assert sorted(named) == sorted(expected)


def test_links_of_all_documents_lead_somewhere():
    """Files, and headings of them."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]
    for page in pages:
        for target in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            found = page.parent / path if path else page
            assert found.exists(), f"{page}: {target}"
            if anchor:
                heads = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.M)
                slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}
                assert anchor in slugs, f"{page}: {target}"


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_applies_and_is_in_style(title, tmp_path):
    tree = Checkout(tmp_path)
    perform(tree, title)
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "src", *example(title).files]
        python = [word for word in command if not word.endswith(".rst")]
        subprocess.run(python, cwd=tree.folder, check=True)


# --- its examples ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_layout_is_read_by_its_name(tmp_path):
    tree = Checkout(tmp_path)
    perform(tree, LAYOUT)
    own_tests(tree, LAYOUT)

    spec = importlib.util.spec_from_file_location("x", tmp_path / "tests/datasets/test_cremad.py")
    planted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(planted)
    (tmp_path / "release").mkdir()
    names = [f"{actor}_DFA_{code}_XX" for actor in range(1001, 1011) for code in ("ANG", "HAP")]
    planted.plant(tmp_path / "release", names)
    changes = {"layout": "cremad", "classes": {"angry": "anger", "happy": "happiness"}}
    tree.configure(CONFIG | {"datasets": {"mine": CONFIG["datasets"]["mine"] | changes}})
    tree.snakemake("results/mine/manifest.parquet")
    manifest = pd.read_parquet(tmp_path / "results/mine/manifest.parquet")
    assert sorted(manifest["clip"]) == names
    assert set(manifest.label) == {"angry", "happy"} and manifest.subject.nunique() == 10

    target = "results/mine/manifest.parquet"
    assert tree.jobs(target) == {}
    edits = {
        "src/dfer/datasets/cremad.py": lambda text: text + "\nEDITED = 1\n",
        "release/SentenceFilenames.csv": lambda text: text.replace("1010_DFA_HAP", "1010_IEO_HAP"),
    }
    for path, change in edits.items():
        with tree.editing() as edit:
            edit(path, change)
            assert kinds(tree.jobs(target)) == {"manifest"}, path
    with tree.editing() as edit:
        edit("src/dfer/datasets/mafw.py", lambda text: text + "\nEDITED = 1\n")
        assert tree.jobs(target) == {}


@pytest.mark.slow
def test_a_variant_is_planned_trained_and_in_a_table(complete, tmp_path):
    tree = complete.copy(tmp_path)
    assert perform(tree, VARIANT) == {"joint": {"model": {"pairing": "joint"}}}
    planned = tree.jobs("results/table5.tex")
    assert sum(job.startswith("train ") for job in planned) == 1  # of this variant alone
    done = tree.snakemake("results/table5.tex")
    assert ran(done)["train"] == 1
    assert "Ours, all class texts together" in (tmp_path / "results/table5.md").read_text()
    table = pd.read_parquet(tmp_path / "results/table5.parquet")
    assert set(table[table.variant == "joint"].source) == {"measured"}


@pytest.mark.slow
def test_a_method_is_trained_alone_and_so_is_its_edit(complete, tmp_path):
    tree = complete.copy(tmp_path)
    assert list(perform(tree, METHOD)) == ["attention"]
    own_tests(tree, METHOD)
    done = tree.snakemake("results/table1.tex")
    assert ran(done)["train"] == ran(done)["evaluate"] == 1  # of the new method alone
    table = pd.read_parquet(tmp_path / "results/table1.parquet")
    measured = table[table.variant == "attention"]
    assert set(measured.metric) == {"UAR", "WAR"} and measured.value.between(0, 100).all()

    with tree.editing() as edit:
        edit("src/dfer/models/peers/attention.py", lambda text: text + "\nEDITED = 1\n")
        jobs = tree.jobs("results/table1.tex")
    runs = [job for job in jobs if job.startswith(("train ", "evaluate "))]
    assert len(runs) == 2 and all("attention" in job for job in runs)


@pytest.mark.slow
def test_a_figure_is_drawn(complete, tmp_path):
    tree = complete.copy(tmp_path)
    perform(tree, FIGURE)
    assert "calibration mine" in tree.jobs("figures")
    done = tree.snakemake("results/figures/mine/calibration.svg")
    assert set(ran(done)) == {"calibration"}
    for form in ("pdf", "svg", "png"):
        assert (tmp_path / f"results/figures/mine/calibration.{form}").stat().st_size > 1000
