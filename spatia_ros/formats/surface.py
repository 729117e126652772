"""Triangles sampled so densely that no voxel of their surface is missed, and the colour of any point on them.

Rows run along a triangle's longest edge, both ends of each row and of the stack of rows included, and
neither rows nor samples are farther apart than asked: with half a voxel, every voxel that a triangle
crosses over more than a corner holds a sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import prange

from spatia_ros.formats.mesh_file import Mesh
from spatia_ros.kernels import njit
from spatia_ros.types import Float32, UInt8


@dataclass(frozen=True, slots=True)
class Paint:
    """Every texture with its smaller copies in one flat array, and how fine each is on each triangle.

    Args:
        texels: uint8 [N, 3]. levels: int64 [M, L, 3], first texel, height, width (the last repeats).
        density: float32 [F], texels per metre at full size.
    """

    texels: UInt8
    levels: np.ndarray
    density: Float32

    @classmethod
    def of(cls, mesh: Mesh) -> Paint:
        """The paint of a mesh's textures."""
        chunks: list[np.ndarray] = []
        tables, at = [], 0
        for image in mesh.textures:
            table = []
            while True:
                chunks.append(np.ascontiguousarray(image).reshape(-1, 3))
                table.append((at, *image.shape[:2]))
                at += len(chunks[-1])
                if max(image.shape[:2]) == 1:
                    break
                smaller = (max(image.shape[1] // 2, 1), max(image.shape[0] // 2, 1))
                image = np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), np.uint8)
            tables.append(table)
        deepest = max(map(len, tables))
        levels = np.array([t + [t[-1]] * (deepest - len(t)) for t in tables], np.int64)
        return cls(np.concatenate(chunks), levels, _density(mesh))


def _density(mesh: Mesh) -> Float32:
    corner, uv = mesh.corners(), mesh.uv[mesh.faces]
    metres = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=-1)
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    texels = np.array([t.shape[0] * t.shape[1] for t in mesh.textures])[mesh.material]
    return np.sqrt(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) * texels / np.maximum(metres, 1e-12)).astype(np.float32)


@njit(cache=True)
def _texel(texels: np.ndarray, level: np.ndarray, u: float, v: float) -> tuple[float, float, float]:
    """Bilinear, repeating, at one size of a texture."""
    start, height, width = level[0], level[1], level[2]
    x, y = (u - np.floor(u)) * width - 0.5, (v - np.floor(v)) * height - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    s, t = x - x0, y - y0
    xa, xb, ya, yb = x0 % width, (x0 + 1) % width, y0 % height, (y0 + 1) % height
    a, b = start + ya * width + xa, start + ya * width + xb
    c, d = start + yb * width + xa, start + yb * width + xb
    wa, wb, wc, wd = (1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t
    return (
        wa * texels[a, 0] + wb * texels[b, 0] + wc * texels[c, 0] + wd * texels[d, 0],
        wa * texels[a, 1] + wb * texels[b, 1] + wc * texels[c, 1] + wd * texels[d, 1],
        wa * texels[a, 2] + wb * texels[b, 2] + wc * texels[c, 2] + wd * texels[d, 2],
    )


@njit(cache=True)
def colour_at(
    texels: np.ndarray, levels: np.ndarray, u: float, v: float, texels_across: float
) -> tuple[float, float, float]:
    """Colour 0..255 of a texture at (u, v), v upwards, averaged over about ``texels_across`` texels."""
    lod = min(max(np.log2(max(texels_across, 1e-6)), 0.0), levels.shape[0] - 1.0)
    low = int(lod)
    t = lod - low
    r, g, b = _texel(texels, levels[low], u, 1.0 - v)
    if t < 0.02:
        return r, g, b
    r1, g1, b1 = _texel(texels, levels[min(low + 1, levels.shape[0] - 1)], u, 1.0 - v)
    return r + t * (r1 - r), g + t * (g1 - g), b + t * (b1 - b)


@njit(cache=True)
def _layout(corner: np.ndarray, step_m: float) -> tuple[int, int, float]:
    """Which corner faces the longest edge, how many rows of steps fit, and the length of that edge."""
    apex, base2 = 0, -1.0
    for k in range(3):
        p, q = corner[(k + 1) % 3], corner[(k + 2) % 3]
        edge2 = (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + (p[2] - q[2]) ** 2
        if edge2 > base2:
            apex, base2 = k, edge2
    base = np.sqrt(base2)
    e, f = corner[(apex + 2) % 3] - corner[(apex + 1) % 3], corner[apex] - corner[(apex + 1) % 3]
    x, y, z = e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2], e[0] * f[1] - e[1] * f[0]
    height = np.sqrt(x * x + y * y + z * z) / max(base, 1e-12)
    return apex, max(int(np.ceil(height / step_m)), 1), base


@njit(cache=True)
def _count(corner: np.ndarray, step_m: float) -> int:
    _, rows, base = _layout(corner, step_m)
    total = 0
    for i in range(rows + 1):
        total += int(np.ceil(base * (1.0 - i / rows) / step_m)) + 1
    return total


@njit(cache=True, parallel=True)
def sample_counts(corners: np.ndarray, step_m: float) -> np.ndarray:
    """int64 [F]: how many samples :func:`sample` takes of each triangle float64 [F, 3, 3]."""
    out = np.empty(corners.shape[0], np.int64)
    for f in prange(corners.shape[0]):
        out[f] = _count(corners[f], step_m)
    return out


@njit(cache=True)
def _sample_face(
    corner: np.ndarray, uv: np.ndarray, tint: np.ndarray, levels: np.ndarray, density: float, texels: np.ndarray,
    step_m: float, at: int, xyz: np.ndarray, rgb: np.ndarray,
) -> None:
    apex, rows, base = _layout(corner, step_m)
    p, q = (apex + 1) % 3, (apex + 2) % 3
    for i in range(rows + 1):
        t = i / rows
        columns = int(np.ceil(base * (1.0 - t) / step_m))
        for j in range(columns + 1):
            s = j / columns if columns else 0.0
            wp, wq, wr = (1.0 - t) * (1.0 - s), (1.0 - t) * s, t
            u = wp * uv[p, 0] + wq * uv[q, 0] + wr * uv[apex, 0]
            v = wp * uv[p, 1] + wq * uv[q, 1] + wr * uv[apex, 1]
            colour = colour_at(texels, levels, u, v, step_m * density)
            for k in range(3):
                xyz[at, k] = wp * corner[p, k] + wq * corner[q, k] + wr * corner[apex, k]
                tone = (wp * tint[p, k] + wq * tint[q, k] + wr * tint[apex, k]) / 255.0
                rgb[at, k] = np.uint8(min(colour[k] * tone, 255.0) + 0.499)
            at += 1


@njit(cache=True, parallel=True)
def sample(
    corners: np.ndarray, uv: np.ndarray, tint: np.ndarray, levels: np.ndarray, material: np.ndarray, density: np.ndarray,
    texels: np.ndarray, step_m: float, first: np.ndarray, total: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Points on triangles no farther apart than ``step_m``, with their colours.

    Args:
        corners: float64 [F, 3, 3] metres. uv: float64 [F, 3, 2]. tint: uint8 [F, 3, 3], of each corner.
        levels, density, texels: of :class:`Paint`. material: int64 [F].
        first: int64 [F], where each triangle's samples begin, of ``total``; see :func:`sample_counts`.

    Returns:
        float32 [total, 3] metres, uint8 [total, 3].
    """
    xyz = np.empty((total, 3), np.float32)
    rgb = np.empty((total, 3), np.uint8)
    for each in prange(corners.shape[0]):
        f = np.int64(each)
        _sample_face(corners[f], uv[f], tint[f], levels[material[f]], density[f], texels, step_m, first[f], xyz, rgb)
    return xyz, rgb


@njit(cache=True)
def _place(x: float, y: float, z: float, voxel_m: float, mask: int) -> int:
    """Where in a table of a power of two a point's voxel is noted."""
    i, j, k = int(np.floor(x / voxel_m)), int(np.floor(y / voxel_m)), int(np.floor(z / voxel_m))
    return ((i * 73856093) ^ (j * 19349663) ^ (k * 83492791)) & mask


@njit(cache=True)
def note_opened(table: np.ndarray, xyz: np.ndarray, voxel_m: float) -> None:
    """Note the voxels of points float32 [N, 3] in a table bool [a power of two]."""
    for i in range(xyz.shape[0]):
        table[_place(xyz[i, 0], xyz[i, 1], xyz[i, 2], voxel_m, table.size - 1)] = True


@njit(cache=True)
def was_opened(table: np.ndarray, xyz: np.ndarray, voxel_m: float) -> np.ndarray:
    """bool [N], whether the voxels of points were noted (or others that share their places in the table)."""
    out = np.empty(xyz.shape[0], np.bool_)
    for i in range(xyz.shape[0]):
        out[i] = table[_place(xyz[i, 0], xyz[i, 1], xyz[i, 2], voxel_m, table.size - 1)]
    return out


@njit(cache=True)
def _shade_row(
    prim: np.ndarray, bary: np.ndarray, depth: np.ndarray, focal_px: float, faces: np.ndarray, uv: np.ndarray,
    tint: np.ndarray, levels: np.ndarray, material: np.ndarray, density: np.ndarray, texels: np.ndarray, out: np.ndarray,
) -> None:
    for x in range(prim.size):
        f = np.int64(prim[x])
        if f >= faces.shape[0]:
            continue
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        wb, wc = bary[x, 0], bary[x, 1]
        wa = 1.0 - wb - wc
        u = wa * uv[a, 0] + wb * uv[b, 0] + wc * uv[c, 0]
        v = wa * uv[a, 1] + wb * uv[b, 1] + wc * uv[c, 1]
        colour = colour_at(texels, levels[material[f]], u, v, depth[x] / focal_px * density[f])
        for k in range(3):
            tone = (wa * tint[a, k] + wb * tint[b, k] + wc * tint[c, k]) / 255.0
            out[x, k] = min(colour[k] * tone, 255.0)


@njit(cache=True, parallel=True)
def shade(
    prim: np.ndarray, bary: np.ndarray, depth: np.ndarray, focal_px: float, faces: np.ndarray, uv: np.ndarray,
    tint: np.ndarray, levels: np.ndarray, material: np.ndarray, density: np.ndarray, texels: np.ndarray,
) -> np.ndarray:
    """Colours float32 [H, W, 3] in 0..255 of ray hits; 0 where a ray met nothing.

    Args:
        prim: uint32 [H, W], triangle met (beyond the last: none). bary: float32 [H, W, 2]. depth: float32 [H, W], z in metres.
        faces, uv, tint, material: of :class:`Mesh`. levels, density, texels: of :class:`Paint`.
    """
    out = np.zeros((prim.shape[0], prim.shape[1], 3), np.float32)
    for row in prange(prim.shape[0]):
        y = np.int64(row)
        _shade_row(prim[y], bary[y], depth[y], focal_px, faces, uv, tint, levels, material, density, texels, out[y])
    return out
