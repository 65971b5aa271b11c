"""One clip under two ids, by whatever way; names of images that do not tell the order of time."""

import os
import shutil

import pandas as pd
import pytest
from releases import write_jpeg

from dfer.check.copies import find_copies
from dfer.check.looks import doubt
from dfer.check.release import inspect
from dfer.clips.images import natural_order
from dfer.datasets import table


def write_release(root, rows):
    """A labels.csv of (clip, path, fold)."""
    lines = [f"{c},{p},{'sad' if n % 2 else 'happy'},{f}" for n, (c, p, f) in enumerate(rows)]
    (root / "labels.csv").write_text("\n".join(["clip,path,label,fold", *lines]))
    return table.read(root, "video")


def copied(findings):
    return [(f.level, f.finding) for f in findings if f.check == "copies"]


@pytest.fixture
def videos(tmp_path):
    """a = b = c = d by a symbolic link, a hard link and a copy; the others only look alike."""
    (tmp_path / "a.mp4").write_bytes(b"video" * 100)
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    os.link(tmp_path / "a.mp4", tmp_path / "c.mp4")
    shutil.copy(tmp_path / "a.mp4", tmp_path / "d.mp4")
    (tmp_path / "e.mp4").write_bytes(b"other" * 100)
    for name in "fg":
        (tmp_path / f"{name}.mp4").touch()
    return tmp_path


def test_links_and_copies_are_found_and_named_with_the_sides_they_are_on(videos):
    folds = {"a": 1, "b": 2, "c": 1, "d": 1, "e": 2, "f": 1, "g": 2}
    release = write_release(videos, [(n, f"{n}.mp4", fold) for n, fold in folds.items()])
    findings, _ = inspect(release, None, videos, "video", 1)
    ((level, text),) = copied(findings)
    assert level == "wrong"
    assert text.startswith("1 clips stand under more than one id, linked or copied: a = b = c = d.")
    assert "fold 1: b in train, a and c and d in test" in text
    assert "fold 2: a and c and d in train, b in test" in text


def test_copies_on_one_side_are_a_note(videos):
    release = write_release(videos, [("a", "a.mp4", 1), ("d", "d.mp4", 1), ("e", "e.mp4", 2)])
    findings, _ = inspect(release, None, videos, "video", 1)
    ((level, text),) = copied(findings)
    assert level == "note" and text.endswith("a = d.")


def test_folders_of_the_same_images_are_one_clip_and_stills_are_not(tmp_path):
    sizes = {"a": (30, 40, 50), "b": (30, 40, 50), "c": (30, 45, 50), "d": (30, 30, 30)}
    for name, images in (sizes | {"e": sizes["d"]}).items():
        for number, size in enumerate(images):
            write_jpeg(tmp_path / name / f"{number}.jpg", size, size)
    (tmp_path / "link").symlink_to(tmp_path / "c")
    (tmp_path / "empty").mkdir()
    names = ["a", "b", "c", "d", "e", "link", "empty", "missing"]
    clips = pd.DataFrame({"clip": names, "path": names, "media": "frames"})
    assert find_copies(tmp_path, clips) == [["a", "b"], ["c", "link"]]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["1.jpg", "2.jpg", "10.jpg"], ""),
        (["img_0001.png", "img_0002.png"], ""),
        (["face.jpg"], ""),
        (["first.jpg", "second.jpg"], "first.jpg has no number in its name"),
        (["1.jpg", "2.jpg", "2.png"], "2.jpg and 2.png have one number"),
        (["1.jpg", "01.jpg"], "01.jpg and 1.jpg have one number"),
    ],
)
def test_names_that_do_not_tell_the_order_of_time_are_noted(names, reason):
    assert doubt(natural_order(names)) == reason


@pytest.mark.parametrize("names", [["t0.5.jpg", "t0.25.jpg"], ["-3.jpg", "-2.jpg", "1.jpg"]])
def test_decimals_and_signs_are_sorted_by_their_value_and_beyond_doubt(names):
    by_value = sorted(names, key=lambda name: float(name.removeprefix("t")[:-4]))
    assert natural_order(names) == by_value and doubt(by_value) == ""
