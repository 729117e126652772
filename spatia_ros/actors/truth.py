"""What :mod:`.draw` computes, in plain NumPy: every point held against every pixel. Slow, for tests."""

from __future__ import annotations

import numpy as np

from spatia_ros import geometry
from spatia_ros.actors.draw import BLEND, COVER, EDGE_RATIO, FRONT, LEAST_HALF_PX, MAX_RADIUS_PX, NEAR_M
from spatia_ros.memory.splat import PAIRS
from spatia_ros.types import Camera, Float32, Float64, UInt8


def splat_points(xyz: Float32, rgb: UInt8, spacing_m: float, camera: Camera, T_world_cam: Float64) -> tuple[UInt8, Float32]:
    """Coloured points in an empty picture: rgb uint8 [H, W, 3] and depth float32 [H, W], metres, 0 where none is."""
    (x, y, z), rgb = _in_camera(xyz, T_world_cam), rgb.astype(np.float64)
    ahead = z >= NEAR_M
    x, y, z, rgb = x[ahead], y[ahead], z[ahead], rgb[ahead]
    u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
    spacing_px = max(camera.fx, camera.fy) * spacing_m / z
    half = np.clip(0.5 * COVER * spacing_px, LEAST_HALF_PX, 0.5 * COVER * MAX_RADIUS_PX / BLEND)
    radius = np.clip(BLEND * spacing_px, 1.0, MAX_RADIUS_PX)
    # A point's place relative to a pixel's middle: [N, 1, W] and [N, H, 1].
    right = np.arange(camera.width) + 0.5 - u[:, None, None]
    below = np.arange(camera.height)[:, None] + 0.5 - v[:, None, None]
    half, radius, far = half[:, None, None], radius[:, None, None], z[:, None, None]
    covers = (right >= -half) & (right < half) & (below >= -half) & (below < half)
    front = np.where(covers, far, np.inf).min(0, initial=np.inf)
    nearness = 1.0 - (right / radius) ** 2 - (below / radius) ** 2
    lent = np.where((nearness > 0) & (far <= front + FRONT * spacing_m), np.maximum(nearness, 0.0) ** 2, 0.0)
    shown, share = np.isfinite(front), 1.0 / np.maximum(lent.sum(0), 1e-30)
    colour = np.where(shown[..., None], np.einsum("nyx,nc->yxc", lent, rgb) * share[..., None] + 0.5, 0.0)
    depth = np.where(shown, (lent * far).sum(0) * share, 0.0)
    return close_pinholes(np.minimum(colour, 255).astype(np.uint8), depth.astype(np.float32))


def _in_camera(xyz: Float32, T_world_cam: Float64) -> Float64:
    """Points [3, N] in the camera's frame, m."""
    T, (X, Y, Z) = geometry.inverse(T_world_cam), xyz.astype(np.float64).T
    return np.stack([T[i, 0] * X + T[i, 1] * Y + T[i, 2] * Z + T[i, 3] for i in range(3)])


def close_pinholes(rgb: UInt8, depth: Float32) -> tuple[UInt8, Float32]:
    """The same with empty pixels between two of one surface given their mean, the nearest such pair's."""
    h, w = depth.shape
    best, out_rgb, out_depth = np.full((h - 2, w - 2), np.inf), rgb.copy(), depth.copy()
    inner_rgb, inner_depth = out_rgb[1:-1, 1:-1], out_depth[1:-1, 1:-1]
    for dy, dx in PAIRS:
        rows, columns = (slice(1 - d, n - 1 - d) for d, n in ((dy, h), (dx, w)))
        opposite_rows, opposite_columns = (slice(1 + d, n - 1 + d) for d, n in ((dy, h), (dx, w)))
        a, b = depth[rows, columns], depth[opposite_rows, opposite_columns]
        fits = (depth[1:-1, 1:-1] == 0) & (a > 0) & (b > 0) & (abs(a - b) <= EDGE_RATIO * np.minimum(a, b)) & (a + b < best)
        best[fits] = (a + b)[fits]
        inner_depth[fits] = 0.5 * (a + b)[fits]
        mean = 0.5 * (rgb[rows, columns].astype(np.float32) + rgb[opposite_rows, opposite_columns])
        inner_rgb[fits] = (mean + 0.5).astype(np.uint8)[fits]
    return out_rgb, out_depth
