"""Footage: what files and folders stand for, times of frames, windows, and what is drawn."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfer.clips.decoder import read_facts
from dfer.clips.video import Frames
from dfer.errors import UserError
from dfer.faces.similarity import TEMPLATE
from dfer.faces.track import MISSING, Face
from dfer.figures.heat import heat_over
from dfer.predict import footage as footage_module
from dfer.predict.classify import Prediction
from dfer.predict.face import Footage
from dfer.predict.footage import Clip, _rising, find_clips, frame_times
from dfer.predict.overlay import annotated
from dfer.predict.pictures import FAINT, colour_of, write_video
from dfer.predict.strip import CELL, LINE, strip
from dfer.predict.windows import Window, cut_windows

NTSC = Fraction(24000, 1001)


def encode(path: Path, count: int, rate=25, stamps=None, codec="libx264", **options) -> Path:
    """A video of grey frames, each a little brighter; `stamps` in ticks of 1 / rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(count):
            picture = np.full((48, 64, 3), 2 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            if stamps is not None:
                frame.pts = stamps[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


# --- files and folders ------------------------------------------------------------------------


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_a_folder_of_videos_stands_for_them_in_natural_order(tmp_path):
    folder = touch(tmp_path / "a", "c10.mp4", "c2.MOV", "c1.mkv", ".hidden.mp4")
    assert find_clips([folder]) == (
        [Clip(folder / name, "video") for name in ("c1.mkv", "c2.MOV", "c10.mp4")],
        [],
    )


def test_a_folder_of_images_is_one_clip(tmp_path):
    folder = touch(tmp_path / "a", "2.jpg", "10.PNG")
    assert find_clips([folder]) == ([Clip(folder, "frames")], [])


def test_what_a_folder_has_besides_is_named(tmp_path):
    folder = touch(tmp_path / "a", "a.mp4", "x.jpg", "y.jpg", "notes.txt", "README")
    (folder / "inner.mp4").mkdir()
    clips, aside = find_clips([folder])
    assert clips == [Clip(folder / "a.mp4", "video")]
    ((path, reason),) = aside
    assert path == folder
    assert reason.endswith("2 × .jpg, 1 × .txt, 1 × folder, 1 × without suffix.")


def test_a_named_file_is_a_video_whatever_its_suffix_but_no_image(tmp_path):
    touch(tmp_path, "clip.bin", "one.jpg")
    clips, aside = find_clips([tmp_path / "clip.bin", tmp_path / "one.jpg"])
    assert clips == [Clip(tmp_path / "clip.bin", "video")]
    assert aside[0][0] == tmp_path / "one.jpg"
    assert "folder" in aside[0][1]


def test_a_clip_that_is_named_twice_is_one(tmp_path):
    folder = touch(tmp_path / "a", "a.mp4", "b.mp4")
    clips, _ = find_clips([folder / "b.mp4", folder])
    assert [clip.path.name for clip in clips] == ["b.mp4", "a.mp4"]


def test_missing_paths_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.mp4: no such file or folder"):
        find_clips([tmp_path / "nowhere.mp4"])
    folder = touch(tmp_path / "a", "notes.txt")
    with pytest.raises(UserError, match=r"a: neither a video .* nor an image"):
        find_clips([folder])


# --- times --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.mp4", "libx264", NTSC),
        ("a.mp4", "libx264", 60),
        ("a.mkv", "libx264", 25),
        ("a.avi", "mjpeg", NTSC),
        ("a.avi", "mpeg4", 25),
        ("a.ts", "libx264", 25),
    ],
)
def test_times_are_those_of_the_frame_rate(tmp_path, name, codec, rate):
    path = encode(tmp_path / name, 40, rate, codec=codec)
    times = frame_times(path, 40)
    exact = [float(number / Fraction(rate)) for number in range(41)]
    np.testing.assert_allclose(times, exact, atol=1e-3)  # Matroska's clock has milliseconds
    if name == "a.mp4":
        np.testing.assert_allclose(times, exact, atol=1e-9)


def test_times_of_a_variable_frame_rate_are_its_own(tmp_path):
    stamps = [0, 1, 2, 7, 8, 20, 21, 22, 23, 40, 41, 45]
    path = encode(tmp_path / "a.mp4", 12, 25, stamps)
    np.testing.assert_allclose(frame_times(path, 12)[:-1], np.array(stamps) / 25, atol=1e-9)
    shown = [frame.time for frame in av.open(str(path)).decode(video=0)]
    np.testing.assert_allclose(frame_times(path, 12)[:-1], np.subtract(shown, shown[0]))


def test_times_begin_at_the_first_frame_wherever_the_file_s_clock_does(tmp_path):
    path = encode(tmp_path / "a.mkv", 10, 25, range(100, 110))
    assert next(av.open(str(path)).decode(video=0)).time == 4
    np.testing.assert_allclose(frame_times(path, 10), np.arange(11) / 25, atol=1e-3)


def test_frames_that_were_lost_leave_the_length_as_it_is(tmp_path):
    path = encode(tmp_path / "a.mp4", 40, 25)
    times = frame_times(path, 36)
    np.testing.assert_allclose(times, np.linspace(0, 1.6, 37))


def test_a_stream_without_time_stamps_has_its_frame_rate(tmp_path):
    path = encode(tmp_path / "a.h264", 30, 25)
    np.testing.assert_allclose(frame_times(path, 30), np.arange(31) / 25)


def test_equal_stamps_are_parted_and_the_others_stay(tmp_path, monkeypatch):
    stamps = [*range(10), *range(10, 60, 5), 60, 62, 64]
    path = encode(tmp_path / "a.mp4", len(stamps), 25, stamps)
    facts = read_facts(path)
    doubled = list(facts.stamps)
    doubled[12] = doubled[11]
    monkeypatch.setattr(
        footage_module, "read_facts", lambda video: replace(facts, stamps=tuple(doubled))
    )
    expected = np.array(stamps) / 25
    expected[12] = (expected[11] + expected[13]) / 2
    np.testing.assert_allclose(frame_times(path, len(stamps))[:-1], expected)
    np.testing.assert_allclose(frame_times(path, len(stamps), doubled)[:-1], expected)


def test_a_clock_that_begins_anew_goes_on():
    stamps = [5.0, 5.04, 5.08, 0.0, 0.04]
    np.testing.assert_allclose(_rising(np.array(stamps), 0.04) - 5, np.arange(5) / 25)


def test_frames_that_were_lost_leave_the_others_their_own_times(tmp_path):
    path = encode(tmp_path / "a.mp4", 40, 25)
    stamps = [number / 25 for number in range(40) if number not in (7, 8, 20)]
    np.testing.assert_allclose(frame_times(path, 37, stamps)[:-1], stamps)
    np.testing.assert_allclose(frame_times(path, 37, [None, *stamps[1:]]), np.linspace(0, 1.6, 38))


# --- windows ------------------------------------------------------------------------------------


def spans(windows: list[Window]) -> list[tuple[int, int]]:
    return [(window.start, window.stop) for window in windows]


def test_a_clip_no_longer_than_a_window_is_one():
    for frames in (1, 30, 100):
        for seconds, stride in ((4, 4), (np.inf, np.inf), (np.inf, 1)):
            (window,) = cut_windows(np.arange(frames + 1) / 25, seconds, stride)
            assert window == Window(0, 0, frames, 0.0, frames / 25)


def test_windows_of_ntsc_begin_with_the_frames_that_do():
    times = np.arange(241) * 1001 / 24000  # 10.01 s
    windows = cut_windows(times, 4, 3)
    assert spans(windows) == [(0, 96), (72, 168), (144, 240)]
    assert [(w.start_s, w.end_s) for w in windows] == [
        pytest.approx((start * 1001 / 24000, stop * 1001 / 24000))
        for start, stop in ((0, 96), (72, 168), (144, 240))
    ]


def test_the_rest_of_a_clip_has_a_window_of_full_length_that_ends_with_it():
    windows = cut_windows(np.arange(251) / 25, 4, 4)
    assert spans(windows) == [(0, 100), (100, 200), (150, 250)]
    assert windows[2].end_s == 10
    assert len(cut_windows(np.arange(201) / 25, 4, 4)) == 2  # no rest


def test_a_window_in_which_no_frame_begins_has_the_one_on_show():
    windows = cut_windows(np.array([0, 1, 2, 11, 12.0]), 4, 4)
    assert spans(windows) == [(0, 3), (2, 3), (3, 4)]
    assert (windows[1].start_s, windows[1].end_s) == (2, 11)


@given(
    st.lists(st.floats(1e-3, 3.0), min_size=1, max_size=60),
    st.floats(0.2, 8.0),
    st.floats(0.1, 1.0),
)
def test_every_frame_is_in_a_window(gaps, seconds, share):
    times = np.append(0, np.cumsum(gaps))
    windows = cut_windows(times, seconds, seconds * share)
    covered = np.zeros(len(gaps), int)
    for number, window in enumerate(windows):
        assert window.number == number
        assert 0 <= window.start < window.stop <= len(gaps)
        assert (window.start_s, window.end_s) == (times[window.start], times[window.stop])
        inside = times[window.start : window.stop]
        assert inside[-1] - inside[0] < seconds + 1e-5
        covered[window.start : window.stop] += 1
    assert (covered > 0).all()
    assert len(windows) <= max(0, times[-1] - seconds) / (seconds * share) + 2


# --- pictures -----------------------------------------------------------------------------------


def test_heat_colours_only_where_it_is():
    picture = np.full((4, 4, 3), 100, np.uint8)
    heat = np.zeros((4, 4))
    heat[1, 2] = 1
    changed = (heat_over(picture, heat) != picture).any(-1)
    assert changed.tolist() == (heat > 0).tolist()


def test_twenty_classes_have_colours_of_their_own():
    assert len({colour_of(label) for label in range(20)}) == 20


def test_written_video_keeps_times_and_pads_odd_sides(tmp_path):
    times = np.array([0, 0.04, 0.5, 0.54, 2.0])
    frames = [np.full((47, 63, 3), 50 * n, np.uint8) for n in range(4)]
    write_video(tmp_path / "a.mp4", frames, times)
    decoded = list(av.open(str(tmp_path / "a.mp4")).decode(video=0))
    assert [frame.time for frame in decoded] == pytest.approx(times[:-1], abs=1e-4)
    assert frame_times(tmp_path / "a.mp4", 4)[-1] == pytest.approx(2.0, abs=1e-4)
    pictures = [frame.to_ndarray(format="rgb24") for frame in decoded]
    for number, picture in enumerate(pictures):
        assert picture.shape == (48, 64, 3)
        assert abs(picture.astype(int) - 50 * number).max() < 6


def test_written_video_scales_frames_of_another_size(tmp_path):
    frames = [np.full(shape, 80, np.uint8) for shape in ((48, 64, 3), (96, 128, 3))]
    write_video(tmp_path / "a.mp4", frames, np.arange(3) / 25)
    assert [frame.shape for frame in Frames(tmp_path / "a.mp4", "video")] == [(48, 64, 3)] * 2


def test_strip_shows_frames_heat_and_bars():
    faces = np.full((8, 224, 224, 3), 120, np.uint8)
    faces[3] = (200, 40, 40)
    heat = np.zeros((8, 224, 224))
    heat[5] = 1
    names = ["happy", "traurig", "neutral"]
    page = np.asarray(strip(faces, heat, ["0 s"] * 8, np.array([0.5, 0.0, 0.25]), names, "clip"))
    cells = page[LINE : LINE + 2 * CELL].reshape(2, CELL, 8, CELL, 3)
    centre = cells[:, CELL // 2, :, CELL // 2]
    assert (centre[0, 3] == (200, 40, 40)).all()
    grey = [number for number in range(8) if number not in (3, 5)]
    assert (centre[:, grey] == 120).all()
    assert (centre[1, 3] == 93).all()
    assert not np.array_equal(centre[1, 5], (120, 120, 120))
    widths = [
        (page[2 * LINE + 2 * CELL + LINE * label + LINE // 2] == colour_of(label)).all(-1).sum()
        for label in range(3)
    ]
    assert widths[0] == pytest.approx(2 * widths[2], abs=2)
    assert widths[1] <= 1


def face_at(x: float, y: float, side: float) -> Face:
    """A face whose aligned crop is the square of `side` pixels with its corner at (x, y)."""
    points = np.zeros((68, 2), np.float32)
    for indices, place in zip(
        ([36, 39], [42, 45], range(27, 31), range(31, 36)), TEMPLATE, strict=True
    ):
        points[list(indices)] = place * side + (x, y)
    box = np.array([x, y, x + side, y + side], float)
    return Face(box, 1.0, points, "detected")


@pytest.fixture
def folder_of_greys(tmp_path):
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((200, 300, 3), 100, np.uint8))
    return tmp_path


def test_overlay_lays_the_heat_on_the_face_of_each_frame(folder_of_greys):
    """All heat in one patch: it is found where the patch lies on the moving face."""
    faces = [face_at(40 + 10 * number, 60, 80) for number in range(7)] + [MISSING]
    maps = np.zeros((4, 4, 4), np.float32)
    maps[:, 1, 2] = 1
    window = Window(0, 0, 8, np.nan, np.nan)
    seen = Prediction(window, np.array([1, 3, 5, 7]), np.array([0.2, 0.8]), maps)
    footage = Footage(Clip(folder_of_greys, "frames"), faces, None, 0)
    pages = list(annotated(footage, [seen], ["happy", "sad"], np.arange(9) / 25))
    for number, page in enumerate(pages[:7]):
        inner = page[66:134, 46 + 10 * number : 114 + 10 * number].astype(int)
        moved = np.abs(inner - 100).sum(-1)
        y, x = (np.mean(side) for side in np.nonzero(moved > 0.9 * moved.max()))
        assert (y, x) == pytest.approx((80 * 1.5 / 4 - 6.5, 80 * 2.5 / 4 - 6.5), abs=1)
        edge = page[100, 40 + 10 * number]
        assert tuple(edge) == colour_of(1)
    last = pages[7][30:180]
    assert (last == 100).all()


def test_overlay_shows_each_frame_its_nearest_window_and_the_line_of_time(folder_of_greys):
    faces = [MISSING] * 8
    maps = np.ones((2, 2, 2), np.float32)
    windows = [Window(0, 0, 4, 0, 0), Window(1, 2, 6, 0, 0)]
    predictions = [
        Prediction(window, np.array([0, 1]), np.eye(2)[window.number], maps) for window in windows
    ]
    footage = Footage(Clip(folder_of_greys, "frames"), faces, None, 0)
    pages = list(annotated(footage, predictions, ["happy", "sad"], np.arange(9) / 25))
    line = pages[7][198]  # of 8 frames, 37.5 pixels each
    owners = [0, 0, 0, 1, 1, 1, None, None]
    for number, owner in enumerate(owners):
        colour = FAINT if owner is None else colour_of(owner)
        assert tuple(line[int(37.5 * number) + 15]) == colour
    assert np.array_equal(pages[0][:25], pages[2][:25])
    assert not np.array_equal(pages[2][:25], pages[3][:25])  # another class is named
    assert not np.array_equal(pages[5][:25], pages[6][:25])  # none is
