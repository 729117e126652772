"""Which way is up in a place: from how the camera was held, then from its floors and table tops."""

from __future__ import annotations

import numpy as np

from spatia_ros.types import Float64

VIEW_SHARE = 0.1
"""How much directions of view count beside the camera's right: they settle the tilt of a camera that never turned."""
SEARCH_DEG = ((45.0, 4.0), (4.0, 0.8), (0.8, 0.2))
"""Search for level surfaces: how far from the best direction so far, and in which steps."""
SNAP_DEG = 2.0
"""A world axis this close is what the recording calls up."""
LAYER_M = 0.04
MAX_POINTS = 20_000


def upright(T_world_cam: Float64, xyz: np.ndarray) -> Float64:
    """Unit vector [3] that points up in the world frame.

    People and robots hold cameras level, whichever way they point them: the right-hand axes of all
    poses [N, 4, 4] lie in the horizontal plane (Brown and Lowe, IJCV 2007, section 5). From there the
    direction is moved to where heights of the points [M, 3] (metres) are most concentrated, which is
    across floors, tables and ceilings.
    """
    held = _held(T_world_cam)
    some = np.asarray(xyz[:: max(1, len(xyz) // MAX_POINTS)], np.float64)
    if len(some) < 100:
        return held
    best = held
    for reach_deg, step_deg in SEARCH_DEG:
        around = _directions_around(best, np.radians(reach_deg), np.radians(step_deg))
        best = around[int(np.argmin([_disorder(some @ up) for up in around]))]
    axis = np.round(best)
    return axis if np.linalg.norm(axis) == 1.0 and best @ axis > np.cos(np.radians(SNAP_DEG)) else best


def _held(T_world_cam: Float64) -> Float64:
    right, down, view = (T_world_cam[:, :3, k] for k in range(3))
    spread = right.T @ right + VIEW_SHARE * view.T @ view
    up = np.linalg.eigh(spread)[1][:, 0]
    return up if up @ down.mean(0) <= 0 else -up


def _directions_around(axis: Float64, reach: float, step: float) -> Float64:
    """Unit vectors [K, 3] on a grid around an axis, itself first; angles in radians."""
    aside = np.eye(3)[np.abs(axis).argmin()]
    x = np.cross(axis, aside)
    x /= np.linalg.norm(x)
    y = np.cross(axis, x)
    ticks = np.arange(-round(reach / step), round(reach / step) + 1) * step
    a, b = (grid.ravel() for grid in np.meshgrid(ticks, ticks))
    order = np.argsort(a * a + b * b, kind="stable")
    out = axis + np.tan(a[order, None]) * x + np.tan(b[order, None]) * y
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def _disorder(heights: Float64) -> float:
    """Entropy of the heights in layers of a few centimetres; low where many points lie on few levels."""
    layers = np.bincount(((heights - heights.min()) / LAYER_M).astype(np.int64))
    share = layers[layers > 0] / len(heights)
    return float(-(share * np.log(share)).sum())
