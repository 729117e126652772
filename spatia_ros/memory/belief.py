"""How far a remembered surface can be believed to be visible.

A cloud knows where surfaces were seen, not that nothing stands before them. Behind a cupboard the
sensor never measured, the wall beyond it is remembered, and drawn, and wrong. So the way from the
camera to each surface is walked, and asked of the keyframes: did any of them look through here?
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

CELL_PX = 4
"""Side of the square of pixels that share one answer."""
STEPS = 8
"""Points asked on the way to a surface."""


@njit(cache=True)
def _seen_empty(
    X: float, Y: float, Z: float, grids: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray
) -> bool:
    """Whether any keyframe measured something behind this world point."""
    for k in range(grids.shape[0]):
        T = T_cam_world[k]
        z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
        if z <= 0.0:
            continue
        u = intrinsics[k, 0] * (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]) / z + intrinsics[k, 2]
        v = intrinsics[k, 1] * (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]) / z + intrinsics[k, 3]
        if 0.0 <= u < grids.shape[2] and 0.0 <= v < grids.shape[1] and grids[k, int(v), int(u)] > 0.98 * z:
            return True
    return False


@njit(cache=True, parallel=True)
def seen_empty(points: np.ndarray, grids: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray) -> np.ndarray:
    """Which world points float64 [N, 3] lie on a way that some keyframe saw to be empty: bool [N]; grids as below."""
    out = np.zeros(len(points), np.bool_)
    for item in prange(len(points)):
        i = np.int64(item)
        out[i] = _seen_empty(points[i, 0], points[i, 1], points[i, 2], grids, intrinsics, T_cam_world)
    return out


@njit(cache=True, parallel=True)
def unknown_ray_share(
    depth: np.ndarray, sensed: np.ndarray, intrinsics: np.ndarray, T_world_cam: np.ndarray,
    grids: np.ndarray, key_intrinsics: np.ndarray, key_T_cam_world: np.ndarray,
) -> np.ndarray:
    """Share of the way to each cell's surface that no keyframe saw to be empty.

    Args:
        depth: float32 [H, W] of a rendered view, metres, 0 = nothing. intrinsics: float64 [4].
        sensed: float32 [H, W]; an invented surface (0) is asked nothing, for no sensor can vouch for it.
        grids, key_intrinsics, key_T_cam_world: coarse depths of K keyframes, as in
            :func:`spatia_ros.memory.keyframes.shown_in_each`.

    Returns:
        float32 [ceil(H / 4), ceil(W / 4)] in 0..1; 0 for a cell without a measured surface.
    """
    h, w = depth.shape
    rows, cols = (h + CELL_PX - 1) // CELL_PX, (w + CELL_PX - 1) // CELL_PX
    share = np.zeros((rows, cols), np.float32)
    fx, fy, cx, cy = intrinsics
    T = T_world_cam
    for row in prange(rows):
        for col in range(cols):
            z, px, py = np.float32(0.0), 0, 0
            for y in range(np.int64(row) * CELL_PX, min(np.int64(row) * CELL_PX + CELL_PX, h)):
                for x in range(col * CELL_PX, min(col * CELL_PX + CELL_PX, w)):
                    if depth[y, x] > z and sensed[y, x] > 0.5:
                        z, px, py = depth[y, x], x, y
            if z <= 0.0:
                continue
            unknown = 0
            for step in range(STEPS):
                s = z * (step + 0.5) / STEPS
                a, b = (px + 0.5 - cx) / fx * s, (py + 0.5 - cy) / fy * s
                X = T[0, 0] * a + T[0, 1] * b + T[0, 2] * s + T[0, 3]
                Y = T[1, 0] * a + T[1, 1] * b + T[1, 2] * s + T[1, 3]
                Z = T[2, 0] * a + T[2, 1] * b + T[2, 2] * s + T[2, 3]
                if not _seen_empty(X, Y, Z, grids, key_intrinsics, key_T_cam_world):
                    unknown += 1
            share[row, col] = unknown / STEPS
    return share


@njit(cache=True, parallel=True)
def forget_unbelieved(
    rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray, share: np.ndarray, most: float
) -> None:
    """Clear, in place, the pixels of a view whose cell's unknown share exceeds ``most``."""
    h, w = depth.shape
    for row in prange(h):
        y = np.int64(row)
        for x in range(w):
            if share[y // CELL_PX, x // CELL_PX] > most:
                depth[y, x] = sensed[y, x] = age_s[y, x] = np.float32(0.0)
                rgb[y, x, 0] = rgb[y, x, 1] = rgb[y, x, 2] = np.uint8(0)
