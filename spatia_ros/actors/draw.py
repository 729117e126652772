"""Drawing actors over a finished picture: each alone, in a window of its own, then all by depth.

An actor's layer is made in two passes over its points. The first finds the front: a point covers the pixels whose
middle lies within a square of COVER spacings, at least half a pixel wide. So a surface is closed from near by, and
from afar as wide as it is: covering every pixel it shows ever so little in would make it wider. The second blends,
pixel by pixel, the colours and depths of all points of that front around the pixel (surface splatting: Zwicker et
al., SIGGRAPH 2001), so points far smaller than a pixel are averaged and not picked at random.

As each layer is made of one actor alone, what its pixels look like never depends on what another does.
:mod:`.truth` says the same in NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from spatia_ros import geometry
from spatia_ros.actors.cast import Posed
from spatia_ros.memory.splat import PAIRS
from spatia_ros.types import Bool, Camera, Float32, Float64, UInt8, UInt16, check_array

NEAR_M = 0.05
COVER = 1.2
"""Width of the square a point covers, in spacings."""
BLEND = 1.0
"""A point lends its colour to pixels up to this far from it, in spacings; a pixel's width at least."""
FRONT = 1.5
"""Points up to this far behind the nearest belong to the same front, in spacings."""
MAX_RADIUS_PX = 48.0
"""No point lends its colour farther than this, however near it is."""
EDGE_RATIO = 0.06
"""A pinhole is closed between pixels whose depths differ by less than this, relative."""
LEAST_HALF_PX = 0.25
WORK_A_PIXEL = 128
"""Points a pixel of the window blends on average at most: of more, every so-manieth is drawn."""
LEAST_WORK = 1 << 16


class Layer(NamedTuple):
    """One actor as a camera sees it, alone, in a window of the picture."""

    id: int
    left: int  # of the window in the picture, px
    top: int
    rgb: UInt8  # [h, w, 3]
    depth: Float32  # [h, w], metres, 0 where the actor is not
    invented: Bool  # [h, w], pixels that are the generator's

    def of(self, picture: np.ndarray) -> np.ndarray:
        """The layer's window of a picture [H, W, ...] (a view)."""
        h, w = self.depth.shape
        return picture[self.top : self.top + h, self.left : self.left + w]


class Drawn(NamedTuple):
    """A picture with actors in it."""

    rgb: UInt8  # [H, W, 3]
    depth: Float32  # [H, W], metres
    ids: UInt16  # [H, W], the actor each pixel shows, 0 = none
    invented: Bool  # [H, W], pixels of actors that are the generator's


@njit(cache=True, error_model="numpy")
def _project(
    xyz: np.ndarray, T: np.ndarray, intrinsics: np.ndarray, width: int, height: int, spacing_m: float,
    uvz: np.ndarray, which: np.ndarray, bounds: np.ndarray,
) -> tuple[int, float]:
    """The points in view: how many, and how many pixels they lend their colour to.

    Args:
        xyz: float32 [N, 3], metres, world. T: T_cam_world. uvz: float64 [N, 3] and which: int64 [N], filled: where they lie in
            the picture (px, px, m), and which point each is. bounds: int64 [4], filled: left, top, right, bottom of what they
            cover, the last two beyond it.
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
        n += 1
        work += (2.0 * radius + 1.0) ** 2
        x0, x1, y0, y1 = _square(u, v, _half(f * spacing_m / z), width, height)
        if x0 < x1 and y0 < y1:
            bounds[0], bounds[1] = min(bounds[0], x0), min(bounds[1], y0)
            bounds[2], bounds[3] = max(bounds[2], x1), max(bounds[3], y1)
    return n, work


@njit(cache=True, inline="always")
def _half(spacing_px: float) -> float:
    """Half the width of the square a point covers, px."""
    return min(max(0.5 * COVER * spacing_px, LEAST_HALF_PX), 0.5 * COVER * MAX_RADIUS_PX / BLEND)


@njit(cache=True, inline="always")
def _radius(spacing_px: float) -> float:
    """How far from a point its colour is lent, px."""
    return min(max(BLEND * spacing_px, 1.0), MAX_RADIUS_PX)


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
def _front(uvz: np.ndarray, step: int, f_spacing: float, left: int, top: int, front: np.ndarray) -> None:
    """Depth of the nearest point that covers each pixel of the window, float32 [h, w]; infinite where none does."""
    h, w = front.shape
    for i in range(0, uvz.shape[0], step):
        z = uvz[i, 2]
        x0, x1, y0, y1 = _square(uvz[i, 0] - left, uvz[i, 1] - top, _half(f_spacing / z), w, h)
        for y in range(y0, y1):
            for x in range(x0, x1):
                front[y, x] = min(front[y, x], np.float32(z))


@njit(cache=True, error_model="numpy")
def _blend(
    uvz: np.ndarray, which: np.ndarray, rgb: np.ndarray, step: int, f_spacing: float, left: int, top: int,
    front: np.ndarray, thickness_m: float, sums: np.ndarray,
) -> None:
    """Add up what the points of the front lend: float32 [h, w, 5], red, green, blue, depth, weight."""
    h, w = front.shape
    for i in range(0, uvz.shape[0], step):
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
                weight = np.float32(near * near)
                sums[y, x, 0] += weight * r
                sums[y, x, 1] += weight * g
                sums[y, x, 2] += weight * b
                sums[y, x, 3] += weight * np.float32(z)
                sums[y, x, 4] += weight


@njit(cache=True, error_model="numpy")
def _resolve(front: np.ndarray, sums: np.ndarray, rgb: np.ndarray, depth: np.ndarray) -> None:
    """What each pixel of the window shows: the weighted mean of what it was lent."""
    h, w = front.shape
    for y in range(h):
        for x in range(w):
            if front[y, x] == np.inf:
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
def _close(depth: np.ndarray, rgb: np.ndarray, closed_depth: np.ndarray, closed_rgb: np.ndarray) -> None:
    """Give an empty pixel between two of one surface their mean; what is closed closes nothing else."""
    h, w = depth.shape
    for y in range(1, h - 1):
        for x in range(1, w - 1):
            k = _pair(depth, y, x) if depth[y, x] == 0.0 else -1
            if k < 0:
                continue
            dy, dx = PAIRS[k]
            closed_depth[y, x] = np.float32(0.5) * (depth[y - dy, x - dx] + depth[y + dy, x + dx])
            for c in range(3):
                mean = np.float32(0.5) * (np.float32(rgb[y - dy, x - dx, c]) + np.float32(rgb[y + dy, x + dx, c]))
                closed_rgb[y, x, c] = np.uint8(mean + np.float32(0.5))


def in_view(low: Float64, high: Float64, camera: Camera, T_world_cam: Float64) -> bool:
    """Whether a world-axis box [3], [3] (metres) may show in a picture; never false where it does."""
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), -1).reshape(8, 3)
    x, y, z = ((corners - T_world_cam[:3, 3]) @ T_world_cam[:3, :3]).T
    # Each border of the picture is a plane through the camera: a box outside one of them is out of view.
    sides = (
        camera.fx * x + camera.cx * z, (camera.width - camera.cx) * z - camera.fx * x,
        camera.fy * y + camera.cy * z, (camera.height - camera.cy) * z - camera.fy * y, z - NEAR_M,
    )  # fmt: skip
    return all(side.max() >= 0.0 for side in sides)


def draw_layer(posed: Posed, camera: Camera, T_world_cam: Float64) -> Layer | None:
    """One actor as a camera sees it, alone; None where it is out of view."""
    margin = posed.points.spacing_m
    if not in_view(posed.low - margin, posed.high + margin, camera, T_world_cam):
        return None
    return splat_points(posed.id, posed.points.xyz, posed.points.rgb, margin, camera, T_world_cam)


def splat_points(
    number: int, xyz: Float32, rgb: UInt8, spacing_m: float, camera: Camera, T_world_cam: Float64
) -> Layer | None:
    """The layer of an actor's coloured points, ``spacing_m`` apart; None when none is in view.

    Args:
        xyz: float32 [N, 3], metres, world. rgb: uint8 [N, 3].
    """
    check_array("points.xyz", xyz, (None, 3), np.float32)
    check_array("points.rgb", rgb, (len(xyz), 3), np.uint8)
    intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    uvz, which, bounds = np.empty((len(xyz), 3)), np.empty(len(xyz), np.int64), np.empty(4, np.int64)
    T = geometry.inverse(T_world_cam)
    n, work = _project(xyz, T, intrinsics, camera.width, camera.height, spacing_m, uvz, which, bounds)
    left, top, right, bottom = bounds.tolist()
    if left >= right:
        return None
    shape, f_spacing = (bottom - top, right - left), max(camera.fx, camera.fy) * spacing_m
    step = max(1, int(np.ceil(work / max(WORK_A_PIXEL * shape[0] * shape[1], LEAST_WORK))))
    front, sums = np.full(shape, np.inf, np.float32), np.zeros((*shape, 5), np.float32)
    _front(uvz[:n], step, f_spacing, left, top, front)
    _blend(uvz[:n], which, rgb, step, f_spacing, left, top, front, FRONT * spacing_m, sums)
    colour, depth = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.float32)
    _resolve(front, sums, colour, depth)
    closed_colour, closed_depth = colour.copy(), depth.copy()
    _close(depth, colour, closed_depth, closed_colour)
    return Layer(number, left, top, closed_colour, closed_depth, np.zeros(shape, np.bool_))


def compose(rgb: UInt8, depth: Float32, layers: Sequence[Layer]) -> Drawn:
    """Layers over a picture, the nearer in front; where both are as far, the picture, then the first layer.

    Args:
        rgb: uint8 [H, W, 3] and depth: float32 [H, W], metres, 0 = unknown (behind everything); they stay as they are.
    """
    drawn = Drawn(rgb.copy(), depth.copy(), np.zeros(depth.shape, np.uint16), np.zeros(depth.shape, np.bool_))
    for layer in layers:
        behind = layer.of(drawn.depth)
        nearer = (layer.depth > 0) & ((behind == 0) | (layer.depth < behind))
        for whole, part in ((drawn.rgb, layer.rgb), (drawn.depth, layer.depth), (drawn.invented, layer.invented)):
            layer.of(whole)[nearer] = part[nearer]
        layer.of(drawn.ids)[nearer] = layer.id
    return drawn


def draw(rgb: UInt8, depth: Float32, posed: Sequence[Posed], camera: Camera, T_world_cam: Float64) -> Drawn:
    """Actors over a picture, hidden by what is nearer and hiding what is farther.

    Args:
        rgb: uint8 [H, W, 3] and depth: float32 [H, W], metres, 0 = unknown, of the picture without them, unchanged.
    """
    check_array("depth", depth, (camera.height, camera.width), np.float32)
    check_array("rgb", rgb, (camera.height, camera.width, 3), np.uint8)
    layers = (draw_layer(each, camera, T_world_cam) for each in posed)
    return compose(rgb, depth, [layer for layer in layers if layer is not None])
