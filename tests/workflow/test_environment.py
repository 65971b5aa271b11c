"""One set of pins in pyproject.toml, environment.yml and requirements/; one version everywhere."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_conda_and_pip_install_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pins = next(item["pip"] for item in conda if isinstance(item, dict))
    assert pins == project["dependencies"] + project["optional-dependencies"]["test"]
    python = next(item for item in conda if str(item).startswith("python="))
    assert project["requires-python"] == f">={python.partition('=')[2]}"


def test_extras_are_tested_in_the_versions_that_they_name():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for name in set(extras) - {"docs", "test"}:
        assert set(extras[name]) <= set(extras["test"]), name


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


# --- requirements/, which `make setup` installs ---------------------------------------------------


def locked(name):
    """The requirements of a locked file, and the number of hashes of each."""
    blocks = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8").split("\n")
    found: dict[Requirement, int] = {}
    for line in blocks:
        if line and not line.startswith(("#", " ")):
            latest = Requirement(line.removesuffix("\\"))
            found[latest] = 0
        elif line.startswith(" "):
            assert re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?", line), line
            found[latest] += 1
    return found


def pins(requirements):
    """Package → its versions, each with its marker."""
    found: dict[str, set[tuple[str, str]]] = {}
    for one in requirements:
        pin = (str(one.specifier), str(one.marker or ""))
        found.setdefault(canonicalize_name(one.name), set()).add(pin)
    return found


LOCKED = {path.stem: locked(path.stem) for path in (ROOT / "requirements").glob("*.txt")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", sorted(LOCKED))
def test_a_locked_file_has_pins_and_hashes_and_names_no_index(name):
    for requirement, hashes in LOCKED[name].items():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)) and not requirement.url
        assert hashes, requirement
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    assert "//" not in text and not re.search(r"^-", text, re.M)


def test_the_locked_files_have_the_pins_of_the_project():
    """`make lock` mends it."""
    basis = pins([*LOCKED["torch"], *LOCKED["run"]])
    extras = PROJECT["optional-dependencies"]
    assert set(LOCKED) == {"torch", "run", *extras}
    wanted = {"": PROJECT["dependencies"], **extras}
    for extra, requirements in wanted.items():
        there = basis | (pins(LOCKED[extra]) if extra else {})
        for requirement in map(Requirement, requirements):
            found = there[canonicalize_name(requirement.name)]
            assert {version for version, _ in found} == {str(requirement.specifier)}, requirement


def test_a_package_has_the_same_versions_in_all_locked_files():
    every: dict[str, set[str]] = {}
    for name, requirements in LOCKED.items():
        for package, found in pins(requirements).items():
            versions = {version for version, _ in found}
            assert every.setdefault(package, versions) == versions, f"{name}: {package}"


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]])
def test_nothing_that_is_needed_here_is_missing_from_the_locked_files(extra):
    """What packages that are installed ask for, and so on: as `--no-deps` installs no more."""
    names = ("torch", "run", *([extra] if extra else []))
    there = pins(one for name in names for one in LOCKED[name])
    wanted = PROJECT["dependencies"] + (PROJECT["optional-dependencies"][extra] if extra else [])
    todo, seen = [Requirement(one) for one in wanted], set()
    while todo:
        one = todo.pop()
        key = (canonicalize_name(one.name), *sorted(one.extras))
        if key in seen:
            continue
        seen.add(key)
        assert key[0] in there, f"{key[0]} is in none of {names}: `make lock`"
        try:
            asked = metadata.requires(one.name) or []
        except metadata.PackageNotFoundError:
            continue  # of an extra that is not installed
        contexts = [{"extra": name} for name in one.extras] or [{"extra": ""}]
        for more in map(Requirement, asked):
            if not more.marker or any(more.marker.evaluate(context) for context in contexts):
                todo.append(more)
