"""The colour of every pixel: skin, eyes, teeth, hair and cloth under a key light and a fill light.

Colours are linear RGB with a gamma of 2 (sRGB nearly), so squares and roots convert them.

Indices are unsigned where it is hot, so that numba does not look for negative ones.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

# The values of face_model.Part, written out: numba's cache of compiled code notices an edit of this
# file, not of another. For the same reason nothing compiled is imported here.
SKIN, LEFT_EYE, RIGHT_EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, LASH, CLOTH, HAIR = range(9)


class Surface(NamedTuple):
    """What does not change in a person's takes. Colours (3,) are linear 0…1.

    triangles (m, 3) and parts (m,) int32; place (n, 3) template position; uv (n, 2) atlas texels
    of skin or cover texture coordinates of the rest; masks (n, 3) lips, mouth, eyelids; skin
    (512, 512, 3) and folds (512, 512, 6) uint8; hair_shade (h, w) uint8; eyes (2, 3) centres.
    """

    triangles: np.ndarray
    parts: np.ndarray
    place: np.ndarray
    uv: np.ndarray
    masks: np.ndarray
    skin: np.ndarray
    folds: np.ndarray
    hair_shade: np.ndarray
    eyes: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lips: np.ndarray
    garment: np.ndarray


class Light(NamedTuple):
    """Directions (3,) towards the lights and their linear colours (3,)."""

    key: np.ndarray
    key_colour: np.ndarray
    fill: np.ndarray
    fill_colour: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


class Moment(NamedTuple):
    """One frame: still (n, 3) expression before the head turns; normals and tangents (n, 3) after;
    gaze (3,) unit vector relative to the head; folding (6,) depth of each skin fold; lit (n, 3)
    column, row and depth of each vertex as seen from the key light, and what that light sees,
    the depth map `shadow_map` (h, w).
    """

    still: np.ndarray
    normals: np.ndarray
    tangents: np.ndarray
    gaze: np.ndarray
    folding: np.ndarray
    lit: np.ndarray
    shadow_map: np.ndarray


@njit(cache=True, error_model="numpy")
def _step(x, low, high):
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3 - 2 * t)


@njit(cache=True, error_model="numpy")
def _power(x, doublings):
    """max(x, 0) to the power of 2 ** doublings."""
    x = max(0.0, x)
    for _ in range(doublings):
        x *= x
    return x


@njit(cache=True, error_model="numpy")
def _bilinear(image, u, v):
    """The value of (h, w) `image` at u, v in 0…1 (v downwards)."""
    height, width = image.shape
    column = min(width - 1.001, max(0.0, u * width - 0.5))
    row = min(height - 1.001, max(0.0, v * height - 0.5))
    x, y = int(column), int(row)
    right, down = column - x, row - y
    upper = image[y, x] * (1 - right) + image[y, x + 1] * right
    lower = image[y + 1, x] * (1 - right) + image[y + 1, x + 1] * right
    return upper * (1 - down) + lower * down


@njit(cache=True, error_model="numpy")
def _unshadowed(shadow_map, column, row, depth):
    """Share of the key light, 0…1, that reaches a point (soft, from four texels of the map)."""
    height, width = shadow_map.shape
    column, row = column - 0.5, row - 0.5
    if not (0 <= column < width - 1 and 0 <= row < height - 1):
        return 1.0
    x, y = np.uint64(column), np.uint64(row)
    right, down = column - int(column), row - int(row)
    one = np.uint64(1)
    a, b = shadow_map[y, x] - depth, shadow_map[y, x + one] - depth
    c, d = shadow_map[y + one, x] - depth, shadow_map[y + one, x + one] - depth
    if max(a, b, c, d) <= 0.05:
        return 1.0
    share = (1 - right) * (1 - down) * _step(a, 0.05, 0.14)
    share += right * (1 - down) * _step(b, 0.05, 0.14)
    share += (1 - right) * down * _step(c, 0.05, 0.14)
    share += right * down * _step(d, 0.05, 0.14)
    return 1 - share


@njit(cache=True, error_model="numpy")
def _eye(surface, part, x, y, z, gaze, colour):
    """Linear albedo of an eyeball at the head position x, y, z; returns its shininess."""
    centre = surface.eyes[0] if part == LEFT_EYE else surface.eyes[1]
    x, y, z = x - centre[0], y - centre[1], z - centre[2]
    scale = 1 / np.sqrt(x * x + y * y + z * z)
    x, y, z = x * scale, y * scale, z * scale
    across = min(1.0, max(-1.0, x * gaze[0] + y * gaze[1] + z * gaze[2]))
    angle = np.arccos(across)
    iris = 1 - _step(angle, 0.42, 0.49)
    pupil = 1 - _step(angle, 0.155, 0.20)
    limbus = _step(angle, 0.33, 0.45)
    spokes = np.arctan2(y - gaze[1], x - gaze[0])
    fibres = 1 + 0.18 * np.sin(23 * spokes) + 0.12 * np.sin(41 * spokes + 1.3)
    corner = min(1.0, 1.6 * max(0.0, angle - 0.45))
    lid_shadow = 1 - 0.45 * _step(y, 0.0, 0.5)
    for c in range(3):
        sclera = 0.70 - (0.05, 0.22, 0.22)[c] * corner
        ring = surface.iris[c] * fibres * (1.1 - 0.85 * limbus)
        value = sclera + iris * (ring - sclera)
        value += pupil * (0.004 - value)
        colour[c] = value * lid_shadow


@njit(cache=True, error_model="numpy")
def _teeth(x, y, upper, colour):
    """Linear albedo of teeth and gums at a template position."""
    across = abs(x)
    edge = across  # distance to the nearest gap between teeth
    for gap in (0.085, 0.152, 0.225, 0.29):
        edge = min(edge, abs(across - gap))
    gap = np.exp(-((edge / 0.007) ** 2))
    scallop = 0.02 * gap
    gum = _step(y + scallop, -0.555, -0.535)
    if not upper:
        gum = 1 - _step(y - scallop, -0.735, -0.715)
    white = 1 - 0.35 * gap * (1 - gum) - 2.2 * max(0.0, across - 0.1)
    for c in range(3):
        tooth = (0.74, 0.69, 0.58)[c] * max(0.1, white)
        colour[c] = tooth + gum * ((0.42, 0.13, 0.13)[c] - tooth)


@njit(cache=True, error_model="numpy")
def _skin(skin, folds, lip_colour, u, v, folding, lips, mouth, lids, colour):
    """Linear albedo of skin at atlas texel u, v."""
    size = skin.shape[0]
    column = min(size - 2, max(0, int(u - 0.5)))
    row = min(size - 2, max(0, int(v - 0.5)))
    right, down = min(1.0, max(0.0, u - 0.5 - column)), min(1.0, max(0.0, v - 0.5 - row))
    fold = 0.0
    for k in range(folding.shape[0]):
        if folding[k] > 0:
            fold += folding[k] * folds[row, column, k] / 255
    kept = 1 - min(0.5, fold)
    lips = 0.75 * _step(lips, 0.35, 0.9)
    for c in range(3):
        upper = skin[row, column, c] * (1 - right) + skin[row, column + 1, c] * right
        lower = skin[row + 1, column, c] * (1 - right)
        lower += skin[row + 1, column + 1, c] * right
        value = (upper * (1 - down) + lower * down) / 255
        value = value * value
        value += lips * (lip_colour[c] - value)
        value += mouth * ((0.16, 0.035, 0.035)[c] - value)
        value *= 1 - 0.25 * lids * (1 - lips)
        colour[c] = value * (kept if c == 0 else kept * (1 - 0.25 * fold))


@njit(cache=True, error_model="numpy")
def shade(surface, light, moment, owner, weights, occlusion, image):
    """Colour every drawn pixel of `image` (h, w, 3) float32, sRGB 0…255; leave the others.

    `occlusion` (h, w) float32 is the share of ambient light that reaches the pixel.
    """
    height, width = owner.shape
    colour = np.zeros(3)
    key, fill = light.key, light.fill
    hx, hy, hz = key[0], key[1], key[2] + 1
    scale = 1 / np.sqrt(hx * hx + hy * hy + hz * hz)
    hx, hy, hz = hx * scale, hy * scale, hz * scale
    triangles, parts, uv, masks = surface.triangles, surface.parts, surface.uv, surface.masks
    n, p, g, q = moment.normals, moment.still, moment.tangents, moment.lit
    skin, folds, hair_shade, lip_colour = (
        surface.skin,
        surface.folds,
        surface.hair_shade,
        surface.lips,
    )
    folding, shadow_map = moment.folding, moment.shadow_map
    for y in range(height):
        for x in range(width):
            t = owner[y, x]
            if t < 0:
                continue
            t = np.uint64(t)
            a, b, c = (
                np.uint64(triangles[t, 0]),
                np.uint64(triangles[t, 1]),
                np.uint64(triangles[t, 2]),
            )
            w1, w2 = weights[y, x, 0], weights[y, x, 1]
            w0 = 1 - w1 - w2
            nx = w0 * n[a, 0] + w1 * n[b, 0] + w2 * n[c, 0]
            ny = w0 * n[a, 1] + w1 * n[b, 1] + w2 * n[c, 1]
            nz = w0 * n[a, 2] + w1 * n[b, 2] + w2 * n[c, 2]
            scale = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
            nx, ny, nz = nx * scale, ny * scale, nz * scale
            u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
            v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
            part = parts[t]
            open_to_light = occlusion[y, x]
            gloss, sharp = 0.0, 4  # strength and tightness of highlights
            wrap = 0.0  # how far light bleeds round the terminator, more so in red
            if part == SKIN:
                lips = w0 * masks[a, 0] + w1 * masks[b, 0] + w2 * masks[c, 0]
                mouth = w0 * masks[a, 1] + w1 * masks[b, 1] + w2 * masks[c, 1]
                lids = w0 * masks[a, 2] + w1 * masks[b, 2] + w2 * masks[c, 2]
                _skin(skin, folds, lip_colour, u, v, folding, lips, mouth, lids, colour)
                gloss, sharp, wrap = 0.05 + 0.06 * lips, 4, 0.28
            elif part in (LEFT_EYE, RIGHT_EYE):
                px = w0 * p[a, 0] + w1 * p[b, 0] + w2 * p[c, 0]
                py = w0 * p[a, 1] + w1 * p[b, 1] + w2 * p[c, 1]
                pz = w0 * p[a, 2] + w1 * p[b, 2] + w2 * p[c, 2]
                _eye(surface, part, px, py, pz, moment.gaze, colour)
                gloss, sharp, wrap = 0.9, 7, 0.15
            elif part in (UPPER_TEETH, LOWER_TEETH):
                place = surface.place
                px = w0 * place[a, 0] + w1 * place[b, 0] + w2 * place[c, 0]
                py = w0 * place[a, 1] + w1 * place[b, 1] + w2 * place[c, 1]
                _teeth(px, py, part == UPPER_TEETH, colour)
                gloss, sharp, wrap = 0.12, 5, 0.2
                open_to_light *= open_to_light
            elif part == TONGUE:
                colour[0], colour[1], colour[2] = 0.36, 0.10, 0.10
                gloss, sharp, wrap = 0.08, 5, 0.2
                open_to_light *= open_to_light
            elif part == LASH:
                colour[0], colour[1], colour[2] = 0.012, 0.008, 0.006
            elif part == CLOTH:
                hem = 0.75 + 0.25 * _step(u, 0.02, 0.05)
                for k in range(3):
                    colour[k] = surface.garment[k] * hem
                wrap = 0.1
            else:
                lightness = _bilinear(hair_shade, u, v) / 128
                for k in range(3):
                    colour[k] = surface.hair[k] * lightness * lightness

            lit = nx * key[0] + ny * key[1] + nz * key[2]
            filled = max(0.0, nx * fill[0] + ny * fill[1] + nz * fill[2])
            up = 0.5 + 0.5 * ny
            if part == HAIR:  # hair scatters light around its strands
                tx = w0 * g[a, 0] + w1 * g[b, 0] + w2 * g[c, 0]
                ty = w0 * g[a, 1] + w1 * g[b, 1] + w2 * g[c, 1]
                tz = w0 * g[a, 2] + w1 * g[b, 2] + w2 * g[c, 2]
                along = tx * key[0] + ty * key[1] + tz * key[2]
                half = tx * hx + ty * hy + tz * hz
                lit = np.sqrt(max(0.0, 1 - along * along)) * (0.25 + 0.75 * max(0.0, lit))
                shine = np.sqrt(max(0.0, 1 - half * half))
                shine = (
                    0.06
                    * _power(shine, 5)
                    * _step(nx * key[0] + ny * key[1] + nz * key[2], -0.2, 0.6)
                )
            else:
                shine = gloss * _power(nx * hx + ny * hy + nz * hz, sharp)
                if part == SKIN:
                    shine += 0.04 * _power(1 - nz, 2)
            column = w0 * q[a, 0] + w1 * q[b, 0] + w2 * q[c, 0]
            row = w0 * q[a, 1] + w1 * q[b, 1] + w2 * q[c, 1]
            depth = w0 * q[a, 2] + w1 * q[b, 2] + w2 * q[c, 2]
            shadow = 0.85 * (1 - _unshadowed(shadow_map, column, row, depth))
            direct = (0.45 + 0.55 * open_to_light) * (1 - shadow)
            for k in range(3):
                bleed = wrap * (1.0, 0.55, 0.45)[k]
                strength = max(0.0, (lit + bleed) / (1 + bleed))
                value = light.key_colour[k] * strength * direct + light.fill_colour[k] * filled
                ambient = light.ground[k] + up * (light.sky[k] - light.ground[k])
                value = colour[k] * (value + ambient * open_to_light)
                value += shine * light.key_colour[k] * direct
                image[y, x, k] = 255 * np.sqrt(min(1.0, value))
