"""Readers of releases: what they make of a good copy, and how they refuse a bad one."""

import os
import shutil
import time
import tracemalloc
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from releases import (
    clips_of,
    empty_videos,
    fill,
    random_lists,
    write_dfew_lists,
    write_ferv39k_lists,
    write_jpeg,
    write_mafw_lists,
)

from dfer.check.looks import count_images
from dfer.check.official import load_facts
from dfer.datasets import dfew, ferv39k, mafw, table
from dfer.datasets.consistency import check
from dfer.datasets.folders import Folders
from dfer.datasets.release import Release
from dfer.errors import UserError


def lists_of(release: Release) -> dict[tuple[int, str], set[tuple[str, str]]]:
    """The lists that a release came from, as sets of (clip, label)."""
    label = release.clips.set_index("clip")["label"].to_dict()
    parts: dict[tuple[int, str], set[tuple[str, str]]] = {}
    for clip, fold, split in release.folds.itertuples(index=False):
        parts.setdefault((fold, split), set()).add((clip, label[clip]))
    return parts


def as_sets(lists: dict) -> dict:
    return {part: set(rows) for part, rows in lists.items()}


def paths_of(release: Release) -> dict[str, str]:
    return release.clips.set_index("clip")["path"].to_dict()


# ── DFEW ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_dfew(tmp_path: Path):
    """A root with the lists of a small DFEW, and those lists."""
    lists = random_lists("dfew", share=29)
    write_dfew_lists(tmp_path, lists)
    return tmp_path, lists


def test_dfew_videos(small_dfew):
    root, lists = small_dfew
    empty_videos(root / "Clip/original", [*clips_of(lists), "20001", "20002"])
    (root / "Clip/original/readme.txt").touch()
    release = dfew.read(root, "video")
    assert lists_of(release) == as_sets(lists)
    assert paths_of(release) == {c: f"Clip/original/{c}.mp4" for c in clips_of(lists)}
    assert set(release.clips["media"]) == {"video"}
    assert release.missing == []
    assert release.notes == ["2 clips on disk are in no list and are left out."]
    check(release.clips, release.folds, {label: label for label in load_facts("dfew")["classes"]})


@pytest.mark.parametrize("folder", ["{split}(single_labeled)", "{split}"])
def test_dfew_finds_lists_under_other_spellings(tmp_path, folder):
    lists = random_lists("dfew", share=29)
    write_dfew_lists(tmp_path, lists, folder)
    empty_videos(tmp_path / "Clip/original", clips_of(lists))
    assert lists_of(dfew.read(tmp_path, "video")) == as_sets(lists)


def test_dfew_numbers_without_zeros_are_the_same_clips(tmp_path):
    """Lists with 7 for 00007 (written by a spreadsheet) and videos called 7.mp4."""
    lists = random_lists("dfew", share=29)
    bare = {part: [(str(int(c)), label) for c, label in rows] for part, rows in lists.items()}
    write_dfew_lists(tmp_path, bare)
    empty_videos(tmp_path / "Clip/original", clips_of(bare))
    release = dfew.read(tmp_path, "video")
    assert lists_of(release) == as_sets(lists)
    assert paths_of(release) == {c: f"Clip/original/{int(c)}.mp4" for c in clips_of(lists)}
    first = clips_of(lists)[0]
    assert first[0] == "0"
    (tmp_path / "Clip/original" / f"{first}.mp4").touch()
    with pytest.raises(UserError, match=f"are both clip {first}"):
        dfew.read(tmp_path, "video")


def test_dfew_refuses_labels_from_zero(tmp_path):
    lists = random_lists("dfew", share=29)
    write_dfew_lists(tmp_path, lists, base=0)
    empty_videos(tmp_path / "Clip/original", clips_of(lists))
    with pytest.raises(UserError, match=r"set_1\.csv: line \d+: label 0\. .* rewritten to 0 to 6"):
        dfew.read(tmp_path, "video")


def test_dfew_prefers_all_frames_to_sixteen(small_dfew):
    root, lists = small_dfew
    image = write_jpeg(root / "one.jpg")
    fill(root / "Clip/clip_224x224_16f", clips_of(lists), ["1.jpg", "2.jpg"], image)
    release = dfew.read(root, "crops")
    assert set(release.clips["media"]) == {"frames"}
    assert paths_of(release) == {c: f"Clip/clip_224x224_16f/{c}" for c in clips_of(lists)}
    assert "interpolated in time to 16 frames" in release.notes[0]
    # An archive that was unpacked into a folder of its own name.
    fill(root / "Clip/clip_224x224/clip_224x224", clips_of(lists)[1:], ["1.jpg"], image)
    release = dfew.read(root, "crops")
    folder = "Clip/clip_224x224/clip_224x224"
    assert paths_of(release) == {c: f"{folder}/{c}" for c in clips_of(lists)}
    assert release.missing == clips_of(lists)[:1]
    assert release.notes == []


def test_paths_too_long_and_links_to_themselves_are_missing_or_no_folder(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    long = "p" * 300
    rows = ["a,loop,happy,1", f"b,{long}/x.mp4,sad,2", f"c,{long},happy,2"]
    (tmp_path / "labels.csv").write_text("\n".join(["clip,path,label,fold", *rows]))
    release = table.read(tmp_path, "video")
    assert release.missing == ["b", "c"]
    assert release.clips.set_index("clip").media["a"] == "video"


def test_dfew_one_fold_is_enough(tmp_path):
    lists = {part: rows for part, rows in random_lists("dfew", share=29).items() if part[0] == 4}
    write_dfew_lists(tmp_path, lists)
    empty_videos(tmp_path / "Clip/original", [])
    release = dfew.read(tmp_path, "video")
    assert lists_of(release) == as_sets(lists)
    assert release.missing == clips_of(lists)
    (tmp_path / "EmoLabel_DataSplit/test(single-labeled)/set_4.csv").unlink()
    with pytest.raises(UserError, match=r"fold 4 has this train list but no test list"):
        dfew.read(tmp_path, "video")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("00001,8", "label '8' is not 1 … 7"),
        ("00001,happy", "label 'happy' is not 1 … 7"),
        ("clip,1", "'clip,1' is not a clip's number and a label"),
        ("00001,1,3", "'00001,1,3' is not a clip's number"),
    ],
)
def test_dfew_refuses_lines(small_dfew, line, message):
    root, _ = small_dfew
    empty_videos(root / "Clip/original", [])
    path = root / "EmoLabel_DataSplit/train(single-labeled)/set_2.csv"
    path.write_text(f"video_name,label\n{line}\n")
    with pytest.raises(UserError, match=rf"set_2\.csv: line 2: .*{message}"):
        dfew.read(root, "video")


def test_dfew_refuses_a_list_without_header(small_dfew):
    root, _ = small_dfew
    empty_videos(root / "Clip/original", [])
    (root / "EmoLabel_DataSplit/train(single-labeled)/set_2.csv").write_text("00001,1\n")
    with pytest.raises(UserError, match="the first line is not 'video_name,label'"):
        dfew.read(root, "video")


def test_dfew_refuses_lists_that_disagree(small_dfew):
    root, lists = small_dfew
    empty_videos(root / "Clip/original", [])
    clip, label = lists[1, "test"][0]
    other = "sad" if label == "happy" else "happy"
    lists[2, "train"] = [(c, other if c == clip else la) for c, la in lists[2, "train"]]
    write_dfew_lists(root, lists)
    with pytest.raises(UserError, match=f"clip '{clip}' is '{other}' here and '{label}' in"):
        dfew.read(root, "video")


def test_dfew_refuses_a_clip_in_train_and_test(small_dfew):
    root, lists = small_dfew
    empty_videos(root / "Clip/original", [])
    lists[3, "train"].append(lists[3, "test"][5])
    write_dfew_lists(root, lists)
    message = f"clip '{lists[3, 'test'][5][0]}' is in fold 3 already"
    with pytest.raises(UserError, match=message):
        dfew.read(root, "video")


def test_dfew_two_spellings_are_ambiguous(small_dfew):
    root, lists = small_dfew
    empty_videos(root / "Clip/original", [])
    write_dfew_lists(root, lists, "{split}(single_labeled)")
    with pytest.raises(UserError, match="both 'train\\(single-labeled\\)' and"):
        dfew.read(root, "video")


def test_a_wrong_root_says_what_is_there(tmp_path):
    (tmp_path / "DFEW-part2/Clip/original").mkdir(parents=True)
    with pytest.raises(UserError, match="the root has DFEW-part2"):
        dfew.read(tmp_path, "video")
    with pytest.raises(UserError, match="no such folder"):
        dfew.read(tmp_path / "elsewhere", "video")


# ── FERV39k ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_ferv39k(tmp_path: Path):
    lists = random_lists("ferv39k", share=200)
    write_ferv39k_lists(tmp_path, lists)
    image = write_jpeg(tmp_path / "one.jpg")
    fill(tmp_path / "2_ClipsforFaceCrop", clips_of(lists), ["0001.jpg"], image)
    return tmp_path, lists


def test_ferv39k(small_ferv39k):
    root, lists = small_ferv39k
    (root / "2_ClipsforFaceCrop/Action/Happy/9999").mkdir()
    gone = lists[1, "test"][0][0]
    shutil.rmtree(root / "2_ClipsforFaceCrop" / gone)
    release = ferv39k.read(root, "crops")
    # Every line is a clip, the first one too.
    assert lists_of(release) == as_sets(lists)
    assert lists[1, "train"][0][0] in set(release.clips["clip"])
    assert paths_of(release) == {c: f"2_ClipsforFaceCrop/{c}" for c in clips_of(lists)}
    assert release.missing == [gone]
    assert release.notes == ["1 clips on disk are in no list and are left out."]


def test_ferv39k_refusals(small_ferv39k):
    root, lists = small_ferv39k
    with pytest.raises(UserError, match="Set `source` to crops"):
        ferv39k.read(root, "video")
    path = root / "4_setups/All_scenes/train_All.csv"
    path.write_text("path label\n" + path.read_text())
    with pytest.raises(UserError, match=r"train_All\.csv: line 1: 'path label' is not of the form"):
        ferv39k.read(root, "crops")
    path.write_text("Action/Hapy/0001 Hapy\n")
    with pytest.raises(UserError, match="Did you mean 'happy'"):
        ferv39k.read(root, "crops")
    path.write_text("../Happy/0001 Happy\n")
    with pytest.raises(UserError):
        ferv39k.read(root, "crops")
    write_ferv39k_lists(root, lists | {(1, "train"): lists[1, "train"] + lists[1, "test"][:1]})
    with pytest.raises(UserError, match="is in fold 1 already"):
        ferv39k.read(root, "crops")


def test_ferv39k_label_counts_not_the_folder(small_ferv39k):
    root, lists = small_ferv39k
    clip, _ = lists[1, "train"][0]  # in a folder Happy
    lists[1, "train"][0] = (clip, "fear")
    write_ferv39k_lists(root, lists)
    release = ferv39k.read(root, "crops")
    assert release.clips.set_index("clip")["label"][clip] == "fear"
    assert "1 clips have a label other than their folder's name" in release.notes[0]


# ── MAFW ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_mafw(tmp_path: Path):
    lists = random_lists("mafw", share=36)
    write_mafw_lists(tmp_path, lists)
    return tmp_path, lists


@pytest.mark.parametrize("folder", ["Train & Test Set", "Train_Test_Set", "split"])
def test_mafw_videos(tmp_path, folder):
    lists = random_lists("mafw", share=36)
    write_mafw_lists(tmp_path, lists, folder)
    empty_videos(tmp_path / "data/clips", clips_of(lists))
    release = mafw.read(tmp_path, "video")
    assert lists_of(release) == as_sets(lists)
    assert paths_of(release) == {c: f"data/clips/{c}.mp4" for c in clips_of(lists)}


def test_mafw_lists_in_gbk(small_mafw):
    root, lists = small_mafw
    empty_videos(root / "data/clips", clips_of(lists))
    for path in (root / "Train & Test Set").rglob("*.txt"):
        text = "".join(f"{line} 他很生气。\r\n" for line in path.read_text().splitlines())
        path.write_bytes(text.encode("gbk"))
    assert lists_of(mafw.read(root, "video")) == as_sets(lists)


def test_mafw_never_takes_video_frames_for_faces(small_mafw):
    root, lists = small_mafw
    image = write_jpeg(root / "one.jpg", 640, 360)
    fill(root / "data/frames", clips_of(lists), ["1.jpg"], image)
    with pytest.raises(UserError, match="whole video frames, not faces"):
        mafw.read(root, "crops")
    release = mafw.read(root, "video")  # but they can be aligned
    assert set(release.clips["media"]) == {"frames"}
    assert paths_of(release) == {c: f"data/frames/{c}" for c in clips_of(lists)}
    fill(root / "data/faces", clips_of(lists), ["1.jpg"], image)
    assert set(paths_of(mafw.read(root, "crops")).values()) == {
        f"data/faces/{c}" for c in clips_of(lists)
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("00001.mp4 3", "three orders are in use"),
        ("00001.mp4 hapiness", "Did you mean 'happiness'"),
        ("00001.mp4", "not of the form"),
        ("anger 00001.mp4", "not of the form"),
    ],
)
def test_mafw_refuses_lines(small_mafw, line, message):
    root, _ = small_mafw
    empty_videos(root / "data/clips", [])
    (root / "Train & Test Set/single/no_caption/set_3/test.txt").write_text(line + "\n")
    with pytest.raises(UserError, match=rf"test\.txt: line 1: .*{message}"):
        mafw.read(root, "video")


def test_mafw_needs_both_parts_of_a_fold(small_mafw):
    root, _ = small_mafw
    empty_videos(root / "data/clips", [])
    (root / "Train & Test Set/single/no_caption/set_3/test.txt").unlink()
    with pytest.raises(UserError, match=r"set_3/test\.txt: no such file"):
        mafw.read(root, "video")


# ── CSV ─────────────────────────────────────────────────────────────────────────────────────────

GOOD = """clip,path,label,fold,subject
a,v/a.mp4,happy,1,s1
b,v/b.mp4,sad,2,
c,v/c,happy,3,s2
"""


def release_of(root: Path, text: str) -> Release:
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return table.read(root, "video")


def test_csv_cross_validation(tmp_path):
    (tmp_path / "v/c").mkdir(parents=True)
    (tmp_path / "v/a.mp4").touch()
    release = release_of(tmp_path, GOOD)
    assert release.clips.astype(object).where(release.clips.notna(), None).values.tolist() == [
        ["a", "v/a.mp4", "video", "happy", "s1"],
        ["b", "v/b.mp4", "video", "sad", None],
        ["c", "v/c", "frames", "happy", "s2"],
    ]
    assert release.missing == ["b"]
    # Fold k tests on the clips of fold k and trains on all others.
    assert lists_of(release) == {
        (fold, split): {
            (clip, label)
            for clip, label, own in (("a", "happy", 1), ("b", "sad", 2), ("c", "happy", 3))
            if (own == fold) == (split == "test")
        }
        for fold in (1, 2, 3)
        for split in ("train", "test")
    }


def test_csv_official_split(tmp_path):
    text = "clip,path,label,split\na,a.mp4,x,train\nb,b.mp4,x,test\n"
    parts = {(1, "train"): {("a", "x")}, (1, "test"): {("b", "x")}}
    assert lists_of(release_of(tmp_path, text)) == parts
    text = (
        "clip,path,label,split,fold\n"
        "a,a.mp4,x,train,1\nb,b.mp4,x,test,1\na,a.mp4,x,test,2\nb,b.mp4,x,train,2\n"
    )
    swapped = {(2, "test"): {("a", "x")}, (2, "train"): {("b", "x")}}
    assert lists_of(release_of(tmp_path, text)) == parts | swapped


def test_csv_by_hand_in_a_spreadsheet(tmp_path):
    """Byte order mark, Windows line ends, stray spaces, a blank last line, a quoted comma."""
    text = '\ufeffclip, path ,label,fold\r\n"a,1", v//a.mp4 ,happy, 1\r\n,,,\r\n'
    (tmp_path / "labels.csv").write_bytes(text.encode())
    release = table.read(tmp_path, "video")
    assert release.clips[["clip", "path", "label"]].values.tolist() == [["a,1", "v/a.mp4", "happy"]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("b,v", "a,v", r"line 3: clip 'a' was already listed in line 2"),
        ("v/a.mp4", "/etc/a.mp4", r"line 2: the path '/etc/a.mp4' does not lie inside the root"),
        ("v/a.mp4", "//etc/a.mp4", "does not lie inside the root"),
        ("v/a.mp4", "v/../../a.mp4", "does not lie inside the root"),
        ("v/a.mp4", "v\\a.mp4", "does not lie inside the root"),
        ("v/a.mp4", ".", "does not lie inside the root"),
        ("v/a.mp4", "", "line 2: the cell of column 'path' is empty"),
        ("happy,1", "happy,one", "fold 'one' is not a whole number"),
        ("happy,1", "happy,1.0", "fold '1.0' is not a whole number"),
        ("happy,1", "happy,0", "fold '0' is not a whole number"),
        ("happy,1", "happy,", "the cell of column 'fold' is empty"),
        ("happy,1,s1", "happy,1", "line 2: 4 cells, but the first line names 5 columns"),
        ("label", "emotion", "no column 'label' .columns are: clip, path, emotion"),
        ("subject", "clip", "two columns are called 'clip'"),
        ("subject", "split", "split 's1' is neither 'train' nor 'test'"),
        (GOOD[29:], "", "no clips"),
        (GOOD, "", "no column 'clip'"),
    ],
)
def test_csv_refuses(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(UserError, match=message):
        release_of(tmp_path, GOOD.replace(old, new, 1))


def test_csv_refuses_rows_that_disagree(tmp_path):
    text = "clip,path,label,split,fold\na,a.mp4,x,train,1\na,a.mp4,y,test,2\n"
    with pytest.raises(UserError, match="line 3: clip 'a' has another path, label or subject"):
        release_of(tmp_path, text)


def test_csv_without_a_table(tmp_path):
    with pytest.raises(UserError, match=r"labels\.csv: no such file"):
        table.read(tmp_path, "video")
    (tmp_path / "labels.csv").write_bytes("clip,path,label,fold\né,a,b,1".encode("latin-1"))
    with pytest.raises(UserError, match="not a CSV file in UTF-8"):
        table.read(tmp_path, "video")


# ── Size ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def memory_root():
    """An empty folder, in memory where the system has such, so that no disk sets the time."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["dfew", "ferv39k", "mafw"])
def test_full_size(memory_root, dataset):
    """All clips of a release are read in seconds, and in memory that videos do not matter to."""
    lists = random_lists(dataset)
    clips = clips_of(lists)
    if dataset == "dfew":
        extra = [f"{20000 + i}" for i in range(1, 16372 - len(clips) + 1)]
        write_dfew_lists(memory_root, lists)
        empty_videos(memory_root / "Clip/original", clips + extra)
        read, source, on_disk = dfew.read, "video", 16372
    elif dataset == "ferv39k":
        write_ferv39k_lists(memory_root, lists)
        fill(memory_root / "2_ClipsforFaceCrop", clips, [], memory_root)
        read, source, on_disk = ferv39k.read, "crops", 38935
    else:
        write_mafw_lists(memory_root, lists)
        empty_videos(memory_root / "data/clips", clips)
        read, source, on_disk = mafw.read, "video", 9172
    start = time.process_time()
    release = read(memory_root, source)
    labels = load_facts(dataset)["classes"]
    check(release.clips, release.folds, {label: label for label in labels})
    seconds = time.process_time() - start
    tracemalloc.start()
    read(memory_root, source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert release.missing == []
    assert lists_of(release) == as_sets(lists)
    left = on_disk - len(clips)
    assert len(release.clips) == len(clips)
    assert any(f"{left} clips on disk" in note for note in release.notes) == (left > 0)
    assert seconds < 10  # of processor time: far from it unless each clip costs all the others
    assert peak < 100e6


@pytest.mark.slow
def test_full_size_image_counts(memory_root):
    """120,000 images are counted by one scan a folder."""
    lists = random_lists("dfew")
    image = write_jpeg(memory_root / "one.jpg")
    fill(memory_root / "Clip/clip_224x224", clips_of(lists), [f"{i}.jpg" for i in range(10)], image)
    write_dfew_lists(memory_root, lists)
    release = dfew.read(memory_root, "crops")
    start = time.process_time()
    counts = count_images(memory_root, release.clips)
    seconds = time.process_time() - start
    assert counts == dict.fromkeys(clips_of(lists), 10)
    assert seconds < 10  # of processor time: far from it unless each clip costs all the others


def test_a_folder_is_listed_once(small_dfew, monkeypatch):
    """Asking for many clips costs one scan a folder, and no look at single files."""
    root, lists = small_dfew
    empty_videos(root / "Clip/original", clips_of(lists))
    scanned: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(str(path)) or scandir(path))
    folders = Folders(root)
    for clip in clips_of(lists):
        assert folders.media(f"Clip/original/{clip}.mp4") == "video"
        assert folders.media(f"Clip/original/{clip}.avi") is None
    assert scanned == [str(root / "Clip/original")]


@pytest.mark.parametrize(("listed", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_letters_may_be_composed_in_a_list_and_parted_on_disk(tmp_path, listed, on_disk):
    written = unicodedata.normalize(on_disk, "été/é.mp4")
    (tmp_path / written).parent.mkdir()
    (tmp_path / written).touch()
    path = unicodedata.normalize(listed, "été/é.mp4")
    rows = f"clip,path,label,fold\na,{path},happy,1\nb,ö.mp4,sad,2\n"
    (tmp_path / "labels.csv").write_text(rows, encoding="utf-8")
    release = table.read(tmp_path, "video")
    assert release.missing == ["b"]
    assert (tmp_path / release.clips.set_index("clip").path["a"]).is_file()
