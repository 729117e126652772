"""Projective texturing: keyframes sampled into a view at full resolution, colour and depth.

The view's own depth leads every pixel back into the keyframe; where the keyframe's depth agrees,
its colour is read bilinearly and its depth corrects the view's. Unlike splatting the keyframe
forward this leaves no holes and, at the keyframe's own pose, gives its pixels back exactly.

Splats are wider than surfaces, so silhouettes drawn from voxels are fat. A keyframe knows better:
where it looked past the drawn point, the point it hit instead is tried, and then the next.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

ANGLE_FLOOR = 0.0087**2
"""Squared radians (half a degree) below which two view directions count as the same."""
TRIES = 4
"""Depths tried per pixel and keyframe when the keyframe looked past the drawn point."""


@njit(cache=True)
def _agree(
    z: float, rx: float, ry: float, rate: float, A: np.ndarray, g: np.ndarray, key_depth: np.ndarray, tol: float
) -> tuple[bool, float, float, float, float, float]:
    """Where a view's ray meets what the keyframe saw, starting at depth ``z`` and going deeper only.

    Returns:
        agreed, depth in the view, the point in keyframe axes (x, y, z), and the keyframe's depth
        there; not agreed when the point is outside, unknown to, or hidden from the keyframe.
    """
    h, w = key_depth.shape
    kx = ky = kz = d = np.float32(0.0)
    for _ in range(TRIES):
        px, py = rx * z, ry * z
        kx = A[0, 0] * px + A[0, 1] * py + A[0, 2] * z + A[0, 3]
        ky = A[1, 0] * px + A[1, 1] * py + A[1, 2] * z + A[1, 3]
        kz = A[2, 0] * px + A[2, 1] * py + A[2, 2] * z + A[2, 3]
        if kz <= np.float32(0.0):
            break
        u, v = g[0] * kx / kz + g[2], g[1] * ky / kz + g[3]
        if not (np.float32(0.0) <= u < w and np.float32(0.0) <= v < h):
            break
        d = key_depth[int(v), int(u)]
        if d <= np.float32(0.0) or kz - d > tol * d:
            break
        if d - kz <= tol * d:
            return True, z, kx, ky, kz, d
        z += (d - kz) / rate
    return False, z, kx, ky, kz, d


@njit(cache=True)
def _blend_sample(
    image: np.ndarray, u: float, v: float, weight: float, z: float, tolerance: float,
    weight_sum: np.ndarray, colour_sum: np.ndarray, depth_sum: np.ndarray, x: int,
) -> None:
    """Add the bilinear sample of ``image`` at (u, v) to the sums of pixel ``x`` of a row."""
    one, half, zero = np.float32(1.0), np.float32(0.5), np.float32(0.0)
    if weight_sum[x] > zero and abs(z * weight_sum[x] - depth_sum[x]) > tolerance * depth_sum[x]:
        # Two keyframes see two different surfaces here: the better placed one is right.
        if weight < weight_sum[x]:
            return
        weight_sum[x] = depth_sum[x] = zero
        colour_sum[x, 0] = colour_sum[x, 1] = colour_sum[x, 2] = zero
    last_v, last_u = image.shape[0] - 1, image.shape[1] - 1
    uc, vc = min(max(u - half, zero), np.float32(last_u)), min(max(v - half, zero), np.float32(last_v))
    x0, y0 = int(uc), int(vc)
    x1, y1 = min(x0 + 1, last_u), min(y0 + 1, last_v)
    ax, ay = uc - np.float32(x0), vc - np.float32(y0)
    w00, w01 = weight * (one - ay) * (one - ax), weight * (one - ay) * ax
    w10, w11 = weight * ay * (one - ax), weight * ay * ax
    weight_sum[x] += weight
    depth_sum[x] += weight * z
    for k in range(3):
        colour_sum[x, k] += (
            w00 * np.float32(image[y0, x0, k]) + w01 * np.float32(image[y0, x1, k])
            + w10 * np.float32(image[y1, x0, k]) + w11 * np.float32(image[y1, x1, k])
        )


@njit(cache=True)
def _warp_row(
    ry: float, sensed: np.ndarray, depth: np.ndarray, f: np.ndarray, g: np.ndarray, A: np.ndarray, key_rgb: np.ndarray,
    key_depth: np.ndarray, key_sensed: np.ndarray, tol: float,
    weight_sum: np.ndarray, colour_sum: np.ndarray, depth_sum: np.ndarray,
) -> None:
    """:func:`warp_into` for one row of the view, all in float32 (errors stay below 1e-3 px)."""
    one, half, two, floor = np.float32(1.0), np.float32(0.5), np.float32(2.0), np.float32(ANGLE_FLOOR)
    baseline2 = A[0, 3] ** 2 + A[1, 3] ** 2 + A[2, 3] ** 2
    for x in range(depth.size):
        if depth[x] <= np.float32(0.0):
            continue
        rx = (np.float32(x) + half - f[2]) / f[0]
        # How fast depth in the keyframe grows with depth in the view, along this pixel's ray.
        rate = A[2, 0] * rx + A[2, 1] * ry + A[2, 2]
        if rate <= np.float32(0.2):
            continue
        agreed, z, kx, ky, kz, d = _agree(depth[x], rx, ry, rate, A, g, key_depth, tol)
        if not agreed:
            continue
        inv = one / kz
        u, v = g[0] * kx * inv + g[2], g[1] * ky * inv + g[3]
        if sensed[x] > half and not key_sensed[int(v), int(u)]:
            continue
        # Squared angle between the two rays through the point, by the law of cosines.
        view2 = z * z * (rx * rx + ry * ry + one)
        key2 = kx * kx + ky * ky + kz * kz
        cos = (view2 + key2 - baseline2) * half / np.sqrt(view2 * key2)
        if cos <= np.float32(0.2):
            continue
        finer = min(g[0] * inv * z / f[0], one)
        weight = (finer / (two * (one - min(cos, one)) + floor)) ** 2
        _blend_sample(key_rgb, u, v, weight, z + (d - kz) / rate, tol, weight_sum, colour_sum, depth_sum, x)


@njit(cache=True, parallel=True)
def warp_into(
    sensed: np.ndarray, depth: np.ndarray, intrinsics: np.ndarray, T_world_cam: np.ndarray,
    key_rgb: np.ndarray, key_depth: np.ndarray, key_sensed: np.ndarray, key_intrinsics: np.ndarray, key_T_cam_world: np.ndarray,
    tolerance: float, weight_sum: np.ndarray, colour_sum: np.ndarray, depth_sum: np.ndarray,
) -> None:
    """Add one keyframe's samples to the weighted sums of a view: colour [H, W, 3], depth and weight [H, W].

    A sample counts where the keyframe's depth agrees with the view's point. Its weight falls with
    the fourth power of the angle between the two rays, so the nearest view direction rules and
    seams stay soft, and with the square of how much coarser the keyframe saw the surface. An
    invented sample never speaks where the view shows a measured surface.
    """
    f, g = intrinsics.astype(np.float32), key_intrinsics.astype(np.float32)
    A, tol = (key_T_cam_world @ T_world_cam).astype(np.float32), np.float32(tolerance)
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        ry = (np.float32(y) + np.float32(0.5) - f[3]) / f[1]
        _warp_row(
            ry, sensed[y], depth[y], f, g, A, key_rgb, key_depth, key_sensed, tol, weight_sum[y], colour_sum[y], depth_sum[y]
        )


@njit(cache=True, parallel=True)
def blend_warped(
    rgb: np.ndarray, depth: np.ndarray, weight_sum: np.ndarray, colour_sum: np.ndarray, depth_sum: np.ndarray
) -> None:
    """Put the keyframes' weighted colour and depth over the voxels' wherever a keyframe spoke."""
    h, w = weight_sum.shape
    for row in prange(h):
        y = np.int64(row)
        for x in range(w):
            if weight_sum[y, x] > 0.0:
                depth[y, x] = depth_sum[y, x] / weight_sum[y, x]
                for k in range(3):
                    rgb[y, x, k] = np.uint8(colour_sum[y, x, k] / weight_sum[y, x] + np.float32(0.5))
