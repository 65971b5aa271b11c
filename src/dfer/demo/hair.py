"""Hair as shells around the skull: rows of points from a crown to the hairline and, if long, down.

Each style is a surface whose rows follow the strands, so a texture of strands along the rows is
enough: it decides what is covered (loose outer shells, ragged ends) and how light a strand is.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dfer.demo.identities import Identity
from dfer.demo.raster import ray_lengths

CENTRE = np.array((0.0, 0.2, -0.75))  # of the skull, dm
COLUMNS = 56
TEXTURE = (128, 512)  # rows along a strand, columns around the head

# The edge of the scalp as seen from CENTRE: azimuth from the front, angle from an axis that leans
# back by 25°. Front, temple, sideburn, above the ear, behind it, nape. Degrees.
AXIS_LEAN = 25
EDGE_AZIMUTH = (0, 20, 40, 56, 68, 78, 88, 104, 133, 180)
EDGE_ANGLE = (80, 81, 85, 97, 112, 108, 93, 99, 115, 123)


@dataclass(frozen=True)
class Style:
    """A way of wearing hair. Lengths in dm.

    Attributes:
        lean: how far the crown (where strands start) leans back from upright, degrees.
        part: how far the crown lies to one side, degrees.
        volume: height of the outermost hair above the skull.
        loose: distance of the loose outer shells from each other.
        fall: how far hair hangs below ear level at sides and back; 0 ends at the hairline.
        curl: 0 straight … 1 tight curls.
    """

    lean: float
    part: float
    volume: float
    loose: float
    fall: float
    curl: float


STYLES = {
    "buzz": Style(25, 0, 0.02, 0.008, 0, 0.6),
    "short": Style(28, 12, 0.09, 0.014, 0, 0.15),
    "side": Style(-15, 28, 0.13, 0.014, 0, 0.0),
    "curly": Style(20, 0, 0.24, 0.035, 0, 1.0),
    "bob": Style(-12, 10, 0.15, 0.010, 0.95, 0.0),
    "long": Style(-15, 14, 0.14, 0.011, 1.9, 0.1),
    "tied": Style(62, 0, 0.06, 0.008, 0, 0.0),
}
SHELLS = 3


@dataclass(frozen=True)
class Hair:
    """Geometry in rest and textures of one head of hair.

    Attributes:
        vertices: (k, 3) float32, dm. tangents: (k, 3) float32, along the strands.
        uv: (k, 2) float32 into the textures; each shell has its own band of rows.
        triangles: (m, 3) int32.
        cover, shade: (SHELLS · 128, 512) uint8: where there is hair, and how light it is.
    """

    vertices: np.ndarray
    tangents: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    cover: np.ndarray
    shade: np.ndarray


def edge_of(person: Identity) -> np.ndarray:
    """The person's `EDGE_ANGLE`: hairlines differ, and recede with age in men."""
    rng = np.random.default_rng([*person.paint_seed, 10])
    angle = np.array(EDGE_ANGLE, np.float64)
    angle[:3] += rng.uniform(-4, 3)
    recession = rng.uniform(0, 5) + (14 * max(0.0, person.age - 0.3) if person.sex == "male" else 0)
    angle[1:4] -= recession * np.array((0.8, 1.0, 0.5))
    return angle


def inside_edge(directions: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Angle (radians) by which unit directions (…, 3) from CENTRE lie inside the scalp's edge."""
    axis, front = _frame(AXIS_LEAN, 0)[:2]
    azimuth = np.arctan2(directions[..., 0], directions @ front)
    limit = np.interp(np.abs(np.degrees(azimuth)), EDGE_AZIMUTH, edge)
    return np.radians(limit) - np.arccos(np.clip(directions @ axis, -1, 1))


def grow(person: Identity, skin: np.ndarray) -> Hair | None:
    """The hair of a person whose skin has these triangles (m, 3); None if bald."""
    if person.hair_style == "bald":
        return None
    style = STYLES[person.hair_style]
    rng = np.random.default_rng([*person.paint_seed, 11])
    side = rng.choice([-1, 1])
    azimuth = np.linspace(-np.pi, np.pi, COLUMNS + 1)
    angle = _ends(style, side, azimuth, edge_of(person))

    rows = 14
    share = np.linspace(0, 1, rows)[:, None]
    directions = _directions(style, side, azimuth[None], share * angle[None])
    radius = _skull(person, skin, directions)
    inside = inside_edge(directions, edge_of(person))
    if style.fall:
        inside = np.maximum(inside, _smooth(np.abs(azimuth) / 0.4 - 2.2)[None] * 0.3)
    lift = np.sqrt(_smooth(inside / 0.5)) * style.volume
    clumps = _noise(rng, (rows, COLUMNS + 1), (4, 1.5)) * (1 + 2 * style.curl)
    lift = 0.012 + lift * (1 + 0.12 * _seamless(clumps))
    cap = CENTRE + directions * (radius + lift)[..., None]
    sheet = np.concatenate([cap, _hanging(style, cap[-1], rng)]) if style.fall else cap

    out = sheet - CENTRE
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    shells = [sheet + out * style.loose * shell for shell in range(SHELLS)]
    along = np.linspace(0, 1, len(sheet))
    around = np.linspace(0, 1, COLUMNS + 1)
    band = np.stack(np.broadcast_arrays(around[None], along[:, None] * 0.998), axis=-1)
    uv = [(band + np.array((0, shell))) / (1, SHELLS) for shell in range(SHELLS)]
    tangents = [np.gradient(shell, axis=0) for shell in shells]
    grid = _grid(len(sheet), COLUMNS + 1)
    per_shell = sheet.shape[0] * sheet.shape[1]
    tangent = np.concatenate([t.reshape(-1, 3) for t in tangents])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    cover, shade = _textures(style, rng)
    return Hair(
        vertices=np.concatenate([shell.reshape(-1, 3) for shell in shells]).astype(np.float32),
        tangents=tangent.astype(np.float32),
        uv=np.concatenate([part.reshape(-1, 2) for part in uv]).astype(np.float32),
        triangles=np.concatenate([grid + shell * per_shell for shell in range(SHELLS)]),
        cover=cover,
        shade=shade,
    )


def _frame(lean: float, part: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Crown axis, front and right of a frame that leans back and to one side, in degrees."""
    lean, part = np.radians((lean, part))
    axis = np.array((np.sin(part), np.cos(lean) * np.cos(part), -np.sin(lean) * np.cos(part)))
    front = np.array((0.0, np.sin(lean), np.cos(lean)))
    front -= (front @ axis) * axis
    front /= np.linalg.norm(front)
    return axis, front, np.cross(axis, front)


def _directions(style: Style, side: int, azimuth: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Unit directions (…, 3) of azimuth and angle from the style's crown."""
    axis, front, right = _frame(style.lean, side * style.part)
    around = np.cos(azimuth)[..., None] * front + np.sin(azimuth)[..., None] * right
    return np.cos(angle)[..., None] * axis + np.sin(angle)[..., None] * around


def _ends(style: Style, side: int, azimuth: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Angle (columns,) from the crown at which each column of strands leaves the scalp."""
    angles = np.radians(np.arange(2, 175, 0.5))
    directions = _directions(style, side, azimuth[None], angles[:, None])
    if style.fall:  # hair that hangs leaves the skull above the ears
        level = edge.copy()
        level[4:] = np.minimum(level[4:], (100, 98, 92, 92, 92, 92))
        edge = level
    outside = inside_edge(directions, edge) < 0
    outside[-1] = True
    ends = angles[outside.argmax(axis=0)]
    kernel = np.array((1, 2, 3, 2, 1)) / 9
    return np.convolve(np.r_[ends[-3:-1], ends, ends[1:3]], kernel, mode="valid")


def _skull(person: Identity, skin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Distance of the skin from CENTRE along directions, smoothed (the ears are no skull)."""
    flat = directions.reshape(-1, 3)
    vertices = person.vertices.astype(np.float64)
    near = skin[(np.abs(vertices[skin]).max(axis=(1, 2)) < 2.2)]
    near = near[vertices[near][:, :, 1].min(axis=1) > -1.2]
    radius = ray_lengths(CENTRE, flat, vertices, near).reshape(directions.shape[:-1])
    sideways = np.abs(directions[..., 0])
    ear = (sideways > 0.9) & (directions[..., 1] < 0.15)
    radius[ear] = np.minimum(radius[ear], 0.8)
    return cv2.GaussianBlur(radius, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)


def _hanging(style: Style, ends: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows (r, columns, 3) that hang down from the scalp's edge `ends` (columns, 3)."""
    behind = np.degrees(np.arctan2(np.abs(ends[:, 0]), ends[:, 2] - CENTRE[2]))
    length = style.fall * _smooth((behind - 48) / 22)
    length *= 1 + 0.05 * _seamless(_noise(rng, (1, len(ends)), (0, 2)))[0]
    share = np.linspace(0, 1, 10)[1:, None]
    out = ends - CENTRE
    out[:, 1] = 0
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    bulge = 0.10 * np.sin(np.pi * np.minimum(share * 1.2, 1)) - 0.06 * share**2
    waves = style.curl * 0.3 * np.sin(9 * share + 3 * np.arange(len(ends)) / 7)
    rows = ends + ((bulge + waves * share * 0.2) * (length / 1.2))[..., None] * out
    rows[..., 1] -= share * length
    return rows


def _textures(style: Style, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    height, width = TEXTURE
    along = np.linspace(0, 1, height)[:, None]
    covers, shades = [], []
    for shell in range(SHELLS):
        spread = (2.0, 1.6) if style.curl > 0.5 else (14.0, 0.9)
        strands = _noise(rng, TEXTURE, spread)
        clumps = _noise(rng, TEXTURE, (spread[0] * 1.5, 6.0))
        ragged = _noise(rng, (1, width), (0, 1.5)) * 0.3 + _noise(rng, (1, width), (0, 6)) * 0.5
        end = 1 - 0.05 * (1 + shell) * (1 + ragged)
        cover = along < end
        if shell:
            cover &= strands + 0.7 * clumps > 0.25 + 0.55 * (shell - 1) - 0.9 * style.curl
        covers.append(np.where(cover, 255, 0).astype(np.uint8))
        shade = 122 * (1 + 0.11 * strands + (0.13 - 0.05 * style.curl) * clumps + 0.05 * shell)
        shades.append(np.clip(shade, 30, 255).astype(np.uint8))
    return np.concatenate(covers), np.concatenate(shades)


def _noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma: tuple[float, float]
) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1; `sigma` along rows' and columns' axis."""
    noise = rng.standard_normal(shape)
    noise = cv2.GaussianBlur(
        noise, (0, 0), sigmaX=max(sigma[1], 0.1), sigmaY=max(sigma[0], 0.1)
    ).reshape(shape)
    return (noise - noise.mean()) / (noise.std() + 1e-9)


def _seamless(rows: np.ndarray) -> np.ndarray:
    """Rows (r, columns) whose last column equals the first."""
    blend = np.linspace(0, 1, rows.shape[1])[None] ** 8
    return rows * (1 - blend) + rows[:, :1] * blend


def _grid(rows: int, columns: int) -> np.ndarray:
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel()
    down, right = columns, 1
    first = np.stack([corner, corner + down, corner + down + right], axis=1)
    second = np.stack([corner, corner + down + right, corner + right], axis=1)
    return np.concatenate([first, second]).astype(np.int32)


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
