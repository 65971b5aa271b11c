"""One set of pins in environment.yml and pyproject.toml, one version in all files that name it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def test_conda_and_pip_install_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pins = next(item["pip"] for item in conda if isinstance(item, dict))
    assert pins == project["dependencies"] + project["optional-dependencies"]["test"]
    python = next(item for item in conda if str(item).startswith("python="))
    assert project["requires-python"] == f">={python.partition('=')[2]}"


def test_the_version_is_the_same_wherever_it_stands():
    """In the package, the citation, and the newest release of the changelog."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest, day = re.search(
        r"^## \[(\d[^\]]*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M
    ).groups()
    assert version == citation["version"] == newest
    assert str(citation["date-released"]) == day


@pytest.mark.parametrize(
    ("machine", "installed"),
    {"x86_64": True, "AMD64": True, "arm64": False, "aarch64": False}.items(),
)
def test_decord_is_left_out_where_it_has_no_wheel(machine, installed):
    """On ARM, by the name that macOS has for it and by that of Linux."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (decord,) = (Requirement(r) for r in project["dependencies"] if r.startswith("decord"))
    assert decord.marker.evaluate({"platform_machine": machine}) == installed
