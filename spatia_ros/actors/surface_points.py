"""Evenly spread points on triangles: dense samples of the surface, thinned."""

from __future__ import annotations

import numpy as np

from spatia_ros.actors.body import MAX_POINTS, BodyPoints
from spatia_ros.formats.mesh_file import Mesh
from spatia_ros.formats.surface import Paint, sample, sample_counts
from spatia_ros.kernels import njit
from spatia_ros.types import Bool, Float32, Float64, SpatiaError, UInt8

FINE = 0.28
"""Step of the dense samples, in spacings: every place is within 0.2 spacings of one."""
APART = 0.5
"""No two points kept are nearer than this many spacings; so every place is within 0.7 of one."""
MAX_SAMPLES = 60_000_000
LIGHT = np.array([0.35, -0.45, 0.82])
AMBIENT = 0.55


def surface_points(mesh: Mesh, spacing_m: float, shaded: bool = False) -> tuple[Float32, UInt8, Float32]:
    """Points on a mesh such that no place of it is farther than 0.7 spacings from one.

    Args:
        shaded: darken what faces away from a light above and to the side, as a matt surface is.

    Returns:
        xyz float32 [N, 3] metres, rgb uint8 [N, 3], and the normals float32 [N, 3] of the triangles they lie on.

    Raises:
        SpatiaError: when that would take too many points.
    """
    if not 0 < spacing_m <= 10.0:
        raise SpatiaError(f"spacing_m: expected 0..10 m, got {spacing_m}")
    paint, corners = Paint.of(mesh), mesh.corners()
    expected = float(np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2)
    if expected / (FINE * spacing_m) ** 2 > MAX_SAMPLES:
        raise SpatiaError(f"spacing_m: expected a coarser one for {expected:.3g} m2 of surface, got {spacing_m}")
    counts = sample_counts(corners, FINE * spacing_m)
    if counts.sum() > 2 * MAX_SAMPLES:
        raise SpatiaError(f"spacing_m: expected a coarser one for {len(corners)} long triangles, got {spacing_m}")
    xyz, rgb = sample(
        corners, mesh.uv[mesh.faces], mesh.tint[mesh.faces], paint.levels, mesh.material, paint.density, paint.texels,
        FINE * spacing_m, np.cumsum(counts) - counts, int(counts.sum()),
    )
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = (normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    kept = thinned(xyz, APART * spacing_m)
    if np.count_nonzero(kept) > MAX_POINTS:
        raise SpatiaError(f"spacing_m: expected one that makes at most {MAX_POINTS} points, got {spacing_m}")
    xyz, rgb, normal = xyz[kept], rgb[kept], np.repeat(normal, counts, 0)[kept]
    return xyz, lit(rgb, normal) if shaded else rgb, normal


def lit(rgb: UInt8, normal: Float32) -> UInt8:
    """Colours [N, 3] as a light above and to the side shows them on normals [N, 3]."""
    light = LIGHT / np.linalg.norm(LIGHT)
    # Half Lambert: no hard edge where the light ends.
    share = (0.5 + 0.5 * (normal @ light)) ** 1.5
    return np.clip(rgb * (AMBIENT + (1.12 - AMBIENT) * share)[:, None] + 0.5, 0, 255).astype(np.uint8)


def thinned(xyz: Float32, apart_m: float) -> Bool:
    """Which points [N, 3] to keep: no two of them nearer than ``apart_m``, and every other one nearer than that to one."""
    if not len(xyz):
        return np.zeros(0, np.bool_)
    # A cell holds one kept point at most; a hair smaller, so that rounding cannot put two points apart_m apart into one.
    place = (xyz - xyz.min(0)).astype(np.float64) / (0.999 * apart_m / np.sqrt(3.0))
    cells = np.floor(place).astype(np.int64)
    table = np.full(1 << max(int(np.ceil(np.log2(2 * len(xyz)))), 8), -1, np.int64)
    return _thin(xyz, place, cells, table, np.float32(apart_m) ** 2)


@njit(cache=True)
def _slot(table: np.ndarray, cells: np.ndarray, i: int, j: int, k: int) -> int:
    """Where the cell (i, j, k) stands in a hash table of point numbers, or would."""
    mask = table.size - 1
    h = (i * 73856093) ^ (j * 19349663) ^ (k * 83492791)
    at = (h ^ (h >> 15)) & mask
    while table[at] >= 0:
        other = cells[table[at]]
        if other[0] == i and other[1] == j and other[2] == k:
            break
        at = (at + 1) & mask
    return at


@njit(cache=True)
def _gap(within: float, step: int) -> float:
    """How far a place ``within`` 0..1 of its cell is from the cell ``step`` further, in cells."""
    if step == 0:
        return 0.0
    return step - within if step > 0 else within - step - 1.0


@njit(cache=True)
def _crowded(xyz: np.ndarray, n: int, table: np.ndarray, cells: np.ndarray, within: np.ndarray, apart2: float) -> bool:
    """Whether a kept point is too near to point n, whose own cell is empty: within two cells in every direction."""
    for di in range(-2, 3):
        x = _gap(within[0], di) ** 2
        for dj in range(-2, 3):
            y = x + _gap(within[1], dj) ** 2
            if y >= 3.0:
                continue
            for dk in range(-2, 3):
                if y + _gap(within[2], dk) ** 2 >= 3.0:
                    continue
                other = table[_slot(table, cells, cells[n, 0] + di, cells[n, 1] + dj, cells[n, 2] + dk)]
                if other >= 0:
                    dx, dy, dz = xyz[n, 0] - xyz[other, 0], xyz[n, 1] - xyz[other, 1], xyz[n, 2] - xyz[other, 2]
                    if dx * dx + dy * dy + dz * dz < apart2:
                        return True
    return False


@njit(cache=True)
def _thin(xyz: np.ndarray, place: np.ndarray, cells: np.ndarray, table: np.ndarray, apart2: float) -> np.ndarray:
    keep = np.zeros(xyz.shape[0], np.bool_)
    for n in range(xyz.shape[0]):
        at = _slot(table, cells, cells[n, 0], cells[n, 1], cells[n, 2])
        # Two points of one cell are always too near: most are settled here.
        if table[at] < 0 and not _crowded(xyz, n, table, cells, place[n] - cells[n], apart2):
            table[at] = n
            keep[n] = True
    return keep


def body_points(mesh: Mesh, spacing_m: float, shaded: bool = False) -> BodyPoints:
    """A mesh's surface as the points of a body."""
    xyz, rgb, _ = surface_points(mesh, spacing_m, shaded)
    return BodyPoints(xyz, rgb, spacing_m)


def coloured(vertices: Float64, faces: np.ndarray, rgb: UInt8) -> Mesh:
    """A mesh of vertices [V, 3] and faces [F, 3] with a colour a vertex, uint8 [V, 3]."""
    faces, uv = np.asarray(faces, np.int64), np.zeros((len(vertices), 2))
    white, label = np.full((1, 1, 3), 255, np.uint8), np.ones(len(faces), np.uint16)
    return Mesh(np.asarray(vertices, np.float64), uv, rgb, faces, np.zeros(len(faces), np.int64), label, (white,), {1: "shape"})
