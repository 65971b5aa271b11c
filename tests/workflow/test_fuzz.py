"""Some of the cases of `make test-fuzz` (tests/fuzz.py), always the same ones."""

import random

import pytest
from fuzz import HARM, KINDS, Failed, Fuzz, harmed, isolated

from dfer.errors import UserError

pytestmark = pytest.mark.slow  # a process a case

VIDEOS = ("mp4", "mov", "mkv", "vp8", "vp9", "avi", "mjpeg", "ts", "mpg", "flv", "wmv", "fields")
SLOW = (*VIDEOS, "images")
# Cases that came out wrong once.
FOUND = {
    "store": [13],
    "predictions": [26],
    "ferv39k": [11],
    "state": [1041],
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SLOW])
def test_harmed_files_give_the_right_result_or_a_clear_error(kind, tmp_path):
    fuzz = Fuzz(kind, tmp_path)
    for seed in [*range(12), *FOUND.get(kind, [])]:
        fuzz.attempt(seed)


@pytest.mark.parametrize("kind", SLOW)
def test_harmed_clips_give_the_right_result_or_a_clear_error(kind, tmp_path):
    fuzz = Fuzz(kind, tmp_path)
    for seed in range(5):
        fuzz.attempt(seed)


# ── The harness itself ──────────────────────────────────────────────────────────────────────────


def test_every_harm_changes_bytes_and_is_drawn_by_its_seed():
    whole, names = random.Random(0).randbytes(4000), set()
    for seed in range(200):
        data, name = harmed(whole, random.Random(seed))
        assert harmed(whole, random.Random(seed)) == (data, name)
        names.add(name)
        assert isinstance(data, bytes)
    assert names == set(HARM)


def spin():
    while True:
        pass


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("work", "state"),
    [
        (lambda: "text", "result"),
        (lambda: fail(UserError("a.txt: bad")), "error"),
        (lambda: fail(KeyError("a")), "traceback"),
        (lambda: str(len(bytearray(8 << 30))), "traceback"),  # more than there may be
        (spin, "hang"),
    ],
)
def test_each_outcome_is_told_from_the_others(work, state):
    assert isolated(work, seconds=2).state == state


def test_a_failure_says_how_to_repeat_it(tmp_path, monkeypatch):
    fuzz = Fuzz("text", tmp_path)
    monkeypatch.setattr("fuzz.read_features", lambda *_: fail(KeyError("features")))
    with pytest.raises(Failed, match=r"--kinds text --seed 3 --cases 1"):
        fuzz.attempt(3)
