"""Folders of images: which files are frames, in which order, and modes of 16 bits."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbered import number_of, numbered
from PIL import Image

from dfer.clips.images import frame_names, natural_key, natural_order, read_image
from dfer.clips.video import Frames

ORDERS = {
    "counted": ["1.jpg", "2.jpg", "10.jpg"],
    "decimals": ["t0.25.jpg", "t0.5.jpg", "t1.0.jpg", "t1.125.jpg", "t10.5.jpg"],
    "decimals without suffix": ["0.25", "0.5", "10.125"],
    "seconds as Python prints them": [f"{n * 0.04:g}.png" for n in range(40)],
    "decimals of one width": [f"frame_{n / 10:.2f}.png" for n in range(30)],
    "counted after a point": ["1.2.jpg", "1.9.jpg", "1.10.jpg", "1.11.jpg", "2.1.jpg"],
    "dates": ["2024.01.05.jpg", "2024.01.06.jpg", "2024.02.01.jpg"],
    "signs": ["-10.jpg", "-3.jpg", "-1.jpg", "0.jpg", "2.jpg", "10.jpg"],
    "signs after a word": ["t-2.png", "t-1.png", "t0.png", "t1.png"],
    "signs after a bar": ["a_-2.png", "a_-1.png", "a_0.png", "a_7.png"],
    "signed decimals": ["-0.5.jpg", "-0.25.jpg", "0.0.jpg", "0.25.jpg"],
    "hyphens that part words": ["clip-1.jpg", "clip-2.jpg", "clip-10.jpg"],
    "dates with hyphens": ["2024-01-05.jpg", "2024-01-06.jpg", "2024-02-01.jpg"],
    "long time stamps": ["9007199254740992.png", "9007199254740993.png"],
    "cases": ["frame1.png", "frame02.png", "Frame10.png"],
}


@pytest.mark.parametrize("kind", ORDERS)
def test_names_sort_by_their_numbers(kind):
    names = ORDERS[kind]
    for shuffled in list(permutations(names[:6]))[:120] if len(names) < 7 else [names[::-1]]:
        assert natural_order(shuffled) == [name for name in names if name in shuffled]


@given(st.lists(st.text("01.-+ab_ ", min_size=1, max_size=9), max_size=8, unique=True))
def test_any_names_have_an_order_that_does_not_hang_on_how_they_came(names):
    ordered = natural_order(names)
    assert sorted(ordered) == sorted(names)
    assert natural_order(reversed(ordered)) == ordered


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=9, unique=True))
def test_signed_numbers_sort_as_numbers(numbers):
    assert natural_order(f"{n}.png" for n in numbers) == [f"{n}.png" for n in sorted(numbers)]


@given(st.lists(st.integers(0, 400), min_size=2, max_size=9, unique=True))
def test_times_in_eighths_sort_as_numbers(eighths):
    # Python's shortest digits: no fraction ends in a nought but that of whole seconds.
    names = [f"t{n / 8}.png" for n in sorted(eighths)]
    assert natural_order(names[::-1]) == names


def test_a_single_name_has_a_key():
    assert sorted(["t0.5", "t0.25", "-1", "2"], key=natural_key) == ["-1", "2", "t0.25", "t0.5"]


def write(folder: Path, suffix: str, count: int = 12) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.fromarray(numbered(number)).save(folder / f"{number}{suffix}")


def test_frames_in_two_formats_are_taken_once_with_a_note(tmp_path):
    write(tmp_path / "clip", ".jpg")
    write(tmp_path / "clip", ".png")
    frames = Frames(tmp_path / "clip", "frames")
    shown = list(frames)
    assert [number_of(frame) for frame in shown] == list(range(12))
    assert np.array_equal(shown[5], numbered(5))  # the format that loses nothing
    assert frames.notes == ["frames are there in several formats and taken once: without 12 × .jpg"]
    assert frames.described().startswith("Pillow; frames are there")


def test_the_format_of_most_frames_is_taken_and_none_is_lost():
    names, note = frame_names(["1.jpg", "2.jpg", "3.jpg", "2.png", "4.webp", ".1.png", "x.txt"])
    assert names == ["1.jpg", "2.jpg", "3.jpg", "4.webp"]
    assert note.endswith("without 1 × .png")
    assert frame_names(["2.jpg", "10.jpg"]) == (["2.jpg", "10.jpg"], "")
    assert frame_names(["1.JPG", "1.jpeg"])[0] == ["1.JPG"]


@pytest.mark.parametrize("mode", ["I;16", "I", "F, 0 to 1", "F, 0 to 255"])
def test_grey_of_more_than_8_bits_is_scaled(tmp_path, mode):
    grey = np.array(Image.fromarray(numbered(77)).convert("L"))
    path = tmp_path / "1.png"
    if mode == "I;16":
        Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    elif mode == "I":
        Image.fromarray(grey.astype(np.int32) * 257).save(path, "TIFF")
    else:
        values = grey.astype(np.float32)
        Image.fromarray(values / 255 if mode.endswith("to 1") else values).save(path, "TIFF")
    image = read_image(path)
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.repeat(grey[..., None], 3, 2))


def test_colour_of_16_bits_and_grey_with_alpha_keep_their_look(tmp_path):
    import cv2

    picture = numbered(9)
    cv2.imwrite(str(tmp_path / "1.png"), picture[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(read_image(tmp_path / "1.png"), picture)
    Image.fromarray(picture).convert("LA").save(tmp_path / "2.png")
    assert np.array_equal(
        read_image(tmp_path / "2.png")[..., 0], np.array(Image.fromarray(picture).convert("L"))
    )
