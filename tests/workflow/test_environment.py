"""One set of pins: environment.yml and pyproject.toml install the same packages."""

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
