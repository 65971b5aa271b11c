"""Frames of a person: pose the mesh, draw it, shade it, and put it before the background."""

from dataclasses import dataclass

import cv2
import numpy as np

from dfer.demo import hair as hair_styles
from dfer.demo.expressions import Weights
from dfer.demo.face_model import FaceModel, Part
from dfer.demo.identities import Identity
from dfer.demo.paint import Atlas, folding, paint
from dfer.demo.raster import FAR, add_sparse, rasterise, vertex_normals
from dfer.demo.scene import Pose, Scene
from dfer.demo.shading import Light, Moment, Surface, shade

SUPERSAMPLING = 1.3  # drawn pixels a pixel, each way
CAMERA = 12.0  # distance from the face, dm
AIM = np.array((0.0, -0.22, 0.0), np.float32)  # the point of the head at the frame's centre
PIVOT = np.array((0.0, -1.1, -0.85), np.float32)  # the head turns about it
NECK = (-1.95, -1.1)  # the neck bends between these heights
SHADOW_MAP = 176  # texels each way, over …
SHADOW_REACH = 1.6  # … this far (dm) from the middle of the head
HEAD_MIDDLE = np.array((0.0, -0.2, -0.5), np.float32)
SHOULDERS_FOLLOW = 0.2  # how much of the head's turning


@dataclass(frozen=True)
class Head:
    """A person ready to be drawn: rest geometry and textures (see `Surface`)."""

    rest: np.ndarray  # (n, 3) float32, hair last
    tangents: np.ndarray  # (n, 3) float32, along strands; 0 elsewhere
    follows: np.ndarray  # (n, 1) float32: 1 turns with the head, 0 stays with the shoulders
    surface: Surface
    hair_cover: np.ndarray
    lash_cover: np.ndarray
    no_cover: np.ndarray  # lashes cast no shadow
    width: float  # of the face, dm
    age: float


def build_head(model: FaceModel, atlas: Atlas, person: Identity) -> Head:
    """Put a person's bones, skin, hair and garment together."""
    body = len(model.vertices)
    rest, triangles, parts = person.vertices.copy(), model.triangles, model.parts
    cloth = np.unique(triangles[parts == Part.CLOTH])
    normals = np.empty_like(rest)
    vertex_normals(rest, triangles, normals)
    rest[cloth] += 0.05 * normals[cloth]
    uv = atlas.uv.copy()
    uv[cloth] = _neckline(person, rest[cloth])
    lashes = np.unique(triangles[parts == Part.LASH])
    uv[lashes] = _lash_uv(model, lashes)
    masks = np.stack([model.masks[name] for name in ("lips", "inside-mouth", "eyelids")], axis=1)
    tangents = np.zeros_like(rest)
    hair_cover = hair_shade = np.zeros((1, 1), np.uint8)
    place = model.vertices
    hair = hair_styles.grow(person, triangles[parts == Part.SKIN])
    if hair is not None:
        rest = np.concatenate([rest, hair.vertices])
        tangents = np.concatenate([tangents, hair.tangents])
        uv = np.concatenate([uv, hair.uv])
        triangles = np.concatenate([triangles, hair.triangles + np.int32(body)])
        parts = np.concatenate([parts, np.full(len(hair.triangles), Part.HAIR, np.int32)])
        masks = np.concatenate([masks, np.zeros((len(hair.vertices), 3), np.float32)])
        place = np.concatenate([place, hair.vertices])
        hair_cover, hair_shade = hair.cover, hair.shade
    low, high = NECK
    bend = np.clip((rest[:, 1:2] - low) / (high - low), 0, 1)
    red = np.array((0.80, 0.50, 0.52)) if person.sex == "female" else np.array((0.80, 0.60, 0.60))
    surface = Surface(
        triangles=np.ascontiguousarray(triangles),
        parts=parts,
        place=np.ascontiguousarray(place),
        uv=np.ascontiguousarray(uv, np.float32),
        masks=np.ascontiguousarray(masks, np.float32),
        skin=paint(atlas, person),
        folds=atlas.folds,
        hair_shade=hair_shade,
        eyes=person.eyes.astype(np.float64),
        hair=linear(person.hair),
        iris=linear(person.iris),
        lips=linear(person.skin * red),
        garment=linear(person.garment),
    )
    return Head(
        rest=np.ascontiguousarray(rest, np.float32),
        tangents=np.ascontiguousarray(tangents, np.float32),
        follows=(bend * bend * (3 - 2 * bend)).astype(np.float32),
        surface=surface,
        hair_cover=hair_cover,
        lash_cover=_lash_cover(person),
        no_cover=np.zeros((1, 1), np.uint8),
        width=_face_width(model, person),
        age=person.age,
    )


def linear(colour: np.ndarray) -> np.ndarray:
    """Linear 0…1 of sRGB 0…255, with a gamma of 2."""
    return np.clip(np.asarray(colour, np.float64) / 255, 0, 1) ** 2


def _neckline(person: Identity, points: np.ndarray) -> np.ndarray:
    """How far (dm) points of the garment lie below its neckline, as the first of two columns."""
    low, slope = person.neckline
    edge = low + slope * np.minimum(np.abs(points[:, 0]), 0.35)
    edge += 0.2 * np.clip((-0.6 - points[:, 2]) / 0.5, 0, 1)
    return np.stack([edge - points[:, 1], np.zeros(len(points))], axis=1)


def _lash_uv(model: FaceModel, lashes: np.ndarray) -> np.ndarray:
    """Upper (0.25) or lower (0.75) lid, and from root (0) to tip (1)."""
    lids = model.vertices[model.masks["eyelids"] > 0.3]
    points = model.vertices[lashes]
    away = np.linalg.norm(points[:, None] - lids[None], axis=-1).min(axis=1)
    below = points[:, 1] < np.interp(np.abs(points[:, 0]), (0.18, 0.5), (-0.02, 0.02))
    return np.stack([np.where(below, 0.75, 0.25), np.clip(away / 0.06, 0, 1)], axis=1)


def _lash_cover(person: Identity) -> np.ndarray:
    """How far lashes reach, (32, 2) uint8: a frame shows no single hairs, only a dark fringe."""
    reach = (0.6, 0.12) if person.sex == "female" else (0.35, 0.0)  # upper, lower lid
    return np.where(np.linspace(0, 1, 32)[:, None] < reach, 255, 0).astype(np.uint8)


def _face_width(model: FaceModel, person: Identity) -> float:
    """Width (dm) between the cheeks at the height of the nose, in front of the ears."""
    place = model.vertices
    cheeks = (np.abs(place[:, 1] + 0.25) < 0.15) & (place[:, 2] > -0.55) & (place[:, 2] < 0.3)
    return float(np.ptp(person.vertices[cheeks, 0]))


class Renderer:
    """Draws heads into square frames of `size` pixels. Keeps its buffers, not its past.

    What frames of one take share is worked out once for each `Scene` object in a row.
    """

    def __init__(self, model: FaceModel, size: int) -> None:
        self.model = model
        self.size = size
        self.drawn = round(size * SUPERSAMPLING)
        shape = (self.drawn, self.drawn)
        self.depth = np.empty(shape, np.float32)
        self.owner = np.empty(shape, np.int32)
        self.weights = np.empty((*shape, 2), np.float32)
        shadow = (SHADOW_MAP, SHADOW_MAP)
        self.shadow_map = np.empty(shadow, np.float32)
        self.shadow_owner = np.empty(shadow, np.int32)
        self.shadow_weights = np.empty((*shadow, 2), np.float32)
        self.scene: Scene | None = None
        self.background = np.empty(0, np.float32)  # of `scene`, as large as is drawn

    def frame(
        self, head: Head, weights: Weights, pose: Pose, scene: Scene, rng: np.random.Generator
    ) -> np.ndarray:
        """One frame, (size, size, 3) uint8 RGB; `rng` makes the sensor's noise."""
        still = head.rest.copy()
        for unit, weight in weights.items():
            if weight:
                target = self.model.units[unit]
                add_sparse(still, target.index, target.delta, np.float32(weight))
        posed, turn = _pose(still, head.follows, pose)
        points = self._project(posed, head, scene)
        normals = np.empty_like(posed)
        vertex_normals(posed, head.surface.triangles, normals)
        self.depth.fill(FAR)
        self.owner.fill(-1)
        surface = head.surface
        rasterise(
            points,
            surface.triangles,
            surface.parts,
            surface.uv,
            head.hair_cover,
            head.lash_cover,
            self.depth,
            self.owner,
            self.weights,
        )
        lit = self._light_up(posed, head, scene.key)
        light = Light(
            scene.key, scene.key_colour, scene.fill, scene.fill_colour, scene.sky, scene.ground
        )
        gaze = np.array((*pose.gaze, 1.0))
        moment = Moment(
            still,
            normals,
            np.ascontiguousarray(head.tangents @ turn.T),
            gaze / np.linalg.norm(gaze),
            folding(weights, head.age),
            lit,
            self.shadow_map,
        )
        if scene is not self.scene:
            self.scene = scene
            self.background = cv2.resize(scene.background, (self.drawn, self.drawn))
        image = self.background.copy()
        shade(surface, light, moment, self.owner, self.weights, self._occlusion(), image)
        image = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)
        grain = rng.standard_normal((self.size, self.size, 1), np.float32)
        grain *= np.float32(scene.noise)
        image += grain
        return np.clip(np.rint(image, out=image), 0, 255, out=image).astype(np.uint8)

    def _project(self, posed: np.ndarray, head: Head, scene: Scene) -> np.ndarray:
        """Perspective: columns and rows in drawn pixels, and depth."""
        offset = posed - AIM
        focal = scene.face_share * self.drawn / head.width
        scale = focal * CAMERA / (CAMERA - offset[:, 2])
        points = np.empty_like(offset)
        points[:, 0] = (0.5 + scene.shift[0]) * self.drawn + scale * offset[:, 0]
        points[:, 1] = (0.5 + scene.shift[1]) * self.drawn - scale * offset[:, 1]
        points[:, 2] = offset[:, 2]
        return points

    def _light_up(self, posed: np.ndarray, head: Head, key: np.ndarray) -> np.ndarray:
        """Fill the shadow map, what the key light sees; returns points (n, 3) in its view."""
        right = np.cross((0.0, 1.0, 0.0), key)
        right /= np.linalg.norm(right)
        view = np.stack([right, -np.cross(key, right), key]).astype(np.float32)
        points = (posed - HEAD_MIDDLE) @ view.T
        points[:, :2] = (points[:, :2] / SHADOW_REACH + 1) * (SHADOW_MAP / 2)
        self.shadow_map.fill(FAR)
        surface = head.surface
        rasterise(
            points,
            surface.triangles,
            surface.parts,
            surface.uv,
            head.hair_cover,
            head.no_cover,
            self.shadow_map,
            self.shadow_owner,
            self.shadow_weights,
        )
        return points

    def _occlusion(self) -> np.ndarray:
        """Share of ambient light at each pixel: less where the surroundings are nearer.

        The depth buffer minus its blurred self (Luft et al. 2006, "Image enhancement by unsharp
        masking the depth buffer").
        """
        depth = np.maximum(self.depth, np.float32(-2.5))
        radius = self.drawn // 24 * 2 + 1
        around = cv2.blur(cv2.blur(depth, (radius, radius)), (radius, radius))
        nearer = np.maximum(np.subtract(around, depth, out=around), 0, out=around)
        return np.clip(1 - np.float32(2.2) * nearer, 0.15, 1, out=nearer)


def _pose(still: np.ndarray, follows: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Turn the head on its neck: (n, 3) posed vertices, and the head's rotation (3, 3)."""
    head = _rotation(pose.yaw, pose.pitch, pose.roll)
    share = SHOULDERS_FOLLOW
    body = _rotation(share * pose.yaw, 0.0, share * pose.roll)
    around = still - PIVOT
    turned = follows * (around @ head.T) + (1 - follows) * (around @ body.T)
    return turned + PIVOT, head


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return (about_z @ about_x @ about_y).astype(np.float32)
