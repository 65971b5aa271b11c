"""Skin as an image: tone, blotches, brows, beard, and the places where skin folds.

The head is unrolled around a vertical axis into an atlas. Features are placed by the position of a
texel on the template face, so that a brow moves with the mesh's own brow, whoever wears it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dfer.demo import hair
from dfer.demo.face_model import FaceModel, Part
from dfer.demo.identities import Identity
from dfer.demo.raster import FAR, rasterise

SIZE = 512
AXIS_Z = -0.75  # of the unrolling, dm
WIDEST = 1.95  # radians to each side
TOP, BOTTOM = 1.35, -2.7  # dm

# Folds of the skin that an expression deepens, one channel each (`folding` weighs them).
FOLDS = ("glabella", "forehead", "nasolabial", "nose bridge", "crow's feet", "chin")


@dataclass(frozen=True)
class Atlas:
    """Where each texel lies on the head.

    Attributes:
        uv: (n, 2) float32, texel coordinates of each vertex.
        covered: (SIZE, SIZE) bool.
        owner, weights: triangle and barycentric weights of each texel (see `rasterise`).
        place: (SIZE, SIZE, 3) float64, position on the template, dm.
        folds: (SIZE, SIZE, 6) uint8, how deep each of FOLDS is.
    """

    uv: np.ndarray
    covered: np.ndarray
    owner: np.ndarray
    weights: np.ndarray
    triangles: np.ndarray
    place: np.ndarray
    folds: np.ndarray

    def positions(self, vertices: np.ndarray) -> np.ndarray:
        """Position (SIZE, SIZE, 3) of each texel on a head with these vertices."""
        corners = vertices[self.triangles[self.owner]]
        second, third = self.weights[..., 0, None], self.weights[..., 1, None]
        return (
            corners[:, :, 0] * (1 - second - third)
            + corners[:, :, 1] * second
            + corners[:, :, 2] * third
        )


def unroll(model: FaceModel) -> Atlas:
    """The atlas of a face model."""
    x, y, z = model.vertices.astype(np.float64).T
    across, depth = z - AXIS_Z, np.hypot(x, z - AXIS_Z)
    u = (np.arctan2(x, across) / WIDEST + 1) / 2 * SIZE
    v = (TOP - y) / (TOP - BOTTOM) * SIZE
    points = np.stack([u, v, depth], axis=1).astype(np.float32)
    skin = np.ascontiguousarray(model.triangles[model.parts == Part.SKIN])
    skin = skin[np.ptp(points[skin, 0], axis=1) < SIZE / 4]  # not across the seam at the back
    buffers = (
        np.full((SIZE, SIZE), FAR, np.float32),
        np.full((SIZE, SIZE), -1, np.int32),
        np.zeros((SIZE, SIZE, 2), np.float32),
    )
    nothing = np.zeros((1, 1), np.uint8)
    uv = np.zeros((len(points), 2), np.float32)
    rasterise(points, skin, np.zeros(len(skin), np.int32), uv, nothing, nothing, *buffers)
    owner, weights = buffers[1:]
    covered = owner >= 0
    atlas = Atlas(points[:, :2].copy(), covered, owner, weights, skin, np.empty(0), np.empty(0))
    place = atlas.positions(model.vertices.astype(np.float64))
    place[~covered] = 99.0
    folds = np.round(255 * np.stack(_folds(place), axis=-1)).astype(np.uint8)
    return Atlas(atlas.uv, covered, owner, weights, skin, place, folds)


def _folds(place: np.ndarray) -> list[np.ndarray]:
    """Depth 0…1 of each of FOLDS at positions on the template."""
    x, y, z = np.abs(place[..., 0]), place[..., 1], place[..., 2]
    front = z > -0.5
    glabella = _bump(x - 0.068, 0.028) * _bump(y - 0.24, 0.09)
    forehead = (0.5 + 0.5 * np.cos(62 * y + 9 * x**2)) ** 3 * _bump(y - 0.55, 0.15)
    forehead *= np.exp(-((x / 0.36) ** 2))
    crease = 0.165 + 0.34 * (-0.31 - y)
    nasolabial = _bump(x - crease, 0.026) * _bump(y + 0.5, 0.19) * (y < -0.2)
    bridge = (0.5 + 0.5 * np.cos(78 * y + 26 * x)) * _bump(y + 0.01, 0.10) * _bump(x - 0.05, 0.08)
    crow = (0.5 + 0.5 * np.cos(95 * (y - 0.5 * (x - 0.5)))) * _bump(x - 0.6, 0.07)
    crow *= _bump(y - 0.0, 0.11)
    chin = _bump(y + 0.98, 0.035) * np.exp(-((x / 0.16) ** 4))
    return [fold * front for fold in (glabella, forehead, nasolabial, bridge, crow, chin)]


def paint(atlas: Atlas, person: Identity) -> np.ndarray:
    """The skin of a person: (SIZE, SIZE, 3) uint8, sRGB."""
    rng = np.random.default_rng([*person.paint_seed, 20])
    place = atlas.place
    x, y, z = np.abs(place[..., 0]), place[..., 1], place[..., 2]
    front = z > -0.55
    skin = np.zeros((SIZE, SIZE, 3)) + person.skin
    light = 1 - person.tone / 5

    blotches = 0.6 * _noise(rng, 24) + 0.4 * _noise(rng, 6)
    skin *= 1 + 0.025 * blotches[..., None] + 0.022 * _noise(rng, 0.8)[..., None]
    red = np.array((1.03, 0.90, 0.90))
    warm = 0.8 * _bump(x - 0.36, 0.17) * _bump(y + 0.35, 0.16)  # cheeks
    warm += 0.8 * _bump(x, 0.13) * _bump(y + 0.36, 0.14)  # nose
    warm += 0.5 * _bump(x, 0.2) * _bump(y + 1.0, 0.12) + 0.5 * (z < -0.55) * (x > 0.7)  # chin, ears
    warm *= rng.uniform(0.4, 1.0) * (0.35 + 0.65 * light) * (1 + 0.3 * _noise(rng, 9))
    skin *= 1 + np.clip(warm, 0, 1.4)[..., None] * (red - 1)
    sockets = _bump(x - 0.31, 0.2) * _bump(y + 0.04, 0.13) * rng.uniform(0.35, 0.9)
    skin *= 1 + (sockets * front)[..., None] * (np.array((0.90, 0.86, 0.88)) - 1)
    if light > 0.6 and rng.random() < 0.3:
        freckles = np.clip(_noise(rng, 0.9) - 1.1, 0, 1) * _bump(x - 0.25, 0.25)
        freckles *= _bump(y + 0.25, 0.2)
        skin *= 1 - 0.22 * freckles[..., None] * np.array((0.6, 0.9, 1.0))
    spots = np.clip(_noise(rng, 1.6) - 3.2 + 0.4 * person.age, 0, 0.8)
    skin *= 1 - 0.4 * (spots * front)[..., None]
    for _ in range(rng.integers(0, 3)):  # moles
        mx, my = rng.uniform(-0.5, 0.5), rng.uniform(-0.9, 0.6)
        mole = np.exp(-(((place[..., 0] - mx) ** 2 + (y - my) ** 2) / 0.011**2)) * front
        skin *= 1 - 0.4 * mole[..., None]
    age_folds = atlas.folds[..., [1, 2, 4, 0]] / 255 * (0.7, 1.0, 0.8, 0.6)
    skin *= 1 - 0.11 * np.clip(person.age - 0.2, 0, 1) * age_folds.sum(axis=-1)[..., None]

    positions = atlas.positions(person.vertices.astype(np.float64))
    skin = _blend(skin, person.hair * 0.75, _scalp(person, rng, positions, atlas.covered))
    if person.beard:
        skin = _blend(skin, 0.7 * person.brow + 0.15 * person.skin, _beard(person, rng, x, y, z))
    skin = _blend(skin, person.brow * 0.85, _brows(person, rng, x, y, place[..., 0]) * front)
    return np.clip(np.round(skin), 0, 255).astype(np.uint8)


def _scalp(
    person: Identity, rng: np.random.Generator, positions: np.ndarray, covered: np.ndarray
) -> np.ndarray:
    """How much hair, 0…1, covers the skin of the head's scalp."""
    out = positions - hair.CENTRE
    out /= np.linalg.norm(out, axis=-1, keepdims=True) + 1e-9
    inside = hair.inside_edge(out, hair.edge_of(person)) + 0.02 * _noise(rng, 1.4)
    density = {"bald": 0.12, "buzz": 0.8}.get(person.hair_style, 0.95)
    return density * np.clip(inside / 0.22 + 0.35, 0, 1) * covered


def _brows(
    person: Identity, rng: np.random.Generator, x: np.ndarray, y: np.ndarray, side: np.ndarray
) -> np.ndarray:
    """Cover 0…1 of two brows made of strokes that sweep outwards."""
    height, arch, half_width, density = person.brow_shape
    share = np.clip((x - 0.095) / 0.48, -0.2, 1.2)
    line = 0.262 + height + arch * np.sin(np.pi * np.clip(share, 0, 1)) + 0.03 * share
    line -= 0.10 * np.clip(share - 0.6, 0, 1)
    width = half_width * (1 - 0.65 * np.clip(share - 0.25, 0, 1))
    away = (y - line) / width
    lean = np.radians(12 + 40 * np.clip(1 - 2.2 * share, 0, 1))
    across = (np.cos(lean) * (y - line) - np.sin(lean) * x) * 150
    strokes = cv2.remap(
        _noise(rng, 0.9).astype(np.float32),
        (across + np.where(side > 0, 160, 350)).astype(np.float32),
        (24 * x + 7).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    shape = np.exp(-(np.abs(away) ** 3)) * _rise(share, -0.05, 0.2) * _rise(-share, -1.0, 0.18)
    return density * np.clip(shape * (0.95 + 0.35 * strokes), 0, 1)


def _beard(
    person: Identity, rng: np.random.Generator, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Cover 0…1 of moustache, cheeks and chin."""
    jaw = _rise(-y, 0.42, 0.25) * _rise(y, -1.3, 0.2) * _rise(x - 0.55 * (y + 1.0), 0.1, 0.2)
    jaw = np.maximum(jaw, _rise(x, 0.56, 0.14) * _rise(-y, 0.0, 0.45) * _rise(y, -1.2, 0.2))
    chin = _bump(x, 0.32) * _bump(y + 1.0, 0.2)
    lip = _bump(y + 0.52, 0.055) * np.exp(-((x / 0.25) ** 4))
    mouth = np.exp(-((x / 0.30) ** 4) - ((y + 0.70) / 0.12) ** 4)
    cover = np.maximum(np.maximum(jaw, chin), 1.1 * lip) * (1 - mouth * (1 - lip))
    grain = 0.85 + 0.2 * _noise(rng, 0.8) + 0.07 * _noise(rng, 6)
    return np.clip((0.2 + 0.6 * person.beard) * cover * grain, 0, 0.92) * (z > -0.75)


def folding(weights: dict[str, float], age: float) -> np.ndarray:
    """How deep (6,) each of FOLDS is under these face units."""

    def both(unit: str) -> float:
        return max(0.0, (weights.get(f"{unit}Left", 0.0) + weights.get(f"{unit}Right", 0.0)) / 2)

    raised = max(0.6 * weights.get("browInnerUp", 0.0), both("browOuterUp"))
    smile, sneer = both("mouthSmile"), both("noseSneer")
    depth = (
        0.65 * both("browDown"),
        0.42 * raised,
        max(sneer, 0.75 * smile, 0.5 * both("mouthUpperUp")),
        0.8 * sneer,
        0.7 * max(smile, 0.7 * both("cheekSquint")),
        0.8 * weights.get("mouthShrugLower", 0.0),
    )
    return np.clip(np.array(depth) * (0.3 + 0.25 * age), 0, 0.55).astype(np.float32)


def _bump(x: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((x / width) ** 2))


def _rise(x: np.ndarray, start: float, length: float) -> np.ndarray:
    """0 below `start`, 1 from `start + length` on."""
    t = np.clip((x - start) / length, 0, 1)
    return t * t * (3 - 2 * t)


def _noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """(SIZE, SIZE) noise of standard deviation 1, smooth over `sigma` texels."""
    coarse = max(1, int(sigma // 2))
    side = SIZE // coarse
    noise = cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), max(sigma / coarse, 0.4))
    noise = cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return noise / noise.std()


def _blend(below: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> np.ndarray:
    return below + cover[..., None] * (colour - below)
