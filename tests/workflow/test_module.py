"""The workflow from another folder: a Snakemake module, with a configuration of that folder."""

import shutil
import subprocess
import sys

import pytest
import yaml
from checkout import ROOT, Checkout, make_release, ran

from dfer.why import planned

DEPLOYED = """
configfile: "config/config.yaml"


module dfer:
    snakefile:
        {snakefile}
    config:
        config


use rule * from dfer{renamed}
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    tree = Checkout(tmp_path_factory.mktemp("clone"))
    make_release(tree.folder / "release", clips=6)
    return tree


@pytest.fixture
def project(clone, tmp_path):
    """A folder with its own config/ and data, and nothing else of the clone's."""
    shutil.copytree(clone.folder / "config", tmp_path / "config")
    (tmp_path / "release").symlink_to(clone.folder / "release")
    return tmp_path


def deploy(project, snakefile, renamed=""):
    """Write the Snakefile that names the module, where Snakemake looks for it."""
    (project / "workflow").mkdir()
    text = DEPLOYED.format(snakefile=snakefile, renamed=renamed)
    (project / "workflow/Snakefile").write_text(text)


def snakemake(project, *words):
    """Run Snakemake in the folder; no path of the clone is given."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *words]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def kinds(done):
    """Rules of a plan, but for the one that only collects."""
    assert done.returncode == 0, done.stdout + done.stderr
    return {job.rule for job in planned(done.stdout + done.stderr)} - {"all", "default"}


@pytest.mark.slow
def test_plain_snakemake_is_for_table_1(clone):
    assert {"train", "table", "flops"} <= kinds(clone.snakemake("-n"))


@pytest.mark.slow
def test_another_folder_plans_the_same(clone, project):
    deploy(project, repr(str(clone.folder / "workflow/Snakefile")))
    assert kinds(snakemake(project, "-n")) == kinds(clone.snakemake("-n"))


@pytest.mark.slow
def test_a_rule_runs_in_another_folder(clone, project):
    deploy(project, repr(str(clone.folder / "workflow/Snakefile")))
    done = snakemake(project, "results/flops.txt")
    assert done.returncode == 0, done.stderr
    assert "ViT-B/32" in (project / "results/flops.txt").read_text()
    assert not list((clone.folder / "results").glob("flops*"))
    assert "Nothing to be done" in snakemake(project, "results/flops.txt").stderr


@pytest.mark.slow
def test_renamed_rules_run_beyond_a_checkpoint(clone, project):
    """The manifest is a checkpoint: who is in a shard is known when it is made."""
    deploy(project, repr(str(clone.folder / "workflow/Snakefile")), renamed=" as dfer_*")
    done = snakemake(project, "results/mine/store/0.arrow")
    assert done.returncode == 0, done.stderr
    assert ran(done) == {"dfer_manifest": 1, "dfer_align": 1, "dfer_extract": 1}
    assert (project / "results/mine/store/0.arrow").exists()
    assert {"dfer_train", "dfer_recall"} <= kinds(snakemake(project, "-n", "dfer_report_pages"))


@pytest.mark.slow
def test_without_a_clone_the_remedy_is_named(clone, project):
    """Snakemake fetches rules of a repository one by one, and not the source that they run."""
    git = ["git", "-C", str(clone.folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "workflow"], ["commit", "-q", "-m", "Rules"]):
        subprocess.run([*git, *words], check=True)
    deploy(project, f'gitfile("{clone.folder}", path="workflow/Snakefile", ref="HEAD")')
    done = snakemake(project, "-n")
    assert done.returncode == 1
    assert "Clone the repository" in done.stderr
    shutil.rmtree(clone.folder / ".git")


def test_what_the_catalogue_of_workflows_asks_for():
    """Its "standardized usage": these files, and settings that are true."""
    assert (ROOT / "workflow/Snakefile").is_file() and (ROOT / "config/README.md").is_file()
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["mandatory-flags"]["desc"] and usage["report"] is True
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    jobs = rules.count("shell:")
    assert usage["software-stack-deployment"]["conda"] == (rules.count("conda:") == jobs > 0)
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
