"""No list leads out of its root, by whatever spelling of a path."""

import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dfer.clips.shard import read_shard
from dfer.datasets import layouts
from dfer.errors import UserError
from dfer.files import write_parquet
from dfer.prepare.manifest import MANIFEST_SCHEMA

# Dots, slashes and what looks like them: only "/" parts folders for the system, and only ".." goes
# up; the others are letters of a name.
PARTS = [
    *("..", ".", "/", "//", "\\", "a", "a b", "~", "$HOME", "%2e%2e", "%2f", "C:", "file:", "\0"),
    *(
        "․․",
        "‥",
        "．．",
        "。。",
        "∕",
        "⁄",
        "／",
        "⧸",
        "＼",
        "\u200b",
        "\u202e",
        "\ufeff",
        "é",
        "\t",
    ),
]
PATHS = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=8).map("".join),
    st.lists(st.sampled_from(PARTS), max_size=8).map("/".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
OUT = ["/etc/passwd", "//etc/passwd", "../x", "a/../../x", "a/..", "..", "", ".", "./..", "a/\0/b"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root that has a neighbour with a clip in it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "root/a").mkdir(parents=True)
    (folder / "x").mkdir()
    return folder / "root"


def stays_inside(path: str, root: Path) -> bool:
    """Whether the system takes a path for something below the root."""
    if "\0" in path:
        return False
    return os.path.normpath(os.path.join(root, path)).startswith(f"{root}{os.sep}")


def read_list(root: Path, path: str) -> list[str]:
    cell = path.replace('"', '""')
    text = f'clip,path,label,fold\nc,"{cell}",happy,1\nd,a/d.mp4,happy,2\n'
    (root / "labels.csv").write_text(text, encoding="utf-8", newline="")
    return layouts.read("csv", root, "video").clips.path.tolist()


def read_manifest(root: Path, path: str) -> list[str]:
    rows = pd.DataFrame([("c", path, "video", "happy", None)], columns=MANIFEST_SCHEMA.names)
    write_parquet(rows, root.parent / "0.parquet", MANIFEST_SCHEMA)
    return read_shard(root.parent / "0.parquet", root).path.tolist()


@pytest.mark.parametrize("read", [read_list, read_manifest])
@settings(max_examples=250, deadline=None)
@given(path=PATHS)
@example(path="../x")
def test_a_path_is_inside_the_root_or_refused(read, root, path):
    try:
        found = read(root, path)
    except UserError as error:
        assert "labels.csv" in str(error) or "0.parquet" in str(error)
    else:
        assert all(stays_inside(name, root) for name in found)


@pytest.mark.parametrize("read", [read_list, read_manifest])
@pytest.mark.parametrize("path", OUT)
def test_what_leads_out_is_refused(read, root, path):
    with pytest.raises(UserError, match=r"labels\.csv|0\.parquet"):
        read(root, path)


@pytest.mark.parametrize("path", ["a" * 300 + "/b.mp4", "a/" * 3000 + "b.mp4"])
def test_a_path_that_no_disk_can_hold_is_that_of_a_missing_clip(root, path):
    assert path in read_list(root, path)


def test_links_in_a_circle_are_a_clear_error(root):
    (root / "circle").symlink_to("circle")
    with pytest.raises(UserError, match="cannot be listed"):
        read_list(root, "circle/b.mp4")
    (root / "circle").unlink()


def test_a_link_inside_the_root_is_the_users_own_and_followed(root):
    (root / "link").symlink_to(root.parent / "x")
    (root.parent / "x/b.mp4").touch()
    assert read_list(root, "link/b.mp4") == ["link/b.mp4", "a/d.mp4"]
    (root / "link").unlink()


@pytest.mark.parametrize("clip", ["../../x", "/Sad/x", "Action/../x", "Action/Sad/\0", "a//b"])
def test_a_clip_of_ferv39k_names_a_folder_inside(root, clip):
    (root / "2_ClipsforFaceCrop").mkdir(exist_ok=True)
    (root / "4_setups/All_scenes").mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        (root / f"4_setups/All_scenes/{split}_All.csv").write_text(f"{clip} Sad\n")
    with pytest.raises(UserError, match=r"train_All\.csv: line 1"):
        layouts.read("ferv39k", root, "crops")
