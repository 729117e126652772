"""A rolling shutter: rows exposed one after the other while the camera moves.

The stamp of a picture is when its last row was exposed; the others were exposed before, along the way that led there.
So every row's pose is known, and is the one that tf interpolates at its time. The picture of the last pose is warped by
its depth: each surface point is put where the row that sees it saw it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import prange

from spatia_ros import geometry
from spatia_ros.kernels import njit
from spatia_ros.types import Camera, Float32, Float64, SpatiaError, Trajectory, UInt8, UInt16

DIRECTIONS = ("down", "up", "right", "left")
"""Which way the rows (or columns) are read out, as the image is looked at."""
MAX_READOUT_S = 1.0
FAR_M = 1e4
"""Where nothing is known it is taken for far away: it turns with the camera and does not shift."""
SEARCH = 6
SAME_SURFACE = 0.03
"""Depths that differ by less than this share are of one surface."""


@dataclass(frozen=True, slots=True)
class Shutter:
    """How a sensor is read out.

    Args:
        readout_s: from the first row's exposure to the last one's. direction: one of :data:`DIRECTIONS`.
    """

    readout_s: float
    direction: str = "down"

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise SpatiaError(f"shutter: expected a direction of {', '.join(DIRECTIONS)}, got {self.direction!r}")
        if not (np.isfinite(self.readout_s) and 0.0 <= self.readout_s <= MAX_READOUT_S):
            raise SpatiaError(f"shutter: expected a readout of 0..{MAX_READOUT_S} s, got {self.readout_s}")

    def turn_of(self, pixels: Float64, width: int, height: int) -> Float32:
        """When in the readout pixels [..., 2] of the image are exposed: 0 first .. 1 last."""
        along, side = (pixels[..., 1], height) if self.direction in ("down", "up") else (pixels[..., 0], width)
        turn = np.clip((along - 0.5) / max(side - 1, 1), 0.0, 1.0)
        return np.asarray(turn if self.direction in ("down", "right") else 1.0 - turn, np.float32)

    def poses(self, T_world_before: Float64, T_world_now: Float64, passed_s: float, steps: int) -> Float64:
        """``T_now_then`` [steps, 4, 4] of the camera through the readout, the last the identity.

        The way is the one from the frame before, ``passed_s`` ago: linear and slerp, as tf has it. A readout that began
        before that frame finds the camera standing there.
        """
        ends = Trajectory(np.array([0, max(round(passed_s * 1e9), 1)], np.int64), np.stack([T_world_before, T_world_now]))
        whole_ns = int(ends.stamps_ns[-1])
        ago_ns = np.linspace(1.0, 0.0, steps) * self.readout_s * 1e9
        at = np.clip(whole_ns - np.round(ago_ns), 0, whole_ns).astype(np.int64)
        return np.asarray(geometry.inverse(T_world_now) @ geometry.interpolate(ends, at))


def rolled(
    rgb: UInt8, depth: Float32, labels: UInt16, source: Camera, turn: Float32, T_now_then: Float64
) -> tuple[UInt8, Float32, UInt16]:
    """A picture exposed while the camera moved, from the one of its last pose.

    Args:
        rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 unknown. labels: uint16 [H, W, C], whatever goes with a pixel.
        source: the pinhole camera of all three. turn: float32 [H, W], 0..1, when each pixel is exposed.
        T_now_then: float64 [N, 4, 4], the camera at evenly spaced moments of the readout, in its last pose.

    Returns:
        The same three; what the last pose does not show is what lies behind it in its row, and 0 outside its picture.
    """
    intrinsics = np.array([source.fx, source.fy, source.cx, source.cy])
    forth, back = np.ascontiguousarray(T_now_then[:, :3]), np.ascontiguousarray(geometry.inverse(T_now_then)[:, :3])
    near = _nearest(depth, intrinsics, turn, back)
    out = np.zeros_like(rgb), np.zeros_like(depth), np.zeros_like(labels)
    _look_up(rgb, depth, labels, intrinsics, turn, forth, back, near, *out)
    return out


@njit(cache=True, inline="always")
def _moved(T: np.ndarray, x: float, y: float, z: float) -> tuple[float, float, float]:
    return (
        T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3],
        T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3],
        T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3],
    )


@njit(cache=True)
def _nearest(depth: np.ndarray, k: np.ndarray, turn: np.ndarray, back: np.ndarray) -> np.ndarray:
    """float32 [H, W]: the nearest depth that may be seen at each pixel when it is exposed; 0: nothing comes there."""
    height, width = depth.shape
    near = np.zeros((height, width), np.float32)
    last = len(back) - 1
    for j in range(height):
        for i in range(width):
            z = depth[j, i] if depth[j, i] > 0 else FAR_M
            x, y = (i + 0.5 - k[2]) / k[0] * z, (j + 0.5 - k[3]) / k[1] * z
            u, v, w = float(i) + 0.5, float(j) + 0.5, z
            at = -1
            for _ in range(4):  # which row sees it depends on where it is, and the other way round
                row, column = min(max(int(v), 0), height - 1), min(max(int(u), 0), width - 1)
                before, at = at, int(turn[row, column] * last + 0.5)
                if at == before:
                    break
                X, Y, w = _moved(back[at], x, y, z)
                if w <= 1e-3:
                    break
                u, v = X / w * k[0] + k[2], Y / w * k[1] + k[3]
            if w <= 1e-3:
                continue
            left, top = int(np.floor(u - 0.5)), int(np.floor(v - 0.5))
            for row in range(max(top, 0), min(top + 2, height)):
                for column in range(max(left, 0), min(left + 2, width)):
                    if near[row, column] == 0 or w < near[row, column]:
                        near[row, column] = w
    return near


@njit(cache=True)
def _found(
    depth: np.ndarray, k: np.ndarray, there: np.ndarray, here: np.ndarray, i: int, j: int, z: float
) -> tuple[float, float, float]:
    """Where in the last pose's picture a pixel's surface is, and how deep it is from the pixel's own pose (0: not found).

    Starts from a depth and follows what the picture says of it until both agree.
    """
    height, width = depth.shape
    x, y = (i + 0.5 - k[2]) / k[0], (j + 0.5 - k[3]) / k[1]
    for _ in range(SEARCH):
        X, Y, Z = _moved(there, x * z, y * z, z)
        if Z <= 1e-3:
            return 0.0, 0.0, 0.0
        u, v = X / Z * k[0] + k[2], Y / Z * k[1] + k[3]
        column, row = int(np.floor(u)), int(np.floor(v))
        if not (0 <= column < width and 0 <= row < height):
            return 0.0, 0.0, 0.0
        known = depth[row, column] if depth[row, column] > 0 else FAR_M
        if abs(known - Z) <= SAME_SURFACE * Z:
            return u, v, z
        _, _, w = _moved(here, (u - k[2]) / k[0] * known, (v - k[3]) / k[1] * known, known)
        if w <= 1e-3:
            return 0.0, 0.0, 0.0
        z = w
    return 0.0, 0.0, 0.0


@njit(cache=True, inline="always")
def _mix(rgb: np.ndarray, depth: np.ndarray, u: float, v: float, out: np.ndarray) -> None:
    """Colour between pixels, of those on the surface at a place."""
    height, width = depth.shape
    here = depth[int(v), int(u)]
    left, top = int(np.floor(u - 0.5)), int(np.floor(v - 0.5))
    red, green, blue, weight = 0.0, 0.0, 0.0, 0.0
    for row in range(max(top, 0), min(top + 2, height)):
        for column in range(max(left, 0), min(left + 2, width)):
            if abs(depth[row, column] - here) <= SAME_SURFACE * here:
                share = (1.0 - abs(u - 0.5 - column)) * (1.0 - abs(v - 0.5 - row))
                red, green = red + share * rgb[row, column, 0], green + share * rgb[row, column, 1]
                blue, weight = blue + share * rgb[row, column, 2], weight + share
    out[0], out[1], out[2] = red / weight + 0.5, green / weight + 0.5, blue / weight + 0.5


@njit(cache=True, parallel=True)
def _look_up(
    rgb: np.ndarray, depth: np.ndarray, labels: np.ndarray, k: np.ndarray, turn: np.ndarray, forth: np.ndarray,
    back: np.ndarray, near: np.ndarray, rgb_out: np.ndarray, depth_out: np.ndarray, labels_out: np.ndarray,
) -> None:
    height, width = depth.shape
    last = len(forth) - 1
    for j in prange(height):
        seen = np.zeros(width, np.uint8)
        for i in range(width):
            at = int(turn[j, i] * last + 0.5)
            u, v, z = 0.0, 0.0, 0.0
            if near[j, i] > 0:
                u, v, z = _found(depth, k, forth[at], back[at], i, j, near[j, i])
            if z == 0.0:
                u, v, z = _found(depth, k, forth[at], back[at], i, j, depth[j, i] if depth[j, i] > 0 else FAR_M)
            if z == 0.0:
                continue
            seen[i] = 1
            row, column = int(v), int(u)
            _mix(rgb, depth, u, v, rgb_out[j, i])
            depth_out[j, i] = np.float32(z) if depth[row, column] > 0 else np.float32(0.0)
            for c in range(labels.shape[2]):
                labels_out[j, i, c] = labels[row, column, c]
        _go_on(seen, rgb_out[j], depth_out[j], labels_out[j])


@njit(cache=True)
def _go_on(seen: np.ndarray, rgb: np.ndarray, depth: np.ndarray, labels: np.ndarray) -> None:
    """Gaps between two seen pixels of a row take the one that is farther away; in place."""
    width, left = len(seen), -1
    for i in range(width):
        if not seen[i]:
            continue
        if left >= 0 and i - left > 1:
            far_left = depth[left] == 0 or (depth[i] > 0 and depth[left] >= depth[i])
            source = left if far_left else i
            for gap in range(left + 1, i):
                rgb[gap], depth[gap], labels[gap] = rgb[source], depth[source], labels[source]
        left = i
