"""Coloured points to a picture of their surface.

In three steps. What it covers: every point marks the finer pixels within WIDE spacings of it, which closes the
surface, and then the silhouette is drawn in again to where the points are (a morphological closing); a pixel is
covered by the share of its finer pixels. Its front: the nearest point around each pixel. Its colour: that of all
points of the front around the pixel, blended (surface splatting: Zwicker et al., SIGGRAPH 2001), so points far smaller
than a pixel are averaged and not picked at random.

:mod:`.truth` says the same in NumPy.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.kernels import njit
from spatia_ros.memory.splat import PAIRS
from spatia_ros.types import Camera, Float32, Float64, UInt8, check_array

NEAR_M = 0.05
FINER = 2
"""Finer pixels along the side of a pixel, by which it is told how much of it is covered."""
WIDE = 0.7
"""A point covers what is so near to it, in spacings: no place of a surface is farther from one (:class:`.body.BodyPoints`)."""
RIM = 0.0
"""A surface is taken to go on so far beyond its outermost points, in spacings: of 0 to 0.5, nearest to true outlines."""
THICK = 1.5
"""Points up to this far behind the front belong to it, in spacings."""
BLEND = 1.6
"""A point lends its colour to pixels up to this far from it, in spacings; a pixel's width at least."""
MAX_RADIUS_PX = 64.0
"""No point lends its colour farther than this, however near it is."""
LEAST_COVER = 0.125
"""A pixel of which less is covered is not the actor's."""
EDGE_RATIO = 0.06
"""A pinhole is closed between pixels whose depths differ by less than this, relative."""
WORK_A_PIXEL = 128
"""Points a pixel of the window blends on average at most: where there are more, they are drawn smaller."""
LEAST_WORK = 1 << 16


class Splatted(NamedTuple):
    """Points in a window of the picture."""

    left: int  # of the window in the picture, px
    top: int
    rgb: UInt8  # [h, w, 3]
    depth: Float32  # [h, w], metres, 0 where there is no surface
    cover: Float32  # [h, w], share of the pixel that is covered, 0 where there is no surface


@njit(cache=True, error_model="numpy")
def _project(
    xyz: np.ndarray, T: np.ndarray, intrinsics: np.ndarray, width: int, height: int, spacing_m: float,
    uvz: np.ndarray, which: np.ndarray, bounds: np.ndarray,
) -> tuple[int, float]:
    """The points in view: how many, and how many pixels they lend their colour to.

    Args:
        xyz: float32 [N, 3], metres, world. T: T_cam_world. uvz: float64 [N, 3] and which: int64 [N], filled: where they lie in
            the picture (px, px, m), and which point each is. bounds: int64 [4], filled: left, top, right, bottom of what they
            reach, the last two beyond it.
    """
    fx, fy, cx, cy = intrinsics
    f, n, work = max(fx, fy), 0, 0.0
    bounds[:] = width, height, 0, 0
    for i in range(xyz.shape[0]):
        X, Y, Z = np.float64(xyz[i, 0]), np.float64(xyz[i, 1]), np.float64(xyz[i, 2])
        z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
        if not z >= NEAR_M:
            continue
        u = fx * (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]) / z + cx
        v = fy * (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]) / z + cy
        radius = _radius(f * spacing_m / z)
        x0, x1, y0, y1 = _square(u, v, radius, width, height)
        if x0 >= x1 or y0 >= y1:
            continue
        uvz[n, 0], uvz[n, 1], uvz[n, 2], which[n] = u, v, z, i
        bounds[0], bounds[1] = min(bounds[0], x0), min(bounds[1], y0)
        bounds[2], bounds[3] = max(bounds[2], x1), max(bounds[3], y1)
        n += 1
        work += (2.0 * radius + 1.0) ** 2
    return n, work


@njit(cache=True, inline="always")
def _radius(spacing_px: float) -> float:
    """How far from a point its colour is lent, px."""
    return min(max(BLEND * spacing_px, 1.0), MAX_RADIUS_PX)


@njit(cache=True, inline="always")
def _half(share: float, spacing_px: float) -> float:
    """Half the width of a square of ``share`` spacings around a point, px; it marks one finer pixel at least."""
    return min(max(share * spacing_px, 0.5 / FINER), MAX_RADIUS_PX * share / BLEND)


@njit(cache=True, inline="always")
def _square(u: float, v: float, half: float, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels whose centre lies in [u - half, u + half) and likewise v: columns x0 .. x1 - 1, rows y0 .. y1 - 1."""
    # Cut before the conversion: an integer cannot hold how far outside a point can lie.
    x0, x1 = np.ceil(max(u - half - 0.5, 0.0)), np.ceil(min(u + half - 0.5, np.float64(width)))
    y0, y1 = np.ceil(max(v - half - 0.5, 0.0)), np.ceil(min(v + half - 0.5, np.float64(height)))
    if not (x0 < x1 and y0 < y1):
        return 0, 0, 0, 0
    return int(x0), int(x1), int(y0), int(y1)


@njit(cache=True, error_model="numpy")
def _mark(
    uvz: np.ndarray, f_spacing: float, left: int, top: int, marked: np.ndarray, front: np.ndarray, nearest: np.ndarray
) -> None:
    """Mark what the points reach.

    Args:
        marked: uint8 [FINER h, FINER w], set to 1 within WIDE spacings of a point. nearest: float32 [h, w], depth of the nearest
            point that marks any of a pixel. front: the same, of those within WIDE spacings of its middle. Both infinite before.
    """
    h, w = front.shape
    for i in range(uvz.shape[0]):
        u, v, z = uvz[i, 0] - left, uvz[i, 1] - top, uvz[i, 2]
        depth = np.float32(z)
        x0, x1, y0, y1 = _square(FINER * u, FINER * v, FINER * _half(WIDE, f_spacing / z), FINER * w, FINER * h)
        for y in range(y0, y1):
            for x in range(x0, x1):
                marked[y, x] = 1
                nearest[y // FINER, x // FINER] = min(nearest[y // FINER, x // FINER], depth)
        x0, x1, y0, y1 = _square(u, v, _half(WIDE, f_spacing / z), w, h)
        for y in range(y0, y1):
            for x in range(x0, x1):
                front[y, x] = min(front[y, x], depth)


@njit(cache=True, error_model="numpy")
def _cover(inside: np.ndarray, f_spacing: float, nearest: np.ndarray, front: np.ndarray, cover: np.ndarray) -> None:
    """Share of each pixel that is covered, float32 [h, w]; and the front where only the rim of a point reaches.

    Args:
        inside: float32 [FINER h, FINER w], how far each marked finer pixel is from one that is not, in finer pixels.
    """
    h, w = cover.shape
    for y in range(h):
        for x in range(w):
            z = nearest[y, x]
            if z == np.inf:
                continue
            drawn_in = FINER * (_half(WIDE, f_spacing / z) - RIM * f_spacing / z)
            total = 0.0
            for j in range(FINER * y, FINER * y + FINER):
                for i in range(FINER * x, FINER * x + FINER):
                    total += min(max(inside[j, i] - drawn_in, 0.0), 1.0)
            cover[y, x] = total / (FINER * FINER)
            front[y, x] = z if front[y, x] == np.inf else front[y, x]


@njit(cache=True, error_model="numpy")
def _blend(
    uvz: np.ndarray, which: np.ndarray, rgb: np.ndarray, f_spacing: float, left: int, top: int,
    front: np.ndarray, thickness_m: float, sums: np.ndarray,
) -> None:
    """Add up what the points of the front lend: float32 [h, w, 5], red, green, blue, depth, weight."""
    h, w = front.shape
    for i in range(uvz.shape[0]):
        u, v, z, p = uvz[i, 0] - left, uvz[i, 1] - top, uvz[i, 2], which[i]
        radius = _radius(f_spacing / z)
        r, g, b = np.float32(rgb[p, 0]), np.float32(rgb[p, 1]), np.float32(rgb[p, 2])
        x0, x1, y0, y1 = _square(u, v, radius, w, h)
        for y in range(y0, y1):
            dy = (y + 0.5 - v) / radius
            for x in range(x0, x1):
                dx = (x + 0.5 - u) / radius
                near = 1.0 - dx * dx - dy * dy
                if near <= 0.0 or z > front[y, x] + thickness_m:
                    continue
                weight = np.float32(near * near * near)
                sums[y, x, 0] += weight * r
                sums[y, x, 1] += weight * g
                sums[y, x, 2] += weight * b
                sums[y, x, 3] += weight * np.float32(z)
                sums[y, x, 4] += weight


@njit(cache=True, error_model="numpy")
def _resolve(sums: np.ndarray, rgb: np.ndarray, depth: np.ndarray, cover: np.ndarray) -> None:
    """What each pixel of the window shows: the weighted mean of what it was lent; nothing where too little covers it."""
    h, w = depth.shape
    for y in range(h):
        for x in range(w):
            if cover[y, x] < LEAST_COVER or sums[y, x, 4] <= 0.0:
                cover[y, x] = 0.0
                continue
            share = np.float32(1.0) / sums[y, x, 4]
            for k in range(3):
                rgb[y, x, k] = np.uint8(min(sums[y, x, k] * share + np.float32(0.5), np.float32(255.0)))
            depth[y, x] = sums[y, x, 3] * share


@njit(cache=True)
def _pair(depth: np.ndarray, y: int, x: int) -> int:
    """Which opposite neighbours of an empty pixel lie on one surface: the nearest such pair, -1 when none does."""
    best, chosen = np.float32(np.inf), -1
    for k in range(4):
        dy, dx = PAIRS[k]
        a, b = depth[y - dy, x - dx], depth[y + dy, x + dx]
        if a > 0.0 and b > 0.0 and abs(a - b) <= EDGE_RATIO * min(a, b) and a + b < best:
            best, chosen = a + b, k
    return chosen


@njit(cache=True)
def _close(depth: np.ndarray, rgb: np.ndarray, closed_depth: np.ndarray, closed_rgb: np.ndarray, cover: np.ndarray) -> None:
    """Give an empty pixel between two of one surface their mean, and all three to it whole; what is closed closes no other."""
    h, w = depth.shape
    for y in range(1, h - 1):
        for x in range(1, w - 1):
            k = _pair(depth, y, x) if depth[y, x] == 0.0 else -1
            if k < 0:
                continue
            dy, dx = PAIRS[k]
            cover[y, x] = cover[y - dy, x - dx] = cover[y + dy, x + dx] = 1.0
            closed_depth[y, x] = np.float32(0.5) * (depth[y - dy, x - dx] + depth[y + dy, x + dx])
            for c in range(3):
                mean = np.float32(0.5) * (np.float32(rgb[y - dy, x - dx, c]) + np.float32(rgb[y + dy, x + dx, c]))
                closed_rgb[y, x, c] = np.uint8(mean + np.float32(0.5))


def splat(xyz: Float32, rgb: UInt8, spacing_m: float, camera: Camera, T_world_cam: Float64) -> Splatted | None:
    """The picture of coloured points that are ``spacing_m`` apart; None when none is in view.

    Args:
        xyz: float32 [N, 3], metres, world. rgb: uint8 [N, 3].
    """
    check_array("points.xyz", xyz, (None, 3), np.float32)
    check_array("points.rgb", rgb, (len(xyz), 3), np.uint8)
    intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    uvz, which, bounds = np.empty((len(xyz), 3)), np.empty(len(xyz), np.int64), np.empty(4, np.int64)
    T = geometry.inverse(T_world_cam)
    n, work = _project(xyz, T, intrinsics, camera.width, camera.height, spacing_m, uvz, which, bounds)
    if not n:
        return None
    # A margin where the picture has room for it: beyond the window nothing is known to be uncovered.
    left, top = (max(first - 1, 0) for first in bounds[:2].tolist())
    right, bottom = min(int(bounds[2]) + 1, camera.width), min(int(bounds[3]) + 1, camera.height)
    shape = (bottom - top, right - left)
    spacing_m *= float(np.sqrt(min(1.0, max(WORK_A_PIXEL * shape[0] * shape[1], LEAST_WORK) / work)))
    f_spacing, cover = max(camera.fx, camera.fy) * spacing_m, np.zeros(shape, np.float32)
    marked, front, nearest = np.zeros((FINER * shape[0], FINER * shape[1]), np.uint8), *np.full((2, *shape), np.inf, np.float32)
    _mark(uvz[:n], f_spacing, left, top, marked, front, nearest)
    _cover(cv2.distanceTransform(marked, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), f_spacing, nearest, front, cover)
    colour, depth, sums = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.float32), np.zeros((*shape, 5), np.float32)
    _blend(uvz[:n], which, rgb, f_spacing, left, top, front, THICK * spacing_m, sums)
    _resolve(sums, colour, depth, cover)
    closed_colour, closed_depth = colour.copy(), depth.copy()
    _close(depth, colour, closed_depth, closed_colour, cover)
    return Splatted(left, top, closed_colour, closed_depth, cover)
