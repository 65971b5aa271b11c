"""Label files: found under every name that readers accept, and inputs of the rule `manifest`."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkout import CONFIG, Checkout
from releases import (
    empty_videos,
    random_lists,
    write_dfew_lists,
    write_ferv39k_lists,
    write_mafw_lists,
)

from dfer.check.official import load_facts
from dfer.datasets import layouts
from dfer.errors import UserError

# ── Every place and name that a reader accepts ──────────────────────────────────────────────────


def dfew(folder: str = "{split}(single-labeled)", *, below: str = "", name: str = "") -> Callable:
    """Plant DFEW; `below` is one more folder above the lists, `name` another name of theirs."""

    def plant(root: Path) -> None:
        empty_videos(root / "Clip/original", [])
        write_dfew_lists(root / below, random_lists("dfew", share=29), folder)
        if name:
            for path in root.rglob("set_*.csv"):
                split = re.match("train|test", path.parent.name)[0]
                path.rename(path.with_name(name.format(split=split, fold=path.stem[-1])))

    return plant


def ferv39k(*moves: tuple[str, str], below: str = "") -> Callable:
    """Plant FERV39k, then move folders."""

    def plant(root: Path) -> None:
        (root / "2_ClipsforFaceCrop").mkdir(parents=True)
        write_ferv39k_lists(root / below, random_lists("ferv39k", share=200))
        move(root, *moves)

    return plant


def mafw(folder: str, *, below: str = "") -> Callable:
    """Plant MAFW with its lists below `folder`."""

    def plant(root: Path) -> None:
        empty_videos(root / "data/clips", [])
        write_mafw_lists(root / below, random_lists("mafw", share=36), folder)

    return plant


def table(root: Path) -> None:
    """Plant a release that a table describes."""
    root.mkdir()
    rows = [f"{n},{n}.mp4,{label},{n % 2 + 1}" for n in range(4) for label in [LABELS[n // 2]]]
    (root / "labels.csv").write_text("\n".join(["clip,path,label,fold", *rows]) + "\n")


def renamed(plant: Callable, old: str, new: str) -> Callable:
    """The same release, one of its folders under another name."""

    def plant_and_move(root: Path) -> None:
        plant(root)
        move(root, (old, new))

    return plant_and_move


def move(root: Path, *moves: tuple[str, str]) -> None:
    for old, new in moves:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)


LABELS = ("happy", "sad")
DFEW, FERV39K, MAFW = "EmoLabel_DataSplit", "4_setups", "Train & Test Set"
PLANTED = {  # layout and variant → what plants it, and how many lists there are
    "csv": (table, 1),
    "dfew": (dfew(), 10),
    "dfew-underscore": (dfew("{split}(single_labeled)"), 10),
    "dfew-plain": (dfew("{split}"), 10),
    "dfew-split-named": (dfew(name="{split}_set_{fold}.csv"), 10),
    "dfew-lowercase": (renamed(dfew(), DFEW, "Emolabel_datasplit"), 10),
    "dfew-doubled": (dfew(below=DFEW), 10),
    "dfew-doubled-within": (dfew("{split}(single-labeled)/{split}(single-labeled)"), 10),
    "ferv39k": (ferv39k(), 2),
    "ferv39k-top": (ferv39k((f"{FERV39K}/All_scenes", "All_scenes")), 2),
    "ferv39k-spaces": (ferv39k((FERV39K, "4 setups")), 2),
    "ferv39k-doubled": (ferv39k(below=FERV39K), 2),
    "ferv39k-top-doubled": (ferv39k((f"{FERV39K}/All_scenes", "All_scenes/All_scenes")), 2),
    "mafw": (mafw(MAFW), 10),
    "mafw-underscores": (mafw("Train_Test_Set"), 10),
    "mafw-split": (mafw("split"), 10),
    "mafw-doubled": (mafw(MAFW, below=MAFW), 10),
    "mafw-split-doubled": (mafw("split/single"), 10),
}
SOURCE = {"csv": "video", "dfew": "video", "ferv39k": "crops", "mafw": "video"}


def layout_of(variant: str) -> str:
    return variant.partition("-")[0]


# ── What a reader opens ─────────────────────────────────────────────────────────────────────────

OPENED: list[str] | None = None  # paths, while `opening` lasts


def _note(event: str, arguments: tuple) -> None:
    if OPENED is not None and event == "open" and isinstance(arguments[0], str | os.PathLike):
        OPENED.append(os.fspath(arguments[0]))


sys.addaudithook(_note)


@contextmanager
def opening(root: Path) -> Iterator[set[Path]]:
    """The files below `root` that are opened inside, as Python itself reports them."""
    global OPENED
    found: set[Path] = set()
    OPENED = []
    try:
        yield found
    finally:
        found |= {Path(path) for path in OPENED if path.startswith(str(root))}
        OPENED = None


@pytest.mark.parametrize("variant", PLANTED)
def test_label_files_are_exactly_the_lists_that_reading_opens(tmp_path, variant):
    plant, count = PLANTED[variant]
    root = tmp_path / "release"
    plant(root)
    with opening(root) as opened:
        layouts.read(layout_of(variant), root, SOURCE[layout_of(variant)])
    found = layouts.label_files(layout_of(variant), root)
    assert found == sorted(opened)
    assert len(found) == count


@pytest.mark.parametrize("variant", PLANTED)
def test_label_files_are_found_without_media_and_open_nothing(tmp_path, variant):
    """They are asked for at every start of Snakemake: no clip may be looked at."""
    plant, _ = PLANTED[variant]
    root, layout = tmp_path / "release", layout_of(variant)
    plant(root)
    found = layouts.label_files(layout, root)
    for folder in ("Clip", "2_ClipsforFaceCrop", "data"):
        if (root / folder).exists():
            move(tmp_path, (f"release/{folder}", f"elsewhere/{folder}"))
    with opening(root) as opened:
        assert layouts.label_files(layout, root) == found
    assert opened == set()


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_media_folders_are_not_scanned(tmp_path, layout, monkeypatch):
    PLANTED[layout][0](tmp_path / "release")
    scanned: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(str(path)) or scandir(path))
    layouts.label_files(layout, tmp_path / "release")
    assert not [path for path in scanned if re.search("Clip|data", path)]
    assert len(scanned) < 12


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_lists_that_are_not_there_are_no_label_files(tmp_path, layout):
    """Reading says what is missing; asking for the files is no error."""
    assert layouts.label_files(layout, tmp_path / "nowhere") == []
    root = tmp_path / "release"
    PLANTED[layout][0](root)
    *kept, gone = layouts.label_files(layout, root)
    gone.unlink()
    assert layouts.label_files(layout, root) == kept
    with pytest.raises(UserError):
        layouts.read(layout, root, SOURCE[layout])


def test_two_spellings_of_one_folder_are_no_label_files(tmp_path):
    lists = random_lists("dfew", share=29)
    for folder in ("{split}(single-labeled)", "{split}(single_labeled)"):
        write_dfew_lists(tmp_path, lists, folder)
    assert layouts.label_files("dfew", tmp_path) == []


def test_a_layout_says_what_its_clips_can_be_read_from():
    assert {layout: layouts.sources(layout) for layout in layouts.LAYOUTS} == {
        "csv": ("video", "crops"),
        "dfew": ("video", "crops"),
        "ferv39k": ("crops",),
        "mafw": ("video", "crops"),
    }
    with pytest.raises(UserError, match="no layout 'dfw'"):
        layouts.read("dfw", Path(), "video")


# ── The workflow ────────────────────────────────────────────────────────────────────────────────


def dataset_of(variant: str) -> dict:
    """The part of a configuration that describes a planted release."""
    facts = load_facts(layout_of(variant))
    labels = facts["classes"] if facts else LABELS
    return {
        "title": variant,
        "synthetic": True,
        "layout": layout_of(variant),
        "root": f"releases/{variant}",
        "source": SOURCE[layout_of(variant)],
        "shards": 1,
        "folds": [1],
        "classes": {label: label for label in labels},
        "landmarks": {"backend": "dlib"},
    }


def inputs_of_manifests(printed: str) -> dict[str, set[str]]:
    """Dataset → the inputs of its job `manifest` in a dry run."""
    found = {}
    for job in re.split(r"^\[.*\]$", printed, flags=re.M):
        if "checkpoint manifest:" in job:
            listed = re.search(r"^ +input: (.*)$", job, re.M)
            dataset = re.search(r"^ +wildcards: dataset=(.*)$", job, re.M)[1]
            found[dataset] = set(listed[1].split(", ")) if listed else set()
    return found


@pytest.mark.slow
def test_an_edited_list_reruns_the_manifest_wherever_it_lies(tmp_path):
    """All variants in one workflow."""
    tree = Checkout(tmp_path, CONFIG | {"datasets": {name: dataset_of(name) for name in PLANTED}})
    (tmp_path / "releases").mkdir()
    lists = {}
    for name, (plant, _) in PLANTED.items():
        plant(tmp_path / "releases" / name)
        found = layouts.label_files(layout_of(name), tmp_path / "releases" / name)
        lists[name] = [str(path.relative_to(tmp_path)) for path in found]
    targets = [f"results/{name}/manifest.parquet" for name in PLANTED]
    done = tree.snakemake("-n", *targets)
    assert inputs_of_manifests(done.stdout + done.stderr) == {
        name: set(paths) for name, paths in lists.items()
    }

    tree.snakemake("--cores", "2", *targets)
    assert tree.jobs(*targets) == {}
    for paths in lists.values():
        with (tmp_path / paths[-1]).open("a") as file:
            file.write("\n")
    assert tree.jobs(*targets) == {
        f"manifest {name}": f"Updated input files: {paths[-1]}" for name, paths in lists.items()
    }
