"""Landmarks, tracking and alignment, on a photograph that is moved in known ways."""

import json
import sys
import warnings

import cv2
import numpy as np
import pytest
import skimage.data
import skimage.transform

from dfer.errors import UserError
from dfer.faces import track as tracking
from dfer.faces.backends import open_backend, parse_settings
from dfer.faces.dlib_68 import Dlib68
from dfer.faces.face_alignment_settings import FaceAlignmentSettings
from dfer.faces.settings import LandmarkSettings
from dfer.faces.similarity import TEMPLATE, anchors, face_transform, fit, warp
from dfer.faces.track import track

PHOTO = skimage.data.astronaut()  # (512, 512, 3) RGB; her face is about (175…270, 70…200)
FACE = np.array([224.0, 120.0])  # its middle
GREY = np.full_like(PHOTO, 128)
ORDER = [(17, 27), (36, 48), (31, 36), (48, 68)]  # brows, eyes, base of the nose, mouth


@pytest.fixture(scope="module")
def dlib_68() -> Dlib68:
    return Dlib68()


def moved(matrix: np.ndarray, width: int = 640, height: int = 480) -> np.ndarray:
    return cv2.warpAffine(PHOTO, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def motion(scale: float, turn: float, x: float, y: float) -> np.ndarray:
    """Scale and turn (radians) about the face, and bring its middle to (x, y)."""
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[c, -s], [s, c]])
    return np.column_stack([matrix, [x, y] - matrix @ FACE])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


# --- dlib -----------------------------------------------------------------------------------


def test_dlib_finds_the_face_and_places_68_points_in_order(dlib_68):
    boxes = dlib_68.detect(PHOTO)
    assert boxes.shape == (1, 5)
    assert boxes[0, 4] > 0
    points = dlib_68.landmarks(PHOTO, boxes[0])
    assert points.shape == (68, 2)
    assert points.dtype == np.float32
    # The 300-W order: jaw from left to right, brows, nose down, eyes, mouth; eyes above the mouth.
    jaw, nose = points[:17], points[27:31]
    assert (np.diff(jaw[:, 0]) >= 0).all() and jaw[8, 1] == jaw[:, 1].max()
    assert (np.diff(nose[:, 1]) > 0).all()
    assert points[36:42, 0].max() < points[42:48, 0].min()
    brows, eyes, nostrils, mouth = (points[a:b, 1].mean() for a, b in ORDER)
    assert brows < eyes < nostrils < mouth < jaw[8, 1]
    x0, y0, x1, y1 = boxes[0, :4]
    assert ((points > [x0 - 30, y0 - 30]) & (points < [x1 + 30, y1 + 30])).all()


def test_dlib_finds_nothing_where_there_is_nothing(dlib_68):
    assert dlib_68.detect(GREY).shape == (0, 5)
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    assert dlib_68.detect(noise).shape == (0, 5)


def test_dlib_finds_small_faces_on_the_second_look(dlib_68):
    small = cv2.resize(PHOTO, None, fx=0.45, fy=0.45, interpolation=cv2.INTER_AREA)
    first_look, _, _ = dlib_68._detector.run(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), 0, 0.0)
    assert len(first_look) == 0
    assert len(dlib_68.detect(small)) == 1


# --- tracking -------------------------------------------------------------------------------


def eyes_apart(points: np.ndarray) -> float:
    left, right = anchors(points)[:2]
    return float(np.linalg.norm(right - left))


@pytest.mark.slow
def test_carried_boxes_are_as_good_as_detection_in_every_frame(dlib_68):
    """The photograph moves, turns and grows in a known way, so the truth is known: landmarks
    mapped back into the photograph should stand still."""
    motions = [
        motion(
            1 + 0.25 * np.sin(i / 9),
            0.12 * np.sin(i / 7),
            290 + 40 * np.sin(i / 11),
            170 + 30 * np.cos(i / 8),
        )
        for i in range(40)
    ]
    frames = [moved(matrix) for matrix in motions]

    def in_photo(every: int) -> np.ndarray:
        faces = track(frames, dlib_68, every)
        found = [face.found for face in faces]
        assert found == ["carried" if i % every else "detected" for i in range(40)]
        back = [cv2.invertAffineTransform(matrix) for matrix in motions]
        return np.stack([apply(m, face.points) for m, face in zip(back, faces, strict=True)])

    detected, carried = in_photo(1), in_photo(8)
    truth = np.median(detected, 0)

    def error(points: np.ndarray) -> float:
        return np.linalg.norm(points - truth, axis=-1).mean() / eyes_apart(truth)

    noise_floor = error(detected)
    assert 0.002 < noise_floor < 0.02
    assert error(carried) < 1.1 * noise_floor
    assert np.linalg.norm(carried - detected, axis=-1).mean() / eyes_apart(truth) < noise_floor


class Scripted(tracking.Backend):
    """A backend whose faces are written down: frame number → boxes (left, top, side, score).

    A pixel is its frame's number, its x and its y; landmarks are a fixed constellation inside the
    box. Like a detector, it finds the faces that are whole in what it is given.
    """

    SHAPE = np.random.default_rng(0).uniform(0.2, 0.8, (68, 2)).astype(np.float32)

    def __init__(self, script: dict[int, list[tuple[float, float, float, float]]]) -> None:
        self.script, self.searched = script, []

    def frames(self, count: int):
        y, x = np.mgrid[:100, :200]
        for number in range(count):
            yield np.stack([np.full_like(x, number), x, y], -1).astype(np.uint8)

    def detect(self, frame):
        (number, left, top), (height, width) = frame[0, 0].tolist(), frame.shape[:2]
        self.searched.append(number)
        found = [(x - left, y - top, side, s) for x, y, side, s in self.script.get(number, [])]
        if (height, width) != (100, 200):
            inside = [(x, y, x + side - width, y + side - height) for x, y, side, _ in found]
            found = [
                face
                for face, (x, y, right, bottom) in zip(found, inside, strict=True)
                if min(x, y) >= 0 and max(right, bottom) <= 0
            ]
            self.searched[-1] = (number, left, top, left + width, top + height)
        rows = [(x, y, x + side, y + side, s) for x, y, side, s in found]
        return np.array(rows, float).reshape(-1, 5)

    def landmarks(self, frame, box):
        return (box[:2] + self.SHAPE * (box[2:4] - box[:2])).astype(np.float32)


def found(faces) -> str:
    return "".join(face.found[0] for face in faces)


def test_a_due_detection_that_fails_is_tried_again_in_the_next_frames():
    face = [(50.0, 20.0, 40.0, 1.5)]
    backend = Scripted(dict.fromkeys((0, 7, 11), face))
    faces = track(backend.frames(14), backend, every=4)
    assert found(faces) == "dcccmmmdcccdcc"
    assert backend.searched == [0, 4, 5, 6, 7, 11]
    for face in faces:
        if face.found == "missing":
            assert face.box is None and face.points is None and np.isnan(face.score)
        else:
            assert np.isnan(face.score) == (face.found == "carried")
            assert np.allclose(face.box, [50, 20, 90, 60], atol=1e-3)


def test_frames_before_the_first_face_are_missing_and_all_are_searched():
    backend = Scripted({3: [(50, 20, 40, 1)]})
    assert found(track(backend.frames(6), backend, every=8)) == "mmmdcc"
    assert found(track(backend.frames(3), backend, every=8)) == "mmm"
    assert track([], backend, every=8) == []


def test_the_largest_face_is_followed_and_then_the_nearest_to_it():
    big, small = (10.0, 10.0, 60.0, 0.4), (140.0, 20.0, 30.0, 2.0)
    grown = (130.0, 10.0, 80.0, 2.0)
    backend = Scripted(
        {0: [small, big], 1: [grown, (14, 12, 50, 0.1)], 2: [grown], 3: [grown, big]}
    )
    faces = track(backend.frames(4), backend, every=1)
    assert [tuple(face.box[:2]) for face in faces] == [(10, 10), (14, 12), (130, 10), (130, 10)]
    assert [face.score for face in faces] == [0.4, 0.1, 2.0, 2.0]


def test_nearest_counts_from_where_the_face_was_last_even_after_a_gap():
    left, right = (10.0, 10.0, 40.0, 1.0), (140.0, 10.0, 45.0, 1.0)
    backend = Scripted({0: [left], 5: [right, left]})
    faces = track(backend.frames(6), backend, every=1)
    assert found(faces) == "dmmmmd"
    assert tuple(faces[5].box[:2]) == (10, 10)


def test_the_box_is_carried_by_the_landmarks():
    """Shift, scale: the box goes with them, exactly."""
    box = np.array([50.0, 20.0, 90.0, 70.0])
    points = Scripted.SHAPE * 40 + [50, 20]
    relation = tracking.relate(box, points)
    assert np.allclose(tracking.carry(relation, points), box)
    assert np.allclose(tracking.carry(relation, points * 1.5 + [7, -3]), box * 1.5 + [7, -3, 7, -3])


def test_a_carried_box_that_leaves_the_frame_is_given_up():
    class Runaway(Scripted):
        """The face moves to the right by 60 pixels a frame."""

        def landmarks(self, frame, box):
            return (self.SHAPE * 40 + [50 + 60 * int(frame[0, 0, 0]), 20]).astype(np.float32)

    backend = Runaway({0: [(50, 20, 40, 1)], 5: [(50, 20, 40, 1)]})
    assert found(track(backend.frames(6), backend, every=8)) == "dcccmd"
    assert backend.searched == [0, 4, 5]


class InParts(Scripted):
    """The same, for which a search of a part is cheaper."""

    searches_parts = True


def test_a_frame_that_is_due_is_searched_around_the_carried_box():
    """Faces of 40 pixels in squares of 80, as far as these are inside the frame."""
    walk = {0: (50.0, 20.0), 2: (53.0, 24.0), 4: (1.0, 70.0)}
    backend = InParts({n: [(x, y, 40.0, 1 + n)] for n, (x, y) in walk.items()})
    faces = track(backend.frames(5), backend, every=2)
    assert found(faces) == "dcdcd"
    assert backend.searched[:2] == [0, (2, 30, 0, 110, 80)]
    # nothing is whole in the square around (53, 24), so frame 4 is searched again, as a whole
    assert backend.searched[2:] == [(4, 33, 4, 113, 84), 4]
    for number, corner in walk.items():
        assert np.allclose(faces[number].box, [*corner, *np.add(corner, 40)], atol=1e-3)
        assert faces[number].score == 1 + number


def test_what_is_found_does_not_hang_on_where_it_was_searched():
    """Faces that wander, also beyond the border; one is lost for two frames."""
    rng = np.random.default_rng(0)
    script = {}
    for number in range(60):
        x, y = 80 + 90 * np.sin(number / 15), 30 + 40 * np.cos(number / 10)
        script[number] = [(x, y, 40.0, 1.0), (*rng.uniform(0, 60, 2), 20.0, 2.0)]
    script[32] = script[33] = []

    class Moving(InParts):
        """Landmarks find the first face near any box."""

        def landmarks(self, frame, box):
            faces = self.script[int(frame[0, 0, 0])]
            return super().landmarks(frame, np.array([*faces[0][:2], *np.add(faces[0][:2], 40)]))

    parts, whole = Moving(script), Moving(script)
    whole.searches_parts = False
    faces = track(parts.frames(60), parts, every=8)
    expected = track(whole.frames(60), whole, every=8)
    assert found(faces) == found(expected)
    assert "m" in found(faces)
    for one, other in zip(faces, expected, strict=True):
        if other.found != "missing":
            assert np.allclose(one.box, other.box, atol=1e-3)
    assert sum(isinstance(place, tuple) for place in parts.searched) >= 5


def test_the_square_around_a_box_is_cut_off_at_the_frame_s_borders():
    frame = np.arange(6 * 9).reshape(6, 9, 1)
    corner, part = tracking.region(frame, np.array([1.0, 2.0, 3.0, 3.0]))
    assert corner == (0, 0) and np.array_equal(part, frame[0:5, 0:4])
    corner, part = tracking.region(frame, np.array([7.5, 4.0, 9.5, 6.5]))
    assert corner == (6, 2) and np.array_equal(part, frame[2:, 6:])
    corner, part = tracking.region(frame, np.array([4.0, 4.0, 4.0, 4.0]))
    assert corner == (4, 4) and np.array_equal(part, frame[4:5, 4:5])


def test_whole_frames_are_searched_at_first_after_a_loss_and_where_all_are_due():
    face = [(50.0, 20.0, 40.0, 1.5)]
    backend = InParts(dict.fromkeys((0, 7, 11), face))
    assert found(track(backend.frames(14), backend, every=4)) == "dcccmmmdcccdcc"
    around = (30, 0, 110, 80)
    assert backend.searched == [0, (4, *around), 4, 5, 6, 7, (11, *around)]
    backend = InParts(dict.fromkeys(range(3), face))
    assert found(track(backend.frames(3), backend, every=1)) == "ddd"
    assert backend.searched == [0, 1, 2]


@pytest.mark.parametrize("frames", [0, 5, 9, 10])
def test_landmarks_in_batches_are_those_of_one_frame_at_a_time(frames):
    """Two faces that pass each other and are gone now and then."""

    class Batched(Scripted):
        batch = 3
        sizes = ()

        def landmarks_of(self, frames, boxes):
            self.sizes += (len(frames),)
            return super().landmarks_of(frames, boxes)

    script = {n: [(10.0 + 12 * n, 10, 40, 1 + n), (110.0 - 12 * n, 30, 45, 2)] for n in range(10)}
    script |= {0: [], 4: [], 5: []}
    batched, single = Batched(script), Scripted(script)
    faces = track(batched.frames(frames), batched, every=1)
    expected = track(single.frames(frames), single, every=1)
    assert found(faces) == found(expected) == "mdddmmdddd"[:frames]
    assert batched.searched == single.searched
    for one, other in zip(faces, expected, strict=True):
        if one.found == "detected":
            assert np.array_equal(one.points, other.points)
            assert np.array_equal(one.box, other.box) and one.score == other.score
    assert batched.sizes == {0: (), 5: (3,), 9: (3, 3), 10: (3, 3, 1)}[frames]
    carried = Batched(script)
    track(carried.frames(frames), carried, every=4)
    assert carried.sizes == ()


def test_a_small_face_is_not_left_for_a_large_one_that_comes_into_the_picture(dlib_68):
    """dlib looks for small faces only where it finds no large ones."""
    frames = []
    for newcomer in (False, False, True, True):
        frame = np.full((400, 800, 3), 128, np.uint8)
        for scale, x in [(0.5, 200)] + [(1.2, 600)] * newcomer:
            part = cv2.warpAffine(PHOTO, motion(scale, 0, 200, 200), (400, 400))
            frame[:, x - 200 : x + 200] = part
        frames.append(frame)
    faces = track(frames, dlib_68, every=2)
    assert found(faces) == "dcdc"
    assert all(face.points[:, 0].max() < 400 for face in faces)


def test_dlib_s_landmarks_do_not_hang_on_what_is_far_from_the_face(dlib_68):
    """Of the grey around the face, the same points as of the whole frame, at borders too."""
    import dlib

    rng = np.random.default_rng(0)
    for _ in range(30):
        frame = moved(motion(rng.uniform(0.5, 1.5), rng.uniform(-1, 1), *rng.uniform(0, 480, 2)))
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        box = np.repeat(rng.uniform(-40, 440, 2)[None], 2, 0).ravel()
        box[2:] += rng.uniform(30, 250)
        rectangle = dlib.rectangle(*(round(side) for side in box.tolist()))
        expected = [(point.x, point.y) for point in dlib_68._predictor(grey, rectangle).parts()]
        assert np.array_equal(dlib_68.landmarks(frame, box), np.float32(expected))


def test_real_faces_several_gone_and_back(dlib_68):
    """Two copies of the photograph, the right one smaller; then none; then both, sizes swapped."""

    def pair(left: float, right: float) -> np.ndarray:
        frame = np.full((400, 800, 3), 128, np.uint8)
        for scale, x in ((left, 200), (right, 600)):
            part = cv2.warpAffine(PHOTO, motion(scale, 0, 200, 200), (400, 400))
            frame[:, x - 200 : x + 200] = part
        return frame

    nobody = np.full((400, 800, 3), 128, np.uint8)
    frames = [pair(1.3, 0.9), pair(1.3, 0.9), nobody, nobody, pair(0.9, 1.3), pair(0.9, 1.3)]
    faces = track(frames, dlib_68, every=2)
    assert found(faces) == "dcmmdc"
    assert all(face.points[:, 0].max() < 400 for face in faces if face.points is not None)


@pytest.mark.parametrize("x", [35, 605])
def test_a_face_partly_outside_is_still_aligned(dlib_68, x):
    frame = moved(motion(1, 0, x, 200))
    (face,) = track([frame], dlib_68, every=8)
    assert face.found == "detected"
    truth = apply(motion(1, 0, x, 200), dlib_68.landmarks(PHOTO, dlib_68.detect(PHOTO)[0]))
    assert (truth < 0).any() or (truth[:, 0] > 639).any()
    assert np.linalg.norm(face.points - truth, axis=1).mean() / eyes_apart(truth) < 0.06
    aligned = warp(np.maximum(frame, 1), face_transform(face.points, 224), 224)
    assert aligned.shape == (224, 224, 3)
    assert not (aligned == 0).all(-1).any()  # no black edge


# --- similarity -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_fit_equals_an_independent_umeyama(seed):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0, 50, (2, 4 + seed, 2))
    theirs = skimage.transform.estimate_transform("similarity", source, target).params[:2]
    assert np.allclose(fit(source, target), theirs, atol=1e-9)


def test_fit_finds_a_known_transform_exactly_and_never_mirrors():
    source = np.random.default_rng(1).normal(0, 30, (4, 2))
    matrix = motion(0.7, 2.5, 30, -4)
    assert np.allclose(fit(source, apply(matrix, source)), matrix)
    assert np.linalg.det(fit(source, source * [-1, 1])[:, :2]) > 0


def test_a_face_comes_to_lie_on_the_template_whatever_its_pose_in_the_plane(dlib_68):
    points = dlib_68.landmarks(PHOTO, dlib_68.detect(PHOTO)[0])
    upright = apply(face_transform(points, 224), anchors(points))
    for turn, scale in ((0.5, 1.7), (-1.2, 0.3)):
        turned = apply(motion(scale, turn, 10, 500), points)
        assert np.allclose(apply(face_transform(turned, 224), anchors(turned)), upright, atol=1e-3)
    assert np.abs(upright - TEMPLATE * 224).max() < 12
    assert abs(upright[0, 1] - upright[1, 1]) < 4  # eyes level
    mouth_and_chin = apply(face_transform(points, 224), points[[48, 54, 57, 8]])
    assert (mouth_and_chin > 0).all() and (mouth_and_chin < 224).all()


def test_a_blink_and_a_smile_do_not_move_the_face():
    points = Scripted.SHAPE * 200
    changed = points.copy()
    changed[[37, 38, 40, 41, 43, 44, 46, 47]] += [0, 6]  # lids
    changed[48:68] *= 1.1
    assert np.array_equal(face_transform(points, 224), face_transform(changed, 224))


@pytest.mark.parametrize("scale", [2.0, 1.0, 0.8, 0.5, 0.34, 0.11])
def test_warp_puts_every_pixel_where_the_matrix_says(scale):
    """On a picture whose colours are its coordinates, at any magnification, to half a pixel."""
    y, x = np.mgrid[:1000, :1200].astype(np.float32)
    frame = np.stack([x / 1200, y / 1000, (x + y) / 2200], -1) * 255
    matrix = motion(scale, 0.3, 32, 30)
    matrix[:, 2] += matrix[:, :2] @ (FACE - [600, 500])  # the picture's middle goes there
    out = warp(frame.round().astype(np.uint8), matrix, 64).astype(float)
    u, v = np.mgrid[:64, :64][::-1]
    there = apply(
        cv2.invertAffineTransform(matrix), np.stack([u, v], -1).reshape(-1, 2).astype(float)
    )
    expected = np.stack([there[:, 0] / 1200, there[:, 1] / 1000, there.sum(1) / 2200], -1) * 255
    inside = ((there > 5) & (there < [1195, 995])).all(1)
    assert inside.sum() > 2000
    assert np.abs(out.reshape(-1, 3) - expected)[inside].max() < 1.1


def test_warp_shrinks_by_the_mean_over_pixels():
    """A fine chessboard becomes even grey; sampling points of it would give black and white."""
    board = ((np.indices((300, 300)).sum(0) % 2) * 255).astype(np.uint8)
    frame = np.repeat(board[..., None], 3, -1)
    out = warp(frame, np.array([[0.25, 0, 0], [0, 0.25, 0]]), 64)
    assert np.abs(out.astype(int) - 127).max() <= 1


def test_warp_of_the_identity_changes_nothing_and_the_border_is_repeated():
    out = warp(PHOTO, np.eye(2, 3), 512)
    assert np.array_equal(out, PHOTO)
    shifted = warp(PHOTO, np.array([[1.0, 0, 40], [0, 1, 0]]), 512)
    assert np.array_equal(shifted[:, 40:], PHOTO[:, :-40])
    assert (shifted[:, :40] == PHOTO[:, :1]).all()


# --- settings -------------------------------------------------------------------------------


def test_settings_have_defaults_and_name_their_backend():
    assert parse_settings('{"backend": "dlib"}') == LandmarkSettings(
        "dlib", every=8, min_face_share=0.3
    )
    settings = parse_settings('{"backend": "face_alignment", "weights": {"landmarks": "a.pth"}}')
    assert settings == FaceAlignmentSettings(
        "face_alignment", detector="sfd", weights={"landmarks": "a.pth"}
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "backend is None; name one of dlib, face_alignment"),
        ({"backend": "mediapipe"}, "'mediapipe'"),
        ({"backend": "dlib", "detector": "sfd"}, "dlib has no detector. It has backend, every"),
        ({"backend": "dlib", "evry": 8}, "has no evry"),
        ({"backend": "dlib", "every": 0}, "every is 0"),
        ({"backend": "dlib", "every": 2.5}, "every is 2.5"),
        ({"backend": "dlib", "every": True}, "every is True"),
        ({"backend": "dlib", "min_face_share": 0}, "min_face_share is 0"),
        ({"backend": "dlib", "min_face_share": 30}, "min_face_share is 30"),
        (
            {"backend": "face_alignment", "detector": "folder"},
            "sfd, retinaface, blazeface, yunet, scrfd",
        ),
        ({"backend": "face_alignment", "device": "tpu"}, "device is 'tpu'"),
        ({"backend": "face_alignment", "weights": {"fan": "x"}}, "landmarks, detector"),
        ({"backend": "face_alignment", "weights": "x.pth"}, "weights is 'x.pth'"),
        (
            {"backend": "face_alignment", "detector": "blazeface", "weights": {"detector": "x"}},
            "belong together",
        ),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises(UserError, match="landmark settings") as error:
        parse_settings(json.dumps(values))
    assert message in str(error.value)
    with pytest.raises(UserError, match="not JSON"):
        parse_settings("backend: dlib")


# --- face-alignment -------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """An empty cache, and downloads that fail as they do on a cluster's nodes."""
    from urllib.error import URLError

    import face_alignment.utils

    def download(url, *args, **kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(face_alignment.utils, "download_url_to_file", download)


@pytest.mark.slow
def test_given_weights_equal_the_package_with_its_own(weights, monkeypatch):
    """The package loads them from its cache; ours, with an empty cache, from the paths."""
    import face_alignment

    monkeypatch.setenv("TORCH_HOME", str(weights["home"]))
    package = face_alignment.FaceAlignment(
        face_alignment.LandmarksType.TWO_D, device="cpu", face_detector="sfd", compile=False
    )
    monkeypatch.setenv("TORCH_HOME", "/nowhere")
    paths = {"landmarks": weights["landmarks"], "detector": weights["sfd"]}
    settings = {"backend": "face_alignment", "detector": "sfd", "weights": paths, "device": "cpu"}
    ours = open_backend(parse_settings(json.dumps(settings)))
    part = PHOTO[:96, 100:228]
    boxes = ours.detect(part)
    theirs = package.face_detector.detect_from_image(part)
    assert len(boxes) > 1
    assert boxes.dtype == np.float64
    assert np.array_equal(boxes, np.array(theirs))

    face = np.array([-20.0, 60.0, 120.0, 210.0, 0.9])  # partly outside
    points = ours.landmarks(PHOTO, face)
    (expected,) = package.get_landmarks(PHOTO, detected_faces=[face])
    assert points.shape == (68, 2)
    assert points.dtype == np.float32
    assert np.array_equal(points, expected)
    assert len(np.unique(points, axis=0)) > 10


@pytest.mark.slow
def test_the_network_sees_faces_of_several_frames_as_it_sees_one(weights):
    """Frames of several sizes, faces of several sizes and partly outside."""
    from dfer.faces.face_alignment_68 import FaceAlignment68

    paths = {"landmarks": weights["landmarks"], "detector": weights["sfd"]}
    backend = FaceAlignment68("sfd", paths, "cpu")
    frames = [PHOTO, moved(motion(0.7, 0.3, 320, 240)), PHOTO[:300, 100:420]]
    boxes = np.array([[-20, 60, 120, 210, 0.9], [280, 190, 350, 290, 0.8], [60, 60, 190, 210, 1.0]])
    together = backend.landmarks_of(frames, boxes)
    assert len(together) == 3
    for points, frame, box in zip(together, frames, boxes, strict=True):
        assert points.shape == (68, 2) and points.dtype == np.float32
        assert np.allclose(points, backend.landmarks(frame, box), atol=1e-3)


def test_weights_come_from_the_cache_where_no_path_is_given(weights, monkeypatch):
    from dfer.faces.face_alignment_68 import detector_files, weights_file

    monkeypatch.setenv("TORCH_HOME", str(weights["home"]))
    assert detector_files("sfd", {}) == {"path_to_detector": weights["sfd"]}
    url = "https://example.org/2DFAN4-11f355bf06.pth.tar"
    assert weights_file("landmarks", {}, url) == weights["landmarks"]


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["retinaface", "blazeface", "yunet", "scrfd"])
def test_other_detectors_give_boxes_of_the_same_form(weights, detector, monkeypatch):
    """From given paths, and from the cache as the package has it."""
    from dfer.faces.face_alignment_68 import FaceAlignment68, detector_files

    paths = {"landmarks": weights["landmarks"], "detector": weights[detector]}
    if detector == "blazeface":
        paths["anchors"] = weights["anchors"]
    boxes = FaceAlignment68(detector, paths, "cpu").detect(PHOTO[:96, 100:228])
    assert boxes.shape[0] > 0 and boxes.shape[1] == 5
    assert (boxes[:, 2:4] > boxes[:, :2]).all()
    assert ((boxes[:, 4] > 0.4) & (boxes[:, 4] <= 1)).all()
    monkeypatch.setenv("TORCH_HOME", str(weights["home"]))
    assert detector_files(detector, {})["path_to_detector"] == weights[detector]


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["yunet", "scrfd"])
def test_detectors_in_onnx_see_what_the_package_s_own_do(weights, detector, tmp_path):
    from face_alignment.detection import scrfd, yunet

    from dfer.faces.face_alignment_68 import FaceAlignment68

    paths = {"landmarks": weights["landmarks"], "detector": weights[detector]}
    ours = FaceAlignment68(detector, paths, "cpu")
    own = {"yunet": yunet, "scrfd": scrfd}[detector].FaceDetector("cpu", weights[detector])
    part = PHOTO[:96, 100:228]
    assert np.array_equal(ours.detect(part), np.array(own.detect_from_image(part)))
    (tmp_path / "text.onnx").write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"text\.onnx does not hold the weights"):
        FaceAlignment68(detector, paths | {"detector": str(tmp_path / "text.onnx")}, "cpu")


def test_a_detector_whose_package_is_missing_says_what_to_install(weights, monkeypatch):
    from dfer.faces.face_alignment_68 import FaceAlignment68

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    paths = {"landmarks": weights["landmarks"], "detector": weights["scrfd"]}
    with pytest.raises(UserError, match="pip install onnxruntime"):
        FaceAlignment68("scrfd", paths, "cpu")


@pytest.mark.usefixtures("no_network")
def test_missing_weights_say_what_to_fetch_and_where_to_name_it(weights, tmp_path):
    from dfer.faces.face_alignment_68 import FaceAlignment68

    with pytest.raises(UserError, match=r"s3fd-619a316812\.pth .*cannot be downloaded.*detector"):
        FaceAlignment68("sfd", {}, "cpu")
    with pytest.raises(UserError, match=r"2DFAN4-11f355bf06.*`weights: \{landmarks: path\}`"):
        FaceAlignment68("sfd", {"detector": weights["sfd"]}, "cpu")
    absent = str(tmp_path / "absent.pth")
    with pytest.raises(UserError, match=r"weights\.detector is .*absent\.pth.*no such file"):
        FaceAlignment68("sfd", {"detector": absent}, "cpu")


class Bomb:
    """What a pickle from outside could do."""

    def __reduce__(self):
        return (warnings.warn, ("unpickled!",))


@pytest.mark.slow
def test_files_that_are_not_these_weights_are_named_and_never_unpickled(weights, tmp_path):
    import torch

    from dfer.faces.face_alignment_68 import FaceAlignment68

    (tmp_path / "text.pth").write_text("<html>404</html>")
    (tmp_path / "empty.pth").touch()
    torch.save({"state": Bomb()}, tmp_path / "bomb.pth")
    good = {"landmarks": weights["landmarks"], "detector": weights["sfd"]}
    with warnings.catch_warnings(action="error"):
        for key in good:
            for file in ("text.pth", "empty.pth", "bomb.pth"):
                with pytest.raises(UserError, match=rf"{file} does not hold the weights"):
                    FaceAlignment68("sfd", good | {key: str(tmp_path / file)}, "cpu")
    with pytest.raises(UserError, match="does not hold the weights"):
        FaceAlignment68("sfd", good | {"landmarks": weights["sfd"]}, "cpu")


def test_a_gpu_that_is_not_there_is_an_error():
    import torch

    from dfer.faces.face_alignment_68 import FaceAlignment68

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="no GPU"):
        FaceAlignment68("sfd", {}, "cuda")
