"""Clips that the file system refuses, and signs of life while others are read."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from checkout import write_video
from unprivileged import unprivileged

from dfer.check.looks import count_images, look_at
from dfer.clips import progress
from dfer.clips.shard import work_through
from dfer.clips.store import ClipStore
from dfer.clips.video import ClipError, Frames
from dfer.prepare import extract

GREY = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(8)]


def write_images(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(GREY):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    return folder


@pytest.fixture
def release(tmp_path):
    """Good clips between those that the file system refuses; their table."""
    write_video(tmp_path / "good.mp4", GREY)
    write_video(tmp_path / "closed.mp4", GREY)
    list(Frames(tmp_path / "good.mp4", "video"))  # imports what another user may not
    write_images(tmp_path / "images")
    write_images(tmp_path / "shut")
    write_video(tmp_path / "within" / "inner.mp4", GREY)
    (tmp_path / "closed.mp4").chmod(0)
    (tmp_path / "shut").chmod(0)
    (tmp_path / "within").chmod(0)
    rows = [
        ("closed", "closed.mp4", "video"),
        ("shut", "shut", "frames"),
        ("inner", "within/inner.mp4", "video"),
        ("name", "n" * 300, "video"),
        ("path", "/".join(["p" * 100] * 50), "frames"),
        ("images", "images", "frames"),
        ("good", "good.mp4", "video"),
    ]
    yield tmp_path, pd.DataFrame(rows, columns=["clip", "path", "media"])
    for name in ("closed.mp4", "shut", "within"):
        (tmp_path / name).chmod(0o700)


REFUSED = {
    "closed": r"closed.mp4 cannot be .*[Pp]ermission denied",
    "shut": r"shut cannot be read \(Permission denied\)",
    "inner": r"inner.mp4 cannot be read \(Permission denied\)",
    "name": r"n{80}… cannot be read \(File name too long\)",
    "path": r"p{80}… cannot be read \(File name too long\)",
}


def test_what_may_not_be_read_is_a_reject_and_the_shard_goes_on(release):
    root, clips = release
    with unprivileged(root):
        rejects = extract.extract_shard(clips, root, None, 32, root / "0.arrow")
    assert dict(zip(rejects["clip"], rejects["path"], strict=True)) == {
        clip: path for clip, path, _ in clips.itertuples(index=False) if clip in REFUSED
    }
    for clip, reason in zip(rejects["clip"], rejects["reason"], strict=True):
        assert re.match(REFUSED[clip], reason), reason
    assert ClipStore([root / "0.arrow"]).clips == ["good", "images"]


def test_the_data_check_tells_them_too(release):
    root, clips = release
    with unprivileged(root):
        counts = count_images(root, clips)
        looks = {look.clip: look for look in look_at(root, clips, workers=1)}
    assert counts == {"shut": 0, "path": 0, "images": 8}
    assert {clip for clip, look in looks.items() if look.error} == set(REFUSED)
    assert all(re.match(REFUSED[clip], looks[clip].error) for clip in REFUSED)
    assert looks["good"].frames == looks["images"].frames == 8


def test_an_error_of_the_work_itself_is_no_reject(release):
    """A full disk, say: it would reject every clip that follows."""
    root, clips = release

    def work(clip, frames):
        next(iter(frames))
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        work_through(clips[clips["clip"] == "good"], root, "align", work)


def test_a_colon_in_a_relative_name_is_no_protocol(tmp_path, monkeypatch):
    write_video(tmp_path / "a:b.mp4", GREY)
    monkeypatch.chdir(tmp_path)
    assert len(list(Frames("a:b.mp4", "video"))) == 8
    with pytest.raises(ClipError, match=r"^c:d.mp4 does not exist"):
        list(Frames("c:d.mp4", "video"))


def test_a_name_that_is_not_utf_8_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    write_video(tmp_path / "plain.mp4", GREY)
    (tmp_path / "plain.mp4").rename(path)
    assert len(list(Frames(path, "video"))) == 8


# ── Signs of life ───────────────────────────────────────────────────────────────────────────────

LINE = re.compile(
    r"align: (\d+) of (\d+) clips, ([\d,]+) frames, [\d.]+ frames/s, (\d\d:\d\d|unknown time) left"
)


class Clock:
    """Every look at it is a second later."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(progress, "time", Clock())


def lines(text):
    return [LINE.fullmatch(line) for line in text.splitlines()]


@pytest.mark.parametrize("media", ["video", "frames"])
def test_a_line_comes_every_few_seconds_with_clips_frames_speed_and_time(
    media, tmp_path, clock, capsys
):
    if media == "video":
        write_video(tmp_path / "clip.mp4", GREY * 5)
        path = tmp_path / "clip.mp4"
    else:
        path = write_images(tmp_path / "clip")
    told = progress.Progress("align", 2)
    for _ in range(2):
        count = sum(1 for _ in Frames(path, media, told))
        told.done()
    found = lines(capsys.readouterr().err)
    assert all(found) and len(found) >= 2 * count // 6
    assert [int(match[1]) for match in found] == sorted(int(match[1]) for match in found)
    assert found[-1][2] == "2" and "unknown time" not in [match[4] for match in found]


def test_quick_work_says_nothing(tmp_path, capsys):
    write_video(tmp_path / "a.mp4", GREY)
    clips = pd.DataFrame([("a", "a.mp4", "video")], columns=["clip", "path", "media"])
    work_through(clips, tmp_path, "align", lambda clip, frames: f"{len(list(frames))} frames")
    assert not any(lines(capsys.readouterr().err))


def test_half_of_the_frames_take_half_of_the_time(monkeypatch, capsys):
    """One clip of 100 frames, of which each takes a second."""
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(progress, "stated_frames", lambda *_: 100)
    told = progress.Progress("align", 1)
    for _ in told.watch(iter(range(100)), "a.mp4", "video"):
        clock.now += 1
    found = lines(capsys.readouterr().err)
    assert len(found) == 20
    assert (found[9][3], found[9][4]) == ("50", "00:50")


def test_what_a_header_states_is_an_estimate_and_nothing_is_no_error(tmp_path):
    write_video(tmp_path / "a.mp4", GREY)
    write_video(tmp_path / "a.mkv", GREY)
    (tmp_path / "b.mp4").write_text("no video")
    assert progress.stated_frames(tmp_path / "a.mp4", "video") == 8
    assert progress.stated_frames(tmp_path / "a.mkv", "video") == 8
    assert progress.stated_frames(tmp_path / "b.mp4", "video") == 0
    assert progress.stated_frames(tmp_path / "c.mp4", "video") == 0
    assert progress.stated_frames(tmp_path / "c", "frames") == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_the_data_check_shows_life(workers, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    for name in "abc":
        write_video(tmp_path / f"{name}.mp4", GREY)
    rows = [(name, f"{name}.mp4", "video") for name in "abc"]
    clips = pd.DataFrame(rows, columns=["clip", "path", "media"])
    assert [look.frames for look in look_at(tmp_path, clips, workers)] == [8] * 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("check: 3 of 3 clips, 24 frames, ") and last.endswith("00:00 left")
