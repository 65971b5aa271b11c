"""Where a face comes to lie in its picture: in pixels, found again in what was cut out."""

import cv2
import numpy as np
import pytest
import skimage.data
import skimage.transform

from dfer.clips.store import FACE_SIZE
from dfer.faces.dlib_68 import Dlib68
from dfer.faces.similarity import face_transform, warp

# In a face of 224 × 224 pixels: eyes level, 76 apart, in the middle from left to right, a little
# above the middle; bridge and base of the nose below, between them.
LEFT_EYE, RIGHT_EYE = (73.9, 80.6), (150.1, 80.6)
BRIDGE, NOSE_BASE = (112.0, 98.6), (112.0, 126.8)
PLACES = np.array([LEFT_EYE, RIGHT_EYE, BRIDGE, NOSE_BASE])
LANDMARKS = [(36, 39), (42, 45), (27, 28, 29, 30), (31, 32, 33, 34, 35)]  # 300-W, of each place


def middles(points: np.ndarray) -> np.ndarray:
    """The four places (4, 2) as 68 landmarks (68, 2) have them."""
    return np.array([np.mean([points[i] for i in indices], axis=0) for indices in LANDMARKS])


def test_stored_faces_have_the_size_that_the_papers_image_tower_takes():
    from open_clip import get_model_config

    assert get_model_config("ViT-B-32-quickgelu")["vision_cfg"]["image_size"] == FACE_SIZE == 224


@pytest.mark.parametrize(("scale", "turn"), [(1.0, 0.0), (1.7, 0.35), (0.9, -1.2)])
def test_marks_on_a_face_come_to_lie_at_their_places(scale, turn):
    """A dot at each place of a face that is moved, turned and scaled; its centre is found again."""
    pose = skimage.transform.SimilarityTransform(scale=scale, rotation=turn, translation=(400, 350))
    dots = pose(PLACES - PLACES.mean(0))
    frame = np.zeros((800, 800, 3), np.uint8)
    y, x = np.mgrid[:800, :800]
    points = np.full((68, 2), np.nan)
    for dot, indices in zip(dots, LANDMARKS, strict=True):
        spot = np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / (2 * (3 * scale) ** 2))
        frame = np.maximum(frame, (255 * spot[..., None]).astype(np.uint8))
        points[list(indices)] = dot
    face = warp(frame, face_transform(points, 224), 224)[..., 0].astype(float)
    for place in PLACES:
        left, top = (place - 8).astype(int)
        near = face[top : top + 17, left : left + 17]
        v, u = np.mgrid[:17, :17]
        centre = [left + (near * u).sum() / near.sum(), top + (near * v).sum() / near.sum()]
        assert near.max() > 200
        assert np.abs(centre - place).max() < 0.4


def test_the_eyes_of_a_photograph_lie_where_an_independent_fit_puts_them():
    """Found again in the extracted face by dlib; and by scikit-image's least-squares fit."""
    dlib_68, photo = Dlib68(), skimage.data.astronaut()
    points = dlib_68.landmarks(photo, dlib_68.detect(photo)[0]).astype(float)
    face = warp(photo, face_transform(points, 224), 224)
    found = middles(dlib_68.landmarks(face, dlib_68.detect(face)[0]))

    theirs = skimage.transform.estimate_transform("similarity", middles(points), PLACES)
    assert np.abs(found - theirs(middles(points))).max() < 1.5
    other = skimage.transform.warp(photo, theirs.inverse, output_shape=(224, 224), mode="edge")
    assert np.abs(cv2.absdiff(face, (255 * other).round().astype(np.uint8))).mean() < 2
    assert np.abs(found[0] - [75, 79.4]).max() < 1.5  # by hand: the eye on the picture's left
    assert np.abs(found[1] - [148.2, 79.7]).max() < 1.5
