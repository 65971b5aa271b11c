"""A take's surroundings: light, background, framing, and the head's motion, drawn from a seed."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Scene:
    """One take's surroundings. Directions point towards the light; colours are linear RGB factors.

    Attributes:
        background: (height, width, 3) float32, sRGB 0…255, out of focus.
        face_share: width of the face over the width of the frame.
        shift: (x, y) of the head in the frame, as shares of its width.
        noise: standard deviation of the sensor's noise, grey levels.
    """

    key: np.ndarray
    key_colour: np.ndarray
    fill: np.ndarray
    fill_colour: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    background: np.ndarray
    face_share: float
    shift: tuple[float, float]
    noise: float


@dataclass(frozen=True)
class Pose:
    """Rotations in radians (yaw to the viewer's right, pitch up, roll clockwise) and gaze."""

    yaw: float
    pitch: float
    roll: float
    gaze: tuple[float, float]  # right, up, relative to the head


FACE_SHARE = (0.53, 0.62)


def scene(rng: np.random.Generator, size: int) -> Scene:
    """Light, background and framing of one take, for square frames of `size` pixels."""
    side = rng.choice([-1.0, 1.0])
    key = np.array([side * rng.uniform(0.1, 0.75), rng.uniform(0.15, 0.75), 1.0])
    fill = np.array([-side * rng.uniform(0.5, 1.2), rng.uniform(-0.1, 0.3), 0.8])
    warmth = rng.uniform(-0.08, 0.10)
    warm = np.array([1 + warmth, 1.0, 1 - warmth])
    exposure = rng.uniform(0.85, 1.12)
    return Scene(
        key=key / np.linalg.norm(key),
        key_colour=exposure * rng.uniform(0.62, 0.85) * warm,
        fill=fill / np.linalg.norm(fill),
        fill_colour=exposure * rng.uniform(0.12, 0.28) * (2 - warm),
        sky=exposure * rng.uniform(0.24, 0.34) * (1.5 - warm / 2),
        ground=exposure * rng.uniform(0.12, 0.2) * warm,
        background=_background(rng, size),
        face_share=rng.uniform(*FACE_SHARE),
        shift=(rng.uniform(-0.05, 0.05), rng.uniform(-0.03, 0.04)),
        noise=rng.uniform(1.0, 2.5),
    )


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """A room out of focus: a wall with a gradient, some blurred furniture and lights."""
    small = 64
    wall = rng.uniform(60, 195) + rng.uniform(-22, 22, 3)
    rows = np.linspace(-1, 1, small)[:, None, None]
    columns = np.linspace(-1, 1, small)[None, :, None]
    image = np.zeros((small, small, 3)) + wall
    image += rng.uniform(-25, 25) * rows + rng.uniform(-25, 25) * columns
    for _ in range(rng.integers(2, 6)):  # shelves, frames, door posts
        x, y = rng.integers(-8, small, 2)
        width, height = rng.integers(6, 30, 2)
        tint = rng.uniform(-45, 45) + rng.uniform(-15, 15, 3)
        image[max(y, 0) : y + height * 2, max(x, 0) : x + width] += tint
    image = cv2.GaussianBlur(np.clip(image, 15, 240), (0, 0), rng.uniform(2.0, 5.0))
    for _ in range(rng.integers(0, 5)):  # lamps as discs of confusion
        centre = tuple(int(v) for v in rng.integers(0, small, 2))
        disc = cv2.circle(np.zeros((small, small), np.float32), centre, rng.integers(2, 6), 1.0, -1)
        image += rng.uniform(10, 55) * cv2.GaussianBlur(disc, (0, 0), 0.8)[..., None]
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 8, 248).astype(np.float32)


def still_pose(rng: np.random.Generator) -> Pose:
    """The pose of a single image."""
    yaw, pitch, roll = rng.standard_normal(3) * (0.16, 0.07, 0.05)
    return Pose(*_limit(yaw, pitch, roll), gaze=_gaze(rng.standard_normal(2), yaw))


def poses(rng: np.random.Generator, frames: int) -> list[Pose]:
    """The poses of a clip: a resting pose and a slow sway around it."""
    rest = rng.standard_normal(3) * (0.15, 0.06, 0.04)
    sway = rng.uniform(0.02, 0.15) * np.array([1.0, 0.5, 0.3])
    rate = np.array([3.0, 4.0, 3.0]) * rng.uniform(0.7, 1.3, 3)
    phase = rng.uniform(0, 2 * np.pi, 3)
    look = rng.standard_normal(2)
    clip = []
    for frame in range(frames):
        time = frame / max(frames - 1, 1)
        yaw, pitch, roll = rest + sway * np.sin(rate * time + phase)
        clip.append(Pose(*_limit(yaw, pitch, roll), gaze=_gaze(look, yaw)))
    return clip


def _limit(yaw: float, pitch: float, roll: float) -> tuple[float, float, float]:
    return float(np.clip(yaw, -0.5, 0.5)), float(np.clip(pitch, -0.2, 0.2)), float(roll)


def _gaze(look: np.ndarray, yaw: float) -> tuple[float, float]:
    """Mostly straight on, turned back half-way towards the camera when the head turns."""
    return float(0.08 * look[0] - 0.5 * yaw), float(0.05 * look[1])
