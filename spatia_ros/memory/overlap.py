"""Which keyframes can have seen a part of space at all, and what of it any of them shows.

Asked first: whether a sphere around the points touches a keyframe's field of view. What remains is asked nearest
first, and a point that one keyframe shows is asked of no other; so the cost is that of the neighbourhood.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from spatia_ros.types import Bool, Float64, Int64


def ball_around(points: Float64, reach: Float64) -> tuple[Float64, float]:
    """Centre [3] and radius of a ball around the points [N, 3] whose reach [N] is positive (radius -1: there is none)."""
    known = points[reach > 0]
    if not len(known):
        return np.zeros(3), -1.0
    low, high = known.min(0), known.max(0)
    centre = 0.5 * (low + high)
    return centre, float(np.sqrt(((known - centre) ** 2).sum(1).max()))


def may_see(centre: Float64, radius: float, intrinsics: Float64, T_cam_world: Float64, rows: int, cols: int) -> Bool:
    """Which of K cameras' fields of view a ball touches: bool [K].

    Args:
        intrinsics: float64 [K, 4] in grid cells. T_cam_world: float64 [K, 4, 4]. rows, cols: of the grids.
    """
    p = T_cam_world[:, :3, :3] @ centre + T_cam_world[:, :3, 3]
    x, y, z = p.T
    fx, fy, cx, cy = intrinsics.T
    touches = (z > -radius) & (radius >= 0.0)
    for across, slope in ((-x, cx / fx), (x, (cols - cx) / fx), (-y, cy / fy), (y, (rows - cy) / fy)):
        touches &= across <= slope * z + radius * np.sqrt(1.0 + slope**2)
    return touches


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


@njit(cache=True, parallel=True)
def shown_by_any(
    points: np.ndarray, reach: np.ndarray, grids: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray,
    order: np.ndarray, tolerance: float, coarser: float,
) -> np.ndarray:
    """Which of N world points any of the keyframes ``order`` (int64 [M], asked in that order) shows: bool [N].

    The rest is as in :func:`spatia_ros.memory.keyframes.shown_in_each`, with points [N, 3] and reach [N].
    """
    seen = np.zeros(reach.size, np.bool_)
    for each in prange(reach.size):
        i = np.int64(each)
        if reach[i] > 0.0:
            seen[i] = _shown(
                points[i, 0], points[i, 1], points[i, 2], reach[i], grids, intrinsics, T_cam_world, order, tolerance, coarser
            )
    return seen
