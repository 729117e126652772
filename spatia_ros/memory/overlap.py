"""Which keyframes can have seen a part of space at all, and what of it any of them shows.

Asked first: whether a sphere around the points touches a keyframe's field of view. What remains is asked nearest
first, and a point that one keyframe shows is asked of no other; so the cost is that of the neighbourhood.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.types import Bool, Float64, Int64

PARTS = 16
"""Into how many parts points are cut where several threads are asked."""


@njit(cache=True)
def ball_around(points: Float64, reach: Float64) -> tuple[Float64, float]:
    """Centre [3] and radius of a ball around the points [N, 3] whose reach [N] is positive (radius -1: there is none)."""
    low, high, centre, farthest = np.full(3, np.inf), np.full(3, -np.inf), np.zeros(3), -1.0
    for i in range(len(reach)):
        for k in range(3 if reach[i] > 0 else 0):
            low[k], high[k] = min(low[k], points[i, k]), max(high[k], points[i, k])
    if low[0] <= high[0]:
        centre[:] = 0.5 * (low + high)
    for i in range(len(reach)):
        if reach[i] > 0:
            x, y, z = points[i, 0] - centre[0], points[i, 1] - centre[1], points[i, 2] - centre[2]
            farthest = max(farthest, x**2 + y**2 + z**2)
    return centre, np.sqrt(farthest) if farthest >= 0.0 else -1.0


@njit(cache=True)
def may_see(centre: Float64, radius: float, intrinsics: Float64, T_cam_world: Float64, rows: int, cols: int) -> Bool:
    """Which of K cameras' fields of view a ball touches: bool [K].

    Args:
        intrinsics: float64 [K, 4] in grid cells. T_cam_world: float64 [K, 4, 4]. rows, cols: of the grids.
    """
    touches = np.zeros(len(intrinsics), np.bool_)
    for k in range(len(intrinsics)):
        T, (fx, fy, cx, cy) = T_cam_world[k], intrinsics[k]
        x = T[0, 0] * centre[0] + T[0, 1] * centre[1] + T[0, 2] * centre[2] + T[0, 3]
        y = T[1, 0] * centre[0] + T[1, 1] * centre[1] + T[1, 2] * centre[2] + T[1, 3]
        z = T[2, 0] * centre[0] + T[2, 1] * centre[1] + T[2, 2] * centre[2] + T[2, 3]
        inside = (z > -radius) & (radius >= 0.0)
        for across, slope in ((-x, cx / fx), (x, (cols - cx) / fx), (-y, cy / fy), (y, (rows - cy) / fy)):
            inside &= across <= slope * z + radius * np.sqrt(1.0 + slope**2)
        touches[k] = inside
    return touches


@njit(cache=True)
def sampled(depth: np.ndarray, rows: int, cols: int, f: np.ndarray, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A coarse grid of a depth image float32 [H, W], and where its samples lie.

    Args:
        f: float64 [4], intrinsics of the image. T: float64 [4, 4], T_world_cam.

    Returns:
        float32 [rows, cols], metres, and world points float64 [rows cols, 3].
    """
    (h, w), grid, points = depth.shape, np.empty((rows, cols), np.float32), np.empty((rows * cols, 3))
    for row in range(rows):
        v = int((row + 0.5) * h / rows)
        for col in range(cols):
            u = int((col + 0.5) * w / cols)
            z = np.float64(depth[v, u])
            x, y = (u + 0.5 - f[2]) / f[0] * z, (v + 0.5 - f[3]) / f[1] * z
            grid[row, col] = depth[v, u]
            for k in range(3):
                points[row * cols + col, k] = T[k, 0] * x + T[k, 1] * y + T[k, 2] * z + T[k, 3]
    return grid, points


def nearest_first(which: Bool, eye: Float64, T_cam_world: Float64) -> Int64:
    """Indices of the chosen cameras by growing distance from an eye [3], metres, world."""
    chosen = np.flatnonzero(which)
    R, t = T_cam_world[chosen, :3, :3], T_cam_world[chosen, :3, 3]
    eyes = -(np.swapaxes(R, 1, 2) @ t[:, :, None])[:, :, 0]
    return chosen[np.argsort(((eyes - eye) ** 2).sum(1), kind="stable")]


@njit(cache=True)
def _shown(
    X: float, Y: float, Z: float, reach: float, grids: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray,
    order: np.ndarray, tolerance: float, coarser: float,
) -> bool:
    _, rows, cols = grids.shape
    for k in order:
        T, f = T_cam_world[k], intrinsics[k]
        z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
        if z <= 0.0 or z > coarser * reach:
            continue
        u = f[0] * (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]) / z + f[2]
        v = f[1] * (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]) / z + f[3]
        if 0.0 <= u < cols and 0.0 <= v < rows:
            d = grids[k, int(v), int(u)]
            if d > 0.0 and abs(z - d) <= tolerance * d:
                return True
    return False


@njit(cache=True)
def _shown_from(
    begin: int, end: int, points: np.ndarray, reach: np.ndarray, grids: np.ndarray, intrinsics: np.ndarray,
    T_cam_world: np.ndarray, order: np.ndarray, tolerance: float, coarser: float, seen: np.ndarray,
) -> None:
    for i in range(begin, end):
        if reach[i] > 0.0:
            seen[i] = _shown(
                points[i, 0], points[i, 1], points[i, 2], reach[i], grids, intrinsics, T_cam_world, order, tolerance, coarser
            )


@njit(cache=True, parallel=True)
def _shown_by_many(
    parts: int, points: np.ndarray, reach: np.ndarray, grids: np.ndarray, intrinsics: np.ndarray,
    T_cam_world: np.ndarray, order: np.ndarray, tolerance: float, coarser: float, seen: np.ndarray,
) -> None:
    for each in prange(parts):
        i = np.int64(each)
        _shown_from(
            reach.size * i // parts, reach.size * (i + 1) // parts, points, reach, grids, intrinsics, T_cam_world, order,
            tolerance, coarser, seen,
        )


def shown_by_any(
    points: np.ndarray, reach: np.ndarray, grids: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray,
    order: np.ndarray, tolerance: float, coarser: float,
) -> np.ndarray:
    """Which of N world points any of the keyframes ``order`` (int64 [M], asked in that order) shows: bool [N].

    The rest is as in :func:`spatia_ros.memory.keyframes.shown_in_each`, with points [N, 3] and reach [N].
    """
    seen = np.zeros(reach.size, np.bool_)
    _shown_by_many(PARTS, points, reach, grids, intrinsics, T_cam_world, order, tolerance, coarser, seen)
    return seen


@njit(cache=True, error_model="numpy")
def _count_shown(
    points: np.ndarray, reach: np.ndarray, grid: np.ndarray, rows: int, cols: int, f: np.ndarray, T: np.ndarray, tolerance: float
) -> int:
    """How many of N points float64 [3 N], x y z x y z .., a grid float32 [rows cols] shows.

    No branch and no call, so that it is vectorised.
    """
    count, zero, wide, tall, line = np.int64(0), 0.0, np.float64(cols), np.float64(rows), np.int64(cols)
    fx, fy, cx, cy = f
    xx, xy, xz, xt = T[0]
    yx, yy, yz, yt = T[1]
    zx, zy, zz, zt = T[2]
    for i in range(reach.size):
        X, Y, Z = points[3 * i], points[3 * i + 1], points[3 * i + 2]
        z = zx * X + zy * Y + zz * Z + zt
        u, v = fx * (xx * X + xy * Y + xz * Z + xt) / z + cx, fy * (yx * X + yy * Y + yz * Z + yt) / z + cy
        inside = (reach[i] > zero) & (z > zero) & (u >= zero) & (u < wide) & (v >= zero) & (v < tall)
        d = grid[np.uint64(np.int64(v if inside else zero) * line + np.int64(u if inside else zero))]
        count += np.int64(inside & (d > zero) & (abs(z - d) <= tolerance * d))
    return int(count)


@njit(cache=True)
def count_shown_by(
    points: np.ndarray, reach: np.ndarray, which: np.ndarray, grids: np.ndarray, intrinsics: np.ndarray,
    T_cam_world: np.ndarray, tolerance: float,
) -> np.ndarray:
    """How many of N world points each of the keyframes ``which`` (int64 [M]) shows: int64 [M]; from however far away.

    The rest is as in :func:`spatia_ros.memory.keyframes.shown_in_each`, with points [N, 3] and reach [N].
    """
    _, rows, cols = grids.shape
    counts, flat = np.empty(which.size, np.int64), points.reshape(-1)
    for i in range(which.size):
        k = which[i]
        counts[i] = _count_shown(flat, reach, grids[k].reshape(-1), rows, cols, intrinsics[k], T_cam_world[k], tolerance)
    return counts


@njit(cache=True)
def count_shown_of(
    which: np.ndarray, points: np.ndarray, reach: np.ndarray, grid: np.ndarray, intrinsics: np.ndarray,
    T_cam_world: np.ndarray, tolerance: float,
) -> np.ndarray:
    """How many points of each of the keyframes ``which`` (int64 [M]) a view shows: int64 [M].

    Args:
        points: float64 [K, N, 3] and reach: float64 [K, N] of all keyframes. grid: float32 [rows, cols], intrinsics: float64 [4]
            and T_cam_world: float64 [4, 4] of the view.
    """
    (rows, cols), counts, flat = grid.shape, np.empty(which.size, np.int64), grid.reshape(-1)
    for i in range(which.size):
        k = which[i]
        counts[i] = _count_shown(points[k].reshape(-1), reach[k], flat, rows, cols, intrinsics, T_cam_world, tolerance)
    return counts
