"""Resizing RGB-D images so that geometry stays true: colour is averaged, depth never is across edges."""

from __future__ import annotations

import math

import cv2
import numpy as np

from spatia_ros.kernels import njit
from spatia_ros.types import Camera, Float32, UInt8, check_array

EDGE_RATIO = 0.05
"""Neighbouring depths that differ by more than this share of the nearer lie on different surfaces."""


def crop_to_aspect(camera: Camera, width: int, height: int) -> tuple[int, int, int, int]:
    """The largest central window ``(left, top, width, height)`` px with the aspect of width:height."""
    scale = min(camera.width / width, camera.height / height)
    crop_width = min(camera.width, max(1, round(width * scale)))
    crop_height = min(camera.height, max(1, round(height * scale)))
    return (camera.width - crop_width) // 2, (camera.height - crop_height) // 2, crop_width, crop_height


def resize_rgb(rgb: UInt8, width: int, height: int) -> UInt8:
    """uint8 [H, W, 3] at another size: area average going down, bilinear going up."""
    check_array("resize_rgb.rgb", rgb, (None, None, 3), np.uint8)
    shrinks = width <= rgb.shape[1] and height <= rgb.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8)


def resize_depth(depth: Float32, width: int, height: int) -> Float32:
    """float32 [H, W] metres at another size, 0 = unknown.

    A pixel whose four source neighbours are known and lie on one surface takes the value
    bilinear in 1/z at its centre (exact for planes); any other takes the known source pixel
    nearest to its centre within its footprint, or 0 when there is none.
    """
    check_array("resize_depth.depth", depth, (None, None), np.float32)
    out = np.zeros((height, width), np.float32)
    _resample(depth, out)
    return out


@njit(cache=True)
def _resample(depth: np.ndarray, out: np.ndarray) -> None:
    height, width = depth.shape
    step_y, step_x = height / out.shape[0], width / out.shape[1]
    for i in range(out.shape[0]):
        y = min(max((i + 0.5) * step_y - 0.5, 0.0), height - 1.0)
        for j in range(out.shape[1]):
            x = min(max((j + 0.5) * step_x - 0.5, 0.0), width - 1.0)
            z = _on_one_surface(depth, y, x)
            out[i, j] = z if z > 0 else _nearest_known(depth, y, x, step_y, step_x)


@njit(cache=True)
def _on_one_surface(depth: np.ndarray, y: float, x: float) -> float:
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, depth.shape[0] - 1), min(x0 + 1, depth.shape[1] - 1)
    a, b, c, d = depth[y0, x0], depth[y0, x1], depth[y1, x0], depth[y1, x1]
    near = min(min(a, b), min(c, d))
    if near <= 0 or max(max(a, b), max(c, d)) > near * (1.0 + EDGE_RATIO):
        return 0.0
    v, u = y - y0, x - x0
    return 1.0 / ((1 - v) * ((1 - u) / a + u / b) + v * ((1 - u) / c + u / d))


@njit(cache=True)
def _nearest_known(depth: np.ndarray, y: float, x: float, step_y: float, step_x: float) -> float:
    reach_y, reach_x = max(step_y / 2, 0.5), max(step_x / 2, 0.5)
    best, z = math.inf, 0.0
    for p in range(max(0, math.ceil(y - reach_y)), min(depth.shape[0] - 1, math.floor(y + reach_y)) + 1):
        for q in range(max(0, math.ceil(x - reach_x)), min(depth.shape[1] - 1, math.floor(x + reach_x)) + 1):
            distance = (p - y) ** 2 + (q - x) ** 2
            if depth[p, q] > 0 and distance < best:
                best, z = distance, depth[p, q]
    return z
