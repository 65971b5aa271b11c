"""The data check: each fault that users meet is planted in a copy and must be named."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import simplejpeg
from releases import (
    clips_of,
    empty_videos,
    facts_of,
    fill,
    random_lists,
    write_dfew_lists,
    write_ferv39k_lists,
    write_jpeg,
    write_mafw_lists,
)

from dfer.check.decoding import check_looks
from dfer.check.findings import Finding
from dfer.check.looks import Look, look_at, sample
from dfer.check.official import FACTS, list_hash, load_facts
from dfer.check.page import page
from dfer.check.release import inspect, main, parser
from dfer.datasets import dfew, ferv39k, mafw
from dfer.errors import UserError

IMAGES = [f"{i}.jpg" for i in range(1, 11)]  # 10.jpg sorts before 2.jpg as text
DFEW = load_facts("dfew")["classes"]


def of(findings: list[Finding], level: str) -> dict[str, str]:
    """check → finding, of one level."""
    return {f.check: f.finding for f in findings if f.level == level}


@pytest.fixture
def copy(tmp_path: Path):
    """A small DFEW with crops, its lists, and facts that are true of it."""
    lists = random_lists("dfew", share=29)
    write_dfew_lists(tmp_path, lists)
    image = write_jpeg(tmp_path / "one.jpg")
    fill(tmp_path / "Clip/clip_224x224", clips_of(lists), IMAGES, image)
    return tmp_path, lists, facts_of(lists, DFEW, frames=len(IMAGES))


def findings_of(root: Path, facts: dict | None, source: str = "crops", decoded: int | None = 20):
    return inspect(dfew.read(root, source), facts, root, source, decoded)[0]


# ── Official facts ──────────────────────────────────────────────────────────────────────────────


def test_list_hash_by_hand():
    text = b"00002 sad\n00010 happy"
    assert list_hash(["00010", "00002"], ["happy", "sad"]) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    ("dataset", "clips"), [("dfew", 11697), ("ferv39k", 31088 + 7847), ("mafw", 9172)]
)
def test_official_facts_add_up(dataset, clips):
    facts = load_facts(dataset)
    hashes = set()
    for parts in facts["folds"].values():
        assert sum(part["clips"] for part in parts.values()) == clips
        for part in parts.values():
            assert sum(part["per_class"]) == part["clips"]
            assert len(part["per_class"]) == len(facts["classes"])
            hashes.add(part["sha256"])
    assert len(hashes) == 2 * len(facts["folds"])
    if len(facts["folds"]) == 5:  # each clip is tested once, so the test parts make up the whole
        assert sum(parts["test"]["clips"] for parts in facts["folds"].values()) == clips
        frames = {
            sum(part["frames"] for part in parts.values()) for parts in facts["folds"].values()
        }
        assert len(frames) == 1


def test_classes_are_those_of_the_readers():
    assert load_facts("dfew")["classes"] == list(dfew.LABELS.values())
    assert load_facts("ferv39k")["classes"] == list(ferv39k.LABELS)
    assert load_facts("mafw")["classes"] == list(mafw.LABELS)
    assert load_facts("csv") is None


def test_random_lists_with_official_counts_are_not_the_official_ones(tmp_path):
    """At full size: counts agree, hashes do not, and the check tells the two apart."""
    lists = random_lists("mafw")
    write_mafw_lists(tmp_path, lists)
    empty_videos(tmp_path / "data/clips", [])
    (tmp_path / "data/clips/00000.mp4").touch()
    findings = inspect(mafw.read(tmp_path, "video"), load_facts("mafw"), tmp_path, "video", 1)[0]
    lists_found = [f.finding for f in findings if f.check == "lists"]
    assert len(lists_found) == 10
    assert all("but other clips, or labels that changed places" in text for text in lists_found)


# ── A good copy ─────────────────────────────────────────────────────────────────────────────────


def test_a_good_copy(copy):
    root, _, facts = copy
    findings = findings_of(root, facts)
    assert of(findings, "fatal") == of(findings, "wrong") == {}
    right = of(findings, "right")
    assert set(right) == {
        "structure",
        "missing clips",
        "lists",
        "frame counts",
        "decoding",
        "image size",
    }
    for fold in range(1, 6):
        for split in ("train", "test"):
            assert f"{fold} {split}" in right["lists"]
    assert right["decoding"].startswith("20 clips were decoded")
    assert right["image size"].endswith("224 × 224 px (20).")


def test_disk_use_is_that_of_the_store(copy):
    """Against the bytes of the same frame, encoded here as the store's documentation says."""
    root, lists, facts = copy
    frame = cv2.cvtColor(cv2.imread(str(root / "one.jpg")), cv2.COLOR_BGR2RGB)
    one = len(simplejpeg.encode_jpeg(frame, 95, "RGB", colorsubsampling="444"))
    total = len(clips_of(lists)) * len(IMAGES)
    text = of(findings_of(root, facts), "note")["disk use"]
    assert f"{total:,} frames × {one / 1e3:.1f} kB" in text
    assert f"about {one * total / 1e9:.3g} GB" in text


@pytest.mark.parametrize("dataset", ["dfew", "ferv39k", "mafw"])
def test_every_layout(tmp_path, dataset):
    lists = random_lists(dataset, share=100)
    image = write_jpeg(tmp_path / "one.jpg")
    reader, writer, folder = {
        "dfew": (dfew, write_dfew_lists, "Clip/clip_224x224"),
        "ferv39k": (ferv39k, write_ferv39k_lists, "2_ClipsforFaceCrop"),
        "mafw": (mafw, write_mafw_lists, "data/faces"),
    }[dataset]
    writer(tmp_path, lists)
    fill(tmp_path / folder, clips_of(lists), ["1.jpg"], image)
    facts = facts_of(lists, load_facts(dataset)["classes"], frames=1)
    findings, table = inspect(reader.read(tmp_path, "crops"), facts, tmp_path, "crops", 5)
    assert of(findings, "wrong") == of(findings, "fatal") == {}
    assert {"lists", "frame counts", "missing clips"} <= set(of(findings, "right"))
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [(row[0].strip("| "), row[1], row[2]) for row in rows] == [
        (str(fold), split, str(len(lists[fold, split]))) for fold, split in sorted(lists)
    ]


# ── Planted faults ──────────────────────────────────────────────────────────────────────────────


def test_class_order(copy):
    """Labels written in another codebase's order: the right counts under the wrong classes."""
    root, lists, facts = copy
    order = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    swapped = dict(zip(order, DFEW, strict=True))
    rewritten = {part: [(c, swapped[la]) for c, la in rows] for part, rows in lists.items()}
    write_dfew_lists(root, rewritten)
    findings = findings_of(root, facts)
    assert "other classes" in of(findings, "wrong")["class order"]
    assert "lists" not in of(findings, "right")
    assert sum(f.check == "class order" for f in findings) == 10


def test_counts(copy):
    """A list from which clips were taken, as code does that drops short ones."""
    root, lists, facts = copy
    kept = [row for row in lists[1, "test"] if row[1] != "happy"][1:]
    write_dfew_lists(root, {(1, "test"): kept})
    findings = findings_of(root, facts)
    happy = sum(label == "happy" for _, label in lists[1, "test"])
    text = of(findings, "wrong")["counts"]
    assert f"Fold 1, test: {len(kept)} clips, officially {len(lists[1, 'test'])}" in text
    assert f"happy 0 ({happy})" in text
    assert "1 test" not in of(findings, "right")["lists"]
    assert "1 train" in of(findings, "right")["lists"]


def test_swapped_labels(copy):
    root, lists, facts = copy
    swap = {"happy": "sad", "sad": "happy"}
    pair = {next(c for c, la in lists[2, "test"] if la == label) for label in swap}
    changed = {
        part: [(c, swap[la] if c in pair else la) for c, la in rows] for part, rows in lists.items()
    }
    write_dfew_lists(root, changed)
    findings = findings_of(root, facts)
    wrong = [f.finding for f in findings if f.level == "wrong"]
    assert len(wrong) == 5  # one part of each fold has both clips: the test part of fold 2
    assert "Fold 2, test" in " ".join(wrong)
    assert "Fold 2, train" not in " ".join(wrong)
    assert all("labels that changed places" in text for text in wrong)


def test_a_missing_fold(copy):
    root, _, facts = copy
    for split in ("train", "test"):
        (root / f"EmoLabel_DataSplit/{split}(single-labeled)/set_5.csv").unlink()
    wrong = {f.finding for f in findings_of(root, facts) if f.level == "wrong"}
    assert wrong == {"Fold 5 has no train list.", "Fold 5 has no test list."}


def test_label_base_is_fatal(copy, tmp_path):
    root, lists, _ = copy
    write_dfew_lists(root, lists, base=0)
    out = tmp_path / "out/check_data.md"
    with pytest.raises(UserError, match="the data check found faults"):
        main(parser().parse_args(arguments(root, out)))
    assert "This copy cannot be used as it is." in out.read_text()
    table = pd.read_parquet(out.with_suffix(".parquet"))
    assert table["level"].tolist() == ["fatal"]
    assert "rewritten to 0 to 6" in table["finding"][0]


def test_sort_order(copy):
    root, _, facts = copy
    assert "10.jpg before 2.jpg" in of(findings_of(root, facts), "note")["sort order"]
    for folder in (root / "Clip/clip_224x224").iterdir():
        (folder / "10.jpg").unlink()
    assert "sort order" not in of(findings_of(root, facts), "note")


def test_raw_frames_where_faces_are_expected(copy):
    root, lists, facts = copy
    shutil.rmtree(root / "Clip/clip_224x224")
    image = write_jpeg(root / "raw.jpg", 640, 360)
    fill(root / "Clip/clip_224x224", clips_of(lists), IMAGES, image)
    text = of(findings_of(root, facts), "wrong")["image size"]
    assert "20 of 20 decoded clips" in text
    assert "640 × 360 px (20)" in text
    assert "whole video frames" in text


def test_larger_and_uneven_crops_are_notes(copy):
    root, lists, facts = copy
    shutil.rmtree(root / "Clip/clip_224x224")
    fill(root / "Clip/clip_224x224", clips_of(lists), IMAGES, write_jpeg(root / "b.jpg", 256, 256))
    findings = findings_of(root, facts)
    assert of(findings, "wrong") == {}
    assert "256 × 256 px (20)" in of(findings, "note")["image size"]
    shutil.rmtree(root / "Clip/clip_224x224")
    fill(root / "Clip/clip_224x224", clips_of(lists), IMAGES, write_jpeg(root / "u.jpg", 200, 224))
    findings = findings_of(root, facts)
    assert of(findings, "wrong") == {}
    assert any("not quite square" in f.finding for f in findings)


@pytest.mark.slow
def test_missing_empty_damaged_and_short_clips(copy):
    root, lists, facts = copy
    gone, empty, broken, torn, short, *_ = clips_of(lists)
    folder = root / "Clip/clip_224x224"
    shutil.rmtree(folder / gone)
    for image in (folder / empty).iterdir():
        image.unlink()
    for clip, names in ((broken, IMAGES), (torn, IMAGES[:1])):
        for name in names:
            (folder / clip / name).unlink()
            (folder / clip / name).write_bytes((root / "one.jpg").read_bytes()[:700])
    for name in IMAGES[2:]:
        (folder / short / name).unlink()
    findings = findings_of(root, facts, decoded=None)
    wrong, note = of(findings, "wrong"), of(findings, "note")
    assert wrong["missing clips"].endswith(f"not on disk: {gone}.")
    assert wrong["frames"] == f"1 clips have no frames: {empty}."
    present = len(clips_of(lists)) - 1
    assert wrong["decoding"].startswith(f"2 of {present} decoded clips cannot be used: {empty} (")
    assert f"{broken} (" in wrong["decoding"]
    assert note["decoding"].endswith(f"{torn}: 1 of 10 frames.")
    assert wrong["decoding"].count(broken) == 1
    assert note["frames"] == f"1 clips have fewer than 8 frames: {short}."


def test_frame_counts(copy):
    root, _, facts = copy
    for folder in (root / "Clip/clip_224x224").iterdir():
        (folder / "9.jpg").unlink()
    text = of(findings_of(root, facts), "wrong")["frame counts"]
    here, there = facts["folds"]["1"]["test"]["clips"] * 9, facts["folds"]["1"]["test"]["frames"]
    assert f"fold 1 test {here} ({there}, -10.0%)" in text


def test_sixteen_frames_are_named(copy):
    root, _, facts = copy
    (root / "Clip/clip_224x224").rename(root / "Clip/clip_224x224_16f")
    assert "interpolated in time" in of(findings_of(root, facts), "note")["reader"]


# ── A release without official facts ────────────────────────────────────────────────────────────


def write_video(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
    for i in range(frames):
        writer.write(np.full((48, 64, 3), i * 8, np.uint8))
    writer.release()


def arguments(root: Path, out: Path, *more: str, layout: str = "dfew", source: str = "crops"):
    findings = str(out.with_suffix(".parquet"))
    return [
        *("--layout", layout, "--root", str(root), "--source", source),
        *("--out", str(out), "--out-findings", findings),
        *more,
    ]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    rows = ["clip,path,label,fold,subject"]
    for i in range(8):
        write_video(tmp_path / f"{i}.mp4", 10 + i)
        rows.append(f"c{i},{i}.mp4,{'sad' if i % 2 else 'happy'},{i // 4 + 1},s{i % 3}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


@pytest.mark.slow
def test_videos(videos, tmp_path):
    """All decoded: the frames of the store are known, not estimated; workers change nothing."""
    out = tmp_path / "out/check_data.md"
    command = arguments(videos, out, "--all", layout="csv", source="video")
    main(parser().parse_args(command))
    text = out.read_text()
    assert "8 clips were decoded from end to end" in text
    assert f"{sum(range(10, 18))} frames ×" in text
    assert "Fold 1: 3 subjects are in train and test (s0, s1, s2)" in text
    assert "| 1 | test | 4 | 46 | 2 | 2 |" in text
    main(parser().parse_args([*command, "--workers", "2"]))
    assert out.read_text() == text


def test_what_is_done_to_frames_is_noted():
    plain = Look("a", 10, 0, ((64, 48),), 1, 900, False, "")
    turned = plain._replace(clip="b", notes=("turned as its display matrix says",))
    both = plain._replace(clip="c", notes=("deinterlaced", *turned.notes))
    notes = [
        f.finding for f in check_looks([plain, both, turned], "video", {}) if f.check == "as shown"
    ]
    assert notes == [
        "1 of 3 decoded clips: deinterlaced (c).",
        "2 of 3 decoded clips: turned as its display matrix says (b, c).",
    ]


def test_a_sample_is_drawn_by_address(videos):
    clips = pd.DataFrame({"clip": [f"c{i}" for i in range(100)]})
    first = sample(clips, 10)["clip"].tolist()
    assert first == sample(clips[::-1], 10)["clip"].tolist() == sorted(first)
    assert len(set(first)) == 10
    assert sample(clips, 200)["clip"].tolist() == sorted(clips["clip"])


def test_looks_keep_the_order_of_the_clips(videos):
    clips = pd.DataFrame(
        {
            "clip": [f"c{i}" for i in (3, 1, 2)],
            "path": ["3.mp4", "1.mp4", "2.mp4"],
            "media": "video",
        }
    )
    looks = list(look_at(videos, clips, workers=1))
    assert [(look.clip, look.frames) for look in looks] == [("c3", 13), ("c1", 11), ("c2", 12)]
    assert all(look.sizes == ((64, 48),) for look in looks)


@pytest.mark.slow
def test_exit_status(videos, tmp_path):
    """0 with findings, 1 with --strict or when nothing can run on the copy."""
    (videos / "5.mp4").unlink()
    command = [sys.executable, "-m", "dfer.check.release"]

    def status(*more: str) -> int:
        run = arguments(videos, tmp_path / "p.md", *more, layout="csv", source="video")
        return subprocess.run([*command, *run], capture_output=True).returncode

    assert status() == 0
    assert "1 of 8 listed clips are not on disk: c5" in (tmp_path / "p.md").read_text()
    assert status("--strict") == 1
    with (videos / "labels.csv").open("a") as file:
        file.write("\nc5,x.mp4,sad,1,s1")
    assert status() == 1


def test_the_page_lists_the_worst_first():
    findings = [
        Finding("right", "a", "Fine."),
        Finding("note", "b", "Odd.", "Look."),
        Finding("wrong", "c", "Bad.", "Mend."),
    ]
    text = page("dfew", Path("data/DFEW"), "crops", findings, "")
    assert (
        text.index("## Wrong (1)") < text.index("## Worth knowing (1)") < text.index("## Right (1)")
    )
    assert "- **c**: Bad. *Mend.*\n" in text


def test_facts_are_hashes_and_counts_alone():
    """No list of a release is in the package: nothing in the facts is as long as a list."""
    text = FACTS.read_text(encoding="utf-8")
    assert len(text) < 10_000
    assert json.loads(text).keys() == {"about", "dfew", "ferv39k", "mafw"}
