"""Compiled geometry: blending targets, normals, and a z-buffer rasteriser. One thread, exact order.

Nothing here uses fast-math, so results do not depend on how often or where a kernel was compiled
on the same kind of machine.
"""

import numpy as np
from numba import njit

FAR = np.float32(-1e9)

# The values of face_model.Part, written out: numba's cache of compiled code notices an edit of this
# file, not of another.
LASH, CLOTH, HAIR = 6, 7, 8


@njit(cache=True, error_model="numpy")
def add_sparse(vertices, index, delta, weight):
    """vertices[index] += weight · delta, for (n, 3), (k,), (k, 3)."""
    for i in range(index.shape[0]):
        for axis in range(3):
            vertices[index[i], axis] += weight * delta[i, axis]


@njit(cache=True, error_model="numpy")
def vertex_normals(vertices, triangles, normals):
    """Area-weighted normals (n, 3), unit length, written into `normals`."""
    normals[:] = 0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for i in range(normals.shape[0]):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-12
        for axis in range(3):
            normals[i, axis] /= length


@njit(cache=True, error_model="numpy")
def rasterise(points, triangles, parts, uv, hair_cover, lash_cover, depth, owner, weights):
    """Draw triangles into a z-buffer; back faces of the mesh are left out (hair has no back).

    Args:
        points: (n, 3) float32: column, row (pixels, downwards) and depth (larger is nearer).
        triangles, parts: (m, 3) and (m,) int32.
        uv: (n, 2) float32. Lash and hair triangles are drawn only where their cover texture,
            addressed by uv in 0…1, is above one half; cloth only where u >= 0.
        hair_cover, lash_cover: (height, width) uint8.
        depth, owner, weights: (h, w) float32, (h, w) int32, (h, w, 2) float32, written:
            depth, triangle, and the barycentric weights of its second and third corner.
    """
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0 = points[a, 0], points[a, 1]
        x1, y1 = points[b, 0], points[b, 1]
        x2, y2 = points[c, 0], points[c, 1]
        part = parts[t]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area > -1e-7 and part != HAIR and part != LASH:
            continue
        if abs(area) < 1e-7:
            continue
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(width - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        if left > right or top > bottom:
            continue
        scale = 1 / area
        z0, z1, z2 = points[a, 2], points[b, 2], points[c, 2]
        step1, step2 = (y2 - y0) * scale, -(y1 - y0) * scale
        for y in range(top, bottom + 1):
            px, py = left + 0.5 - x0, y + 0.5 - y0
            start1 = (px * (y2 - y0) - (x2 - x0) * py) * scale
            start2 = ((x1 - x0) * py - px * (y1 - y0)) * scale
            first, last = _span(start1, step1, 0, right - left)
            first, last = _span(start2, step2, first, last)
            first, last = _span(1 - start1 - start2, -step1 - step2, first, last)
            for k in range(first, last + 1):
                w1, w2 = start1 + k * step1, start2 + k * step2
                w0 = 1 - w1 - w2
                z = w0 * z0 + w1 * z1 + w2 * z2
                x = left + k
                if z > depth[y, x]:
                    visible = True
                    if part >= LASH:
                        u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
                        v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
                        if part == CLOTH:
                            visible = u >= 0
                        elif part == HAIR:
                            visible = nearest(hair_cover, u, v) > 127
                        else:
                            visible = nearest(lash_cover, u, v) > 127
                    if visible:
                        depth[y, x] = z
                        owner[y, x] = t
                        weights[y, x, 0] = w1
                        weights[y, x, 1] = w2


@njit(cache=True, error_model="numpy")
def _span(start, step, first, last):
    """The part of first … last in which start + k · step >= -1e-5."""
    start += 1e-5
    if step > 0:
        if start < 0:
            first = max(first, int(np.ceil(-start / step)))
    elif start < 0:
        last = first - 1
    elif step < 0:
        last = min(last, int(min(start / -step, 1e6)))
    return first, last


@njit(cache=True, error_model="numpy")
def nearest(image, u, v):
    """The value of (h, w) `image` at u, v in 0…1 (v downwards)."""
    row = min(image.shape[0] - 1, max(0, int(v * image.shape[0])))
    column = min(image.shape[1] - 1, max(0, int(u * image.shape[1])))
    return image[row, column]


@njit(cache=True, error_model="numpy")
def ray_lengths(origin, directions, vertices, triangles):
    """Distance (k,) from `origin` to the outermost triangle along each unit direction (k, 3)."""
    found = np.zeros(directions.shape[0])
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        e1 = vertices[b] - vertices[a]
        e2 = vertices[c] - vertices[a]
        to = origin - vertices[a]
        q = np.array(
            (
                to[1] * e1[2] - to[2] * e1[1],
                to[2] * e1[0] - to[0] * e1[2],
                to[0] * e1[1] - to[1] * e1[0],
            )
        )
        lift = e2[0] * q[0] + e2[1] * q[1] + e2[2] * q[2]
        for k in range(directions.shape[0]):
            d0, d1, d2 = directions[k, 0], directions[k, 1], directions[k, 2]
            p0 = d1 * e2[2] - d2 * e2[1]
            p1 = d2 * e2[0] - d0 * e2[2]
            p2 = d0 * e2[1] - d1 * e2[0]
            det = e1[0] * p0 + e1[1] * p1 + e1[2] * p2
            if abs(det) < 1e-12:
                continue
            u = (to[0] * p0 + to[1] * p1 + to[2] * p2) / det
            v = (d0 * q[0] + d1 * q[1] + d2 * q[2]) / det
            if u >= -1e-6 and v >= -1e-6 and u + v <= 1 + 1e-6:
                found[k] = max(found[k], lift / det)
    return found
