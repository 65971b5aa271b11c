"""What is drawn at random for a clip or a still before it is rendered: who asks gets the same."""

import numpy as np

from dfer.demo.dataset import CLASSES, KINDS, Clip, Kind
from dfer.demo.expressions import Weights, apex, course
from dfer.demo.scene import Pose, Scene, poses, scene, still_pose


def random_numbers(kind: Kind, seed: int, clip: Clip, take: int) -> np.random.Generator:
    """The random numbers of one take, by what it is and not by when it is rendered."""
    label = CLASSES.index(clip.label)
    return np.random.default_rng([seed, KINDS[kind], clip.identity, 2, label, take])


def draw_clip(
    rng: np.random.Generator, label: str, frames: int, size: int
) -> tuple[Scene, list[tuple[Weights, Pose]]]:
    """The surroundings of a clip of square frames, and the face units and pose of each frame."""
    surroundings = scene(rng, size)
    return surroundings, list(zip(course(rng, label, frames), poses(rng, frames), strict=True))


def draw_still(rng: np.random.Generator, label: str, size: int) -> tuple[Scene, Weights, Pose]:
    """The surroundings, face units and pose of a still at an expression's apex."""
    return scene(rng, size), apex(rng, label), still_pose(rng)
