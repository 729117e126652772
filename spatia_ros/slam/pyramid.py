"""An RGB-D image at falling sizes, with what registration asks of it: intensity, its slope, depth, normals.

Depth is halved by averaging the nearest surface of each 2x2 pixels, so thin holes close on the way up and edges
stay edges. Normals come from inverse depth, which is linear across any plane: a least squares fit over the known
pixels around each pixel, so holes cost support and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.types import Camera, Float32, SpatiaError, UInt8, check_array

WINDOW = 2
"""Normals are fitted over (2 * WINDOW + 1) squared pixels,"""
MIN_SUPPORT = 8
"""of which so many must show the same surface."""
SAME_SURFACE = 0.05
"""Relative difference in depth below which neighbours lie on one surface."""
_BOX = np.ones((3, 3), np.uint8)
SMALLEST_PX = 40
"""No level is narrower."""


@dataclass(frozen=True)
class Level:
    """One size of an RGB-D image.

    Args:
        camera: its intrinsics. intensity: float32 [H, W], 0..1. depth: float32 [H, W], metres, 0 = unknown.
    """

    camera: Camera
    intensity: Float32
    depth: Float32

    @cached_property
    def slope(self) -> Float32:
        """Change of intensity per pixel to the right and downwards, float32 [H, W, 2].

        Zeros on depth edges: there two surfaces meet in the picture, and slide over one another when the camera moves.
        """
        slope = np.stack([cv2.Scharr(self.intensity, cv2.CV_32F, *axis, scale=1.0 / 32.0) for axis in ((1, 0), (0, 1))], -1)
        near = cv2.erode(np.where(self.depth > 0, self.depth, np.float32(np.inf)), _BOX)
        slope[cv2.dilate(self.depth, _BOX) * np.float32(1.0 / (1.0 + SAME_SURFACE)) > near] = 0.0
        return np.asarray(slope, np.float32)

    @cached_property
    def normals(self) -> Float32:
        """Unit normals towards the camera, float32 [H, W, 3], camera axes; zeros where there is none.

        Fitted at half the size: a quarter of the work, and tracks as far as could be measured just as well.
        """
        half = _halved(self)
        fitted = fit_normals(half.depth, intrinsics_of(half.camera).astype(np.float32))
        normals = np.zeros((*self.depth.shape, 3), np.float32)
        h, w = fitted.shape[:2]
        normals[: 2 * h, : 2 * w] = np.repeat(np.repeat(fitted, 2, 0), 2, 1)
        return normals


@dataclass(frozen=True, slots=True)
class RgbdPyramid:
    """The levels of one RGB-D image, largest first."""

    levels: tuple[Level, ...]

    @property
    def camera(self) -> Camera:
        """Intrinsics of the largest level."""
        return self.levels[0].camera


def build_pyramid(rgb: UInt8, depth: Float32, camera: Camera, *, width_px: int = 320, levels: int = 3) -> RgbdPyramid:
    """The pyramid of an RGB-D image.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 = unknown. camera: intrinsics of both.
        width_px: the image is halved until it is at most this wide: the largest level.
        levels: how many, fewer where they would get smaller than 40 px.

    Raises:
        SpatiaError: on images of another size or type, and on depth that is not finite and >= 0.
    """
    check_array("rgb", rgb, (camera.height, camera.width, 3), np.uint8)
    check_array("depth", depth, (camera.height, camera.width), np.float32)
    if not (np.isfinite(depth).all() and (depth >= 0).all()):
        raise SpatiaError("depth: expected finite metres >= 0 (0 = unknown), got NaN, infinity or negative numbers")
    intensity = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) * np.float32(1.0 / 255.0)
    level = Level(camera, intensity, depth)
    while level.camera.width > width_px:
        level = _halved(level)
    made = [level]
    while len(made) < levels and made[-1].camera.width // 2 >= SMALLEST_PX:
        made.append(_halved(made[-1]))
    return RgbdPyramid(tuple(made))


def _halved(level: Level) -> Level:
    w, h = level.camera.width // 2, level.camera.height // 2
    camera = level.camera.cropped(0, 0, 2 * w, 2 * h).resized(w, h)
    intensity = cv2.resize(level.intensity[: 2 * h, : 2 * w], (w, h), interpolation=cv2.INTER_AREA)
    return Level(camera, np.asarray(intensity, np.float32), halve_depth(level.depth))


@njit(cache=True)
def _halve_row(top: np.ndarray, bottom: np.ndarray, out: np.ndarray) -> None:
    for x in range(out.size):
        near = np.float32(np.inf)
        for d in (top[2 * x], top[2 * x + 1], bottom[2 * x], bottom[2 * x + 1]):
            if np.float32(0.0) < d < near:
                near = d
        total, count = np.float32(0.0), np.float32(0.0)
        for d in (top[2 * x], top[2 * x + 1], bottom[2 * x], bottom[2 * x + 1]):
            if np.float32(0.0) < d <= near * np.float32(1.0 + SAME_SURFACE):
                total += d
                count += np.float32(1.0)
        out[x] = total / count if count > np.float32(0.0) else np.float32(0.0)


@njit(cache=True)
def halve_depth(depth: np.ndarray) -> np.ndarray:
    """Half the size: the mean of the nearest surface among each 2x2 pixels, float32 [H // 2, W // 2]."""
    out = np.empty((depth.shape[0] // 2, depth.shape[1] // 2), np.float32)
    for y in range(out.shape[0]):
        _halve_row(depth[2 * y], depth[2 * y + 1], out[y])
    return out


@njit(cache=True, fastmath={"reassoc", "contract", "arcp", "nsz"})
def _normal_row(depth: np.ndarray, inverse: np.ndarray, y: int, f: np.ndarray, out: np.ndarray) -> None:
    """Around each pixel of a row, fit 1/z = a dx + b dy + c: (a, b, c) there is the normal over its distance."""
    h, w = depth.shape
    zero = np.float32(0.0)
    for x in range(w):
        out[x, 0] = out[x, 1] = out[x, 2] = zero
        z, here = depth[y, x], inverse[y, x]
        if z <= zero:
            continue
        reach = np.float32(SAME_SURFACE) * z
        n = sx = sy = sxx = sxy = syy = sr = sxr = syr = zero
        for j in range(max(y - WINDOW, 0), min(y + WINDOW + 1, h)):
            dy = np.float32(j - y)
            for i in range(max(x - WINDOW, 0), min(x + WINDOW + 1, w)):
                # An unknown depth, 0, is farther away than any reach.
                one = np.float32(abs(depth[j, i] - z) <= reach)
                dx, r = one * np.float32(i - x), one * (inverse[j, i] - here)
                n += one
                sx += dx
                sy += one * dy
                sxx += dx * dx
                sxy += dx * dy
                syy += one * dy * dy
                sr += r
                sxr += dx * r
                syr += dy * r
        mxx, mxy, myy = sxx - sx * sx / n, sxy - sx * sy / n, syy - sy * sy / n
        det = mxx * myy - mxy * mxy
        if n < np.float32(MIN_SUPPORT) or det <= np.float32(1.0):
            continue
        mx, my = sxr - sx * sr / n, syr - sy * sr / n
        a, b = (mx * myy - my * mxy) / det, (my * mxx - mx * mxy) / det
        # In pixels; per unit of the ray's slope it is f times as much, and c moves to the optical axis.
        nx, ny = a * f[0], b * f[1]
        to_axis_x, to_axis_y = np.float32(x) + np.float32(0.5) - f[2], np.float32(y) + np.float32(0.5) - f[3]
        nz = here + (sr - a * sx - b * sy) / n - a * to_axis_x - b * to_axis_y
        scale = -np.float32(1.0) / np.sqrt(nx * nx + ny * ny + nz * nz)
        out[x, 0], out[x, 1], out[x, 2] = nx * scale, ny * scale, nz * scale


@njit(cache=True, parallel=True)
def fit_normals(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Normals of a depth image, float32 [H, W, 3], camera axes, towards the camera; zeros where support is thin.

    Args:
        depth: float32 [H, W], metres, 0 = unknown. intrinsics: float32 [4], fx, fy, cx, cy.
    """
    out = np.empty((*depth.shape, 3), np.float32)
    inverse = np.float32(1.0) / np.maximum(depth, np.float32(1e-6))
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        _normal_row(depth, inverse, y, intrinsics, out[y])
    return out
