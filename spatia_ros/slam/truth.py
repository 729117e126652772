"""What the kernels of registration compute, in plain NumPy: slow, readable, and held against them by a test."""

from __future__ import annotations

import numpy as np

from spatia_ros import geometry
from spatia_ros.config import TrackingConfig
from spatia_ros.slam.odometry import NEAREST_M, STEEP, TERMS, UNKNOWNS
from spatia_ros.slam.pyramid import MIN_SUPPORT, SAME_SURFACE, WINDOW, Level
from spatia_ros.types import Camera, Float64


def normals(depth: np.ndarray, camera: Camera) -> Float64:
    """Normals of a depth image by one least squares fit a pixel, float64 [H, W, 3]; see :func:`.pyramid.fit_normals`.

    A plane n . X = d is 1/z = (n / d) . ray: linear in the ray through the pixel. The fit's three coefficients are the normal.
    """
    h, w = depth.shape
    rays, out = geometry.pixel_rays(camera), np.zeros((h, w, 3))
    for y, x in zip(*np.nonzero(depth), strict=True):
        window = slice(max(y - WINDOW, 0), y + WINDOW + 1), slice(max(x - WINDOW, 0), x + WINDOW + 1)
        z = depth[window].astype(np.float64)
        same = np.abs(z - depth[y, x]) <= SAME_SURFACE * depth[y, x]
        spots = rays[window][same]
        if same.sum() < MIN_SUPPORT or np.linalg.matrix_rank(spots - spots.mean(0), tol=1e-6) < 2:
            continue
        n = np.linalg.lstsq(spots, 1.0 / z[same], rcond=None)[0]
        out[y, x] = -n / np.linalg.norm(n)
    return out


def normal_equations(
    source: Level, target: Level, T_target_source: Float64, gain: Float64, level: int, config: TrackingConfig
) -> Float64:
    """:func:`.odometry.normal_equations`, every residual and Jacobian written out: float64 [SUMS]."""
    stride = config.stride_px if level == 0 else 1
    y, x = np.indices(source.depth.shape)
    used = (source.depth > 0) & (x % stride == y % stride)
    p = (geometry.pixel_rays(source.camera) * source.depth[..., None])[used]
    R = T_target_source[:3, :3]
    q = p @ R.T + T_target_source[:3, 3]
    known, told = len(p), source.intensity[used].astype(np.float64)

    pixels, depth_there = geometry.project(q, target.camera, np.eye(4))
    h, w = target.depth.shape
    inside = (depth_there > NEAREST_M) & (pixels >= 0.5).all(1) & (pixels[:, 0] < w - 0.5) & (pixels[:, 1] < h - 0.5)
    p, q, told, pixels = p[inside], q[inside], told[inside], pixels[inside]
    u, v = pixels.astype(np.int64).T
    z, n = target.depth[v, u].astype(np.float64), target.normals[v, u].astype(np.float64)
    seen = (z > 0) & (n[:, 2] != 0)
    p, q, told, pixels, u, v, z, n = (a[seen] for a in (p, q, told, pixels, u, v, z, n))

    surface = geometry.pixel_rays(target.camera)[v, u] * z[:, None]
    distance = ((q - surface) * n).sum(1)
    gate = config.gate_ratio * 2.0**level * z
    near = (np.abs(distance) <= gate) & (np.abs(q[:, 2] - z) <= STEEP * gate)
    p, q, told, pixels, n, distance = (a[near] for a in (p, q, told, pixels, n, distance))

    sigma = config.depth_noise_m + config.depth_noise_ratio * q[:, 2] ** 2
    J_geometry = np.concatenate([_jacobian(n @ R, p), np.zeros((len(p), 2))], 1) / sigma[:, None]
    brightness, slope = _bilinear(target.intensity[..., None], pixels)[:, 0], _bilinear(target.slope, pixels)
    k = slope * (target.camera.fx, target.camera.fy) / q[:, 2:]
    k = np.column_stack([k, -(k * q[:, :2]).sum(1) / q[:, 2]])
    factor = np.exp(gain[0])
    difference = brightness - factor * told - gain[1]
    J_colour = np.column_stack([_jacobian(k @ R, p), -factor * told, -np.ones(len(p))]) / config.colour_noise

    H, b = np.zeros((UNKNOWNS, UNKNOWNS)), np.zeros(UNKNOWNS)
    for J, r in ((J_geometry, distance / sigma), (J_colour, difference / config.colour_noise)):
        weight = np.minimum(1.0, config.huber / np.maximum(np.abs(r), 1e-6)) * (J[:, :6] != 0).any(1)
        H += (J * weight[:, None]).T @ J
        b += (J * weight[:, None]).T @ r
    compared = (slope != 0).any(1)
    bright = brightness[compared]
    tallies = [known, len(z), len(p), (distance**2).sum()]
    tallies += [compared.sum(), (difference[compared] ** 2).sum(), bright.sum(), (bright**2).sum()]
    assert len(H[np.triu_indices(UNKNOWNS)]) == TERMS
    return np.concatenate([H[np.triu_indices(UNKNOWNS)], b, tallies])


def _jacobian(m: Float64, p: Float64) -> Float64:
    """Change of a residual with gradient ``m`` [N, 3] (source axes) at points ``p`` per unit of twist: [N, 6]."""
    return np.concatenate([m, np.cross(p, m)], 1)


def _bilinear(image: np.ndarray, pixels: Float64) -> Float64:
    """Samples [N, C] of an image [H, W, C] at pixel coordinates [N, 2], centres at +0.5."""
    corner = np.floor(pixels - 0.5).astype(np.int64)
    x, y = np.minimum(corner, (image.shape[1] - 2, image.shape[0] - 2)).T
    a, b = (pixels - 0.5 - np.column_stack([x, y])).T[..., None]
    top = image[y, x] * (1 - a) + image[y, x + 1] * a
    return top * (1 - b) + (image[y + 1, x] * (1 - a) + image[y + 1, x + 1] * a) * b
