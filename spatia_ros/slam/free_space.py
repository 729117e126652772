"""Which pixels lie in space that an earlier depth image saw to be free.

Appearing where nothing was is the one sure sign of change: a surface in front of a remembered one may
simply not have been visible from where memory was made, but one inside space that was looked through
was not there then (Dynablox, Schmid et al., RA-L 2023, keeps the same evidence in a voxel map; here
the depth images themselves keep it, so its edge is a pixel's and not a voxel's).

All of it works on cells, squares of ``stride`` pixels, about 160 to a row, so a larger image costs no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numba import prange
from numpy.typing import NDArray

from spatia_ros import geometry
from spatia_ros.kernels import njit
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.types import Camera, Float32, Float64

CELLS_ACROSS = 160
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Witness:
    """A depth image that says where space was free.

    Args:
        lowest: float32 [h, w], m, smallest depth of each cell and around it, 0 where any of that is unknown.
        intrinsics: float64 [4], in cells. T_world_cam: float64 [4, 4]. stamp_ns: when.
    """

    lowest: Float32
    intrinsics: Float64
    T_world_cam: Float64
    stamp_ns: int


def stride_of(camera: Camera) -> int:
    """Side of a cell, px."""
    return max(1, round(camera.width / CELLS_ACROSS))


def cell_camera(camera: Camera, stride: int) -> Camera:
    """The camera whose pixels are the cells; pixels beyond the last whole cell are in none."""
    h, w = camera.height // stride, camera.width // stride
    return camera.cropped(0, 0, w * stride, h * stride).resized(w, h)


def witness_of(depth: Float32, camera: Camera, T_world_cam: Float64, stamp_ns: int) -> Witness:
    """The witness a depth image [H, W] makes."""
    stride = stride_of(camera)
    return Witness(lowest_around(depth, stride), intrinsics_of(cell_camera(camera, stride)), T_world_cam, stamp_ns)


@njit(cache=True)
def _lowest_in(depth: np.ndarray, y0: int, y1: int, x0: int, x1: int) -> float:
    low = depth[y0, x0]
    for y in range(y0, y1):
        for x in range(x0, x1):
            low = min(low, depth[y, x])
    return low


@njit(cache=True)
def _lowest_row(depth: np.ndarray, stride: int, y: int, out: np.ndarray) -> None:
    reach = 1 + stride // 2
    y0, y1 = y * stride - reach, (y + 1) * stride + reach
    for x in range(out.size):
        x0, x1 = x * stride - reach, (x + 1) * stride + reach
        if y0 >= 0 and x0 >= 0 and y1 <= depth.shape[0] and x1 <= depth.shape[1]:
            out[x] = _lowest_in(depth, y0, y1, x0, x1)


@njit(cache=True, parallel=True)
def lowest_around(depth: np.ndarray, stride: int) -> np.ndarray:
    """Smallest depth of each cell and 1 + stride // 2 px around it; 0 where any is unknown or outside the image.

    Args:
        depth: float32 [H, W], m.

    Returns:
        float32 [H // stride, W // stride].
    """
    out = np.zeros((depth.shape[0] // stride, depth.shape[1] // stride), np.float32)
    for row in prange(out.shape[0]):
        _lowest_row(depth, stride, np.int64(row), out[np.int64(row)])
    return out


@njit(cache=True)
def _freeness_row(
    free: np.ndarray, depth: np.ndarray, y: int, intrinsics: np.ndarray, T: np.ndarray,
    lowest: np.ndarray, witness_intrinsics: np.ndarray, margin_m: float, spread: float,
) -> None:
    """One row of :func:`add_freeness`; T is T_witness_cam."""
    fx, fy, cx, cy = intrinsics
    gx, gy, dx, dy = witness_intrinsics
    h, w = lowest.shape
    for x in range(depth.size):
        d = depth[x]
        if d <= 0.0:
            continue
        X, Y = (x + np.float32(0.5) - cx) / fx * d, (y + np.float32(0.5) - cy) / fy * d
        z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * d + T[2, 3]
        if z <= 0.0:
            continue
        u = gx * (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * d + T[0, 3]) / z + dx
        v = gy * (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * d + T[1, 3]) / z + dy
        if not (0.0 <= u < w and 0.0 <= v < h):
            continue
        low = lowest[int(v), int(u)]
        if low > z:
            free[x] = max(free[x], (low - z) / (margin_m + spread * low * low))


@njit(cache=True, parallel=True)
def _add_freeness(
    free: np.ndarray, depth: np.ndarray, intrinsics: np.ndarray, T_witness_cam: np.ndarray,
    lowest: np.ndarray, witness_intrinsics: np.ndarray, margin_m: float, spread: float,
) -> None:
    f, g, T = intrinsics.astype(np.float32), witness_intrinsics.astype(np.float32), T_witness_cam.astype(np.float32)
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        _freeness_row(free[y], depth[y], y, f, T, lowest, g, np.float32(margin_m), np.float32(spread))


def add_freeness(
    free: Float32, depth: Float32, intrinsics: Float64, T_world_cam: Float64, witness: Witness, margin_m: float, spread: float
) -> None:
    """Raise ``free`` to how far, in margins, each cell's point lies in front of what a witness measured behind it.

    Args:
        free: float32 [h, w], changed in place. depth: float32 [h, w] of the cells, m. intrinsics: float64 [4] in cells.
        margin_m, spread: a margin is ``margin_m + spread * z^2``, m.
    """
    T_witness_cam = geometry.inverse(witness.T_world_cam) @ T_world_cam
    _add_freeness(free, depth, intrinsics, T_witness_cam, witness.lowest, witness.intrinsics, margin_m, spread)


@njit(cache=True)
def connected(chosen: np.ndarray, depth: np.ndarray, step_m: float, step_ratio: float) -> tuple[np.ndarray, int]:
    """Groups of chosen cells that touch (8 neighbours) without a depth step.

    Args:
        chosen: bool [h, w]. depth: float32 [h, w], m. A step is more than ``step_m + step_ratio * z``.

    Returns:
        int32 [h, w], the group's number from 1 (0: none), numbered by their first cell; and how many.
    """
    h, w = chosen.shape
    label = np.zeros((h, w), np.int32)
    stack = np.empty((h * w, 2), np.int32)
    groups = 0
    for y in range(h):
        for x in range(w):
            if not chosen[y, x] or label[y, x]:
                continue
            groups += 1
            label[y, x] = groups
            stack[0, 0], stack[0, 1] = y, x
            top = 1
            while top:
                top -= 1
                j, i = stack[top, 0], stack[top, 1]
                z = depth[j, i]
                for b in range(max(j - 1, 0), min(j + 2, h)):
                    for a in range(max(i - 1, 0), min(i + 2, w)):
                        if chosen[b, a] and not label[b, a] and abs(depth[b, a] - z) <= step_m + step_ratio * z:
                            label[b, a] = groups
                            stack[top, 0], stack[top, 1] = b, a
                            top += 1
    return label, groups


def expanded(cells: NDArray[Value], stride: int, height: int, width: int) -> NDArray[Value]:
    """Cells [h, w] of anything as pixels [H, W]; pixels beyond the last whole cell take the last cell's value."""
    y = np.minimum(np.arange(height) // stride, cells.shape[0] - 1)
    x = np.minimum(np.arange(width) // stride, cells.shape[1] - 1)
    return cells[np.ix_(y, x)]
