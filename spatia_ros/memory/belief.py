"""How far a remembered surface can be believed to be visible.

A cloud knows where surfaces were seen, not that nothing stands before them. Behind a cupboard the
sensor never measured, the wall beyond it is remembered, and drawn, and wrong. So the way from the
camera to each surface is walked, and asked of the keyframes: did any of them look through here?
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from spatia_ros.kernels import njit

CELL_PX = 4
"""Side of the square of pixels that share one answer."""
STEPS = 8
"""Points asked on the way to a surface."""
BAND = 4
"""Rows of cells whose ways are walked together."""
BEYOND = 0.98
"""A keyframe looked through a point if what it saw is farther away than so much of the point's own depth."""


class Witnesses(NamedTuple):
    """The coarse depths of K measured keyframes, for one view."""

    empty_m: np.ndarray  # float32 [K, rows, cols], metres, 0 = unknown
    intrinsics: np.ndarray  # float32 [K, 4], fx fy cx cy in grid cells
    T_key_cam: np.ndarray  # float32 [K, 4, 4], from the view's camera


def witnesses(grids: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray, T_world_cam: np.ndarray) -> Witnesses:
    """Coarse depths float32 [K, rows, cols] of keyframes (intrinsics float64 [K, 4], poses [K, 4, 4]) for a view at a pose."""
    T_key_cam = (T_cam_world @ T_world_cam).astype(np.float32)
    return Witnesses(np.ascontiguousarray(grids), intrinsics.astype(np.float32), T_key_cam)


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
        if 0.0 <= u < grids.shape[2] and 0.0 <= v < grids.shape[1] and grids[k, int(v), int(u)] > BEYOND * z:
            return True
    return False


@njit(cache=True, parallel=True)
def seen_empty(points: np.ndarray, grids: np.ndarray, intrinsics: np.ndarray, T_cam_world: np.ndarray) -> np.ndarray:
    """Which world points float64 [N, 3] lie on a way that some keyframe saw to be empty: bool [N].

    Args:
        grids: float32 [K, rows, cols], metres. intrinsics: float64 [K, 4] in grid cells. T_cam_world: float64 [K, 4, 4].
    """
    out = np.zeros(len(points), np.bool_)
    for item in prange(len(points)):
        i = np.int64(item)
        out[i] = _seen_empty(points[i, 0], points[i, 1], points[i, 2], grids, intrinsics, T_cam_world)
    return out


class Ways(NamedTuple):
    """Points on the ways to a band of cells' surfaces that no keyframe has looked through so far; room for N."""

    farthest_m: np.ndarray  # float32 [W], of each column
    line: np.ndarray  # int32 [W], the row of pixels it is in
    cell: np.ndarray  # int32 [N], of the band, row by row
    xyz: np.ndarray  # float32 [3, N], metres, in the view's camera
    depth: np.ndarray  # float32 [N], metres, in the keyframe's
    at: np.ndarray  # int32 [N], the keyframe's sample, -1: none
    seen: np.ndarray  # uint8 [N]


@njit(cache=True)
def room_for_ways(width: int) -> Ways:
    """Room for a band of cells of a picture so many pixels wide."""
    n = BAND * ((width + CELL_PX - 1) // CELL_PX) * STEPS
    return Ways(
        np.empty(width, np.float32), np.empty(width, np.int32), np.empty(n, np.int32), np.empty((3, n), np.float32),
        np.empty(n, np.float32), np.empty(n, np.int32), np.empty(n, np.uint8),
    )  # fmt: skip


@njit(cache=True)
def _farthest_of_columns(depth: np.ndarray, sensed: np.ndarray, y: int, farthest_m: np.ndarray, line: np.ndarray) -> None:
    """Take the measured pixels of row ``y``, float32 [W] each, where they are farther than what was found above."""
    half, here = np.float32(0.5), np.int32(y)
    for x in range(depth.size):
        farther = (depth[x] > farthest_m[x]) & (sensed[x] > half)
        farthest_m[x] = depth[x] if farther else farthest_m[x]
        line[x] = here if farther else line[x]


@njit(cache=True)
def _walk_row(depth: np.ndarray, sensed: np.ndarray, row: int, f: np.ndarray, ways: Ways, n: int, before: int) -> int:
    """Add points on the way to the farthest measured pixel of each of a row's cells to ``n`` others; returns how many there are.

    ``before`` cells of the band stand before the row's first.
    """
    (h, w), half, farthest_m, line = depth.shape, np.float32(0.5), ways.farthest_m, ways.line
    farthest_m[:] = 0.0
    cells, xs, ys, zs = ways.cell, ways.xyz[0], ways.xyz[1], ways.xyz[2]
    for y in range(row * CELL_PX, min(row * CELL_PX + CELL_PX, h)):
        _farthest_of_columns(depth[y], sensed[y], y, farthest_m, line)
    for cell in range((w + CELL_PX - 1) // CELL_PX):
        px = cell * CELL_PX
        for x in range(px + 1, min(cell * CELL_PX + CELL_PX, w)):
            px = x if farthest_m[x] > farthest_m[px] else px
        z = farthest_m[px]
        if z <= 0.0:
            continue
        rx, ry = (np.float32(px) + half - f[2]) / f[0], (np.float32(line[px]) + half - f[3]) / f[1]
        for step in range(STEPS):
            s = z * np.float32((step + 0.5) / STEPS)
            cells[n], xs[n], ys[n], zs[n] = before + cell, rx * s, ry * s, s
            n += 1
    return n


@njit(cache=True, error_model="numpy")
def _project(
    xyz: np.ndarray, n: int, rows: int, cols: int, g: np.ndarray, T: np.ndarray, depth: np.ndarray, at: np.ndarray
) -> None:
    """Depth float32 and sample int32 (-1: outside) in a grid of the first ``n`` points float32 [3, N].

    No branch, no call and no look-up, so that it is vectorised.
    """
    zero, wide, tall, line = np.float32(0.0), np.float32(cols), np.float32(rows), np.int32(cols)
    xx, xy, xz, xt = T[0]
    yx, yy, yz, yt = T[1]
    zx, zy, zz, zt = T[2]
    fx, fy, cx, cy = g
    xs, ys, zs = xyz[0], xyz[1], xyz[2]
    for i in range(n):
        X, Y, Z = xs[i], ys[i], zs[i]
        z = zx * X + zy * Y + zz * Z + zt
        inv = np.float32(1.0) / z
        u, v = fx * (xx * X + xy * Y + xz * Z + xt) * inv + cx, fy * (yx * X + yy * Y + yz * Z + yt) * inv + cy
        inside = (z > zero) & (u >= zero) & (u < wide) & (v >= zero) & (v < tall)
        sample = np.int32(v if inside else zero) * line + np.int32(u if inside else zero)
        depth[i], at[i] = z, sample if inside else np.int32(-1)


@njit(cache=True)
def _look_through(n: int, depth: np.ndarray, at: np.ndarray, grid: np.ndarray, seen: np.ndarray) -> int:
    """Which of the first ``n`` points a keyframe looked through, into uint8 [N], from :func:`_project`; returns how many."""
    count, beyond, zero = np.int32(0), np.float32(BEYOND), np.float32(0.0)
    for i in range(n):
        empty_m = grid[np.uint64(at[i])] if at[i] >= 0 else zero
        through = (empty_m > zero) & (empty_m > beyond * depth[i])
        seen[i] = through
        count += np.int32(through)
    return int(count)


@njit(cache=True)
def _keep_unseen(cell: np.ndarray, xyz: np.ndarray, seen: np.ndarray, n: int) -> int:
    """Move the points not seen through to the front; returns how many there are."""
    kept, xs, ys, zs = np.uint64(0), xyz[0], xyz[1], xyz[2]
    for i in range(n):
        # Written whether it stays or not: which it is cannot be predicted, and a branch would cost more.
        cell[kept], xs[kept], ys[kept], zs[kept] = cell[i], xs[i], ys[i], zs[i]
        kept += np.uint64(seen[i] == 0)
    return int(kept)


@njit(cache=True)
def doubt_band(
    depth: np.ndarray, sensed: np.ndarray, first: int, last: int, f: np.ndarray, w: Witnesses, ways: Ways, share: np.ndarray
) -> None:
    """:func:`unknown_ray_share` of rows ``first`` to ``last`` of cells, into float32 [last - first, cells].

    Each keyframe is asked what those before it left open.
    """
    n, (K, rows, cols) = np.int64(0), w.empty_m.shape
    for row in range(first, last):
        n = _walk_row(depth, sensed, row, f, ways, n, (row - first) * share.shape[1])
    for k in range(K):
        if n == 0:
            break
        _project(ways.xyz, n, rows, cols, w.intrinsics[k], w.T_key_cam[k], ways.depth, ways.at)
        if _look_through(n, ways.depth, ways.at, w.empty_m[k].reshape(-1), ways.seen):
            n = _keep_unseen(ways.cell, ways.xyz, ways.seen, n)
    flat = share.reshape(-1)
    flat[:] = np.float32(0.0)
    for i in range(n):
        flat[ways.cell[i]] += np.float32(1.0 / STEPS)


@njit(cache=True, parallel=True)
def unknown_ray_share(depth: np.ndarray, sensed: np.ndarray, intrinsics: np.ndarray, witnesses: Witnesses) -> np.ndarray:
    """Share of the way to each cell's surface that no keyframe saw to be empty.

    Args:
        depth: float32 [H, W] of a rendered view, metres, 0 = nothing. intrinsics: float64 [4].
        sensed: float32 [H, W]; an invented surface (0) is asked nothing, for no sensor can vouch for it.

    Returns:
        float32 [ceil(H / 4), ceil(W / 4)] in 0..1; 0 for a cell without a measured surface.
    """
    h, w = depth.shape
    rows, cols, f = (h + CELL_PX - 1) // CELL_PX, (w + CELL_PX - 1) // CELL_PX, intrinsics.astype(np.float32)
    share = np.empty((rows, cols), np.float32)
    for band in prange((rows + BAND - 1) // BAND):
        first = np.int64(band) * BAND
        last = min(first + BAND, rows)
        doubt_band(depth, sensed, first, last, f, witnesses, room_for_ways(w), share[first:last])
    return share


@njit(cache=True)
def forget_row(
    rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray, row: int, share: np.ndarray, most: float,
    doubted_rgb: np.ndarray, doubted_m: np.ndarray,
) -> None:
    """Clear, in place, the measured pixels of a view in those of a row's cells whose unknown share, float32 [cells], exceeds
    ``most``.

    Their colour and depth go to ``doubted_rgb`` [H, W, 3] and ``doubted_m`` [H, W]. What was invented beside them stays: it is
    what was put there when they were doubted before, and would be invented anew at each sight.
    """
    (h, w), half = depth.shape, np.float32(0.5)
    for cell in range(share.size):
        if share[cell] <= most:
            continue
        for y in range(row * CELL_PX, min(row * CELL_PX + CELL_PX, h)):
            for x in range(cell * CELL_PX, min(cell * CELL_PX + CELL_PX, w)):
                if not sensed[y, x] > half:
                    continue
                doubted_m[y, x] = depth[y, x]
                for k in range(3):
                    doubted_rgb[y, x, k] = rgb[y, x, k]
                depth[y, x] = sensed[y, x] = age_s[y, x] = np.float32(0.0)
                rgb[y, x, 0] = rgb[y, x, 1] = rgb[y, x, 2] = np.uint8(0)
