"""What :mod:`.splat` computes, in plain NumPy: every point held against every pixel. Slow, for tests."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from spatia_ros import geometry
from spatia_ros.actors.splat import BLEND, EDGE_RATIO, FINER, LEAST_COVER, MAX_RADIUS_PX, NEAR_M, RIM, THICK, WIDE
from spatia_ros.memory.splat import PAIRS
from spatia_ros.types import Bool, Camera, Float32, Float64, UInt8


def splat(xyz: Float32, rgb: UInt8, spacing_m: float, camera: Camera, T_world_cam: Float64) -> tuple[UInt8, Float32, Float32]:
    """Coloured points in an empty picture.

    Returns:
        rgb uint8 [H, W, 3], depth float32 [H, W] in metres, 0 where there is none, and the share of each pixel that is
        covered, float32 [H, W].
    """
    (x, y, z), rgb = _in_camera(xyz, T_world_cam), rgb.astype(np.float64)
    ahead = z >= NEAR_M
    x, y, z, rgb = x[ahead], y[ahead], z[ahead], rgb[ahead]
    u, v, spacing_px = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy, max(camera.fx, camera.fy) * spacing_m / z
    wide = _half(WIDE, spacing_px)
    radius = np.clip(BLEND * spacing_px, 1.0, MAX_RADIUS_PX)[:, None, None]
    far = z[:, None, None]
    right, below = _offsets(u, v, camera.height, camera.width)
    reaches = _within(*_offsets(FINER * u, FINER * v, FINER * camera.height, FINER * camera.width), FINER * wide)
    marks = reaches.reshape(len(z), camera.height, FINER, camera.width, FINER).any((2, 4))
    nearest = np.where(marks, far, np.inf).min(0, initial=np.inf)
    front = np.where(_within(right, below, wide), far, np.inf).min(0, initial=np.inf)
    front = np.where(np.isinf(front), nearest, front)
    cover = _covered(np.asarray(reaches.any(0)), nearest, max(camera.fx, camera.fy) * spacing_m)
    nearness = 1.0 - (right / radius) ** 2 - (below / radius) ** 2
    lent = np.where((nearness > 0) & (far <= front + THICK * spacing_m), np.maximum(nearness, 0.0) ** 3, 0.0)
    shown, share = (cover >= LEAST_COVER) & (lent.sum(0) > 0), 1.0 / np.maximum(lent.sum(0), 1e-30)
    colour = np.where(shown[..., None], np.einsum("nyx,nc->yxc", lent, rgb) * share[..., None] + 0.5, 0.0)
    depth = np.where(shown, (lent * far).sum(0) * share, 0.0).astype(np.float32)
    covered = np.where(shown, cover, 0.0).astype(np.float32)
    return close_pinholes(np.minimum(colour, 255).astype(np.uint8), depth, covered)


def _offsets(u: Float64, v: Float64, height: int, width: int) -> tuple[Float64, Float64]:
    """Where the middles of pixels are, seen from points: columns [N, 1, W] and rows [N, H, 1]."""
    return np.arange(width) + 0.5 - u[:, None, None], np.arange(height)[:, None] + 0.5 - v[:, None, None]


def _within(right: Float64, below: Float64, half: Float64) -> Bool:
    """bool [N, H, W], pixels whose middle lies in the squares around points."""
    half = half[:, None, None]
    return (right >= -half) & (right < half) & (below >= -half) & (below < half)


def _half(share: float, spacing_px: Float64) -> Float64:
    return np.clip(share * spacing_px, 0.5 / FINER, MAX_RADIUS_PX * share / BLEND)


def _covered(marked: Bool, nearest: Float64, f_spacing: float) -> Float64:
    """Share [H, W] of each pixel within the silhouette of finer pixels marked, drawn in again to where the points are."""
    z = np.where(np.isinf(nearest), 1.0, nearest.astype(np.float32))
    drawn_in = FINER * (_half(WIDE, f_spacing / z) - RIM * f_spacing / z)
    inside = distance_transform_edt(marked) - np.kron(drawn_in, np.ones((FINER, FINER)))
    height, width = nearest.shape
    return np.clip(inside, 0.0, 1.0).reshape(height, FINER, width, FINER).mean((1, 3)) * np.isfinite(nearest)


def _in_camera(xyz: Float32, T_world_cam: Float64) -> Float64:
    """Points [3, N] in the camera's frame, m."""
    T, (X, Y, Z) = geometry.inverse(T_world_cam), xyz.astype(np.float64).T
    return np.stack([T[i, 0] * X + T[i, 1] * Y + T[i, 2] * Z + T[i, 3] for i in range(3)])


def close_pinholes(rgb: UInt8, depth: Float32, cover: Float32) -> tuple[UInt8, Float32, Float32]:
    """The same with empty pixels between two of one surface given their mean, the nearest such pair's; all three are covered."""
    out_rgb, out_depth, out_cover = rgb.copy(), depth.copy(), cover.copy()
    for y, x in np.argwhere(depth[1:-1, 1:-1] == 0) + 1:
        best = np.inf
        for dy, dx in PAIRS:
            a, b = (y - dy, x - dx), (y + dy, x + dx)
            near, far = sorted((depth[a], depth[b]))
            if near > 0 and far - near <= EDGE_RATIO * near and near + far < best:
                best, pair = near + far, (a, b)
        if np.isfinite(best):
            a, b = pair
            out_depth[y, x] = 0.5 * (depth[a] + depth[b])
            out_rgb[y, x] = (0.5 * (rgb[a].astype(np.float32) + rgb[b]) + 0.5).astype(np.uint8)
            out_cover[y, x] = out_cover[a] = out_cover[b] = 1.0
    return out_rgb, out_depth, out_cover
