"""One set of pins in environment.yml and pyproject.toml, one version in all files that name it."""

import re
import tomllib
from pathlib import Path

import yaml

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
