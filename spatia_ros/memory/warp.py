"""Projective texturing: keyframes sampled into a view at full resolution, colour and depth.

The view's own depth leads every pixel back into the keyframe; where the keyframe's depth agrees,
its colour is read bilinearly and its depth corrects the view's. Unlike splatting the keyframe
forward this leaves no holes and, at the keyframe's own pose, gives its pixels back exactly.

Splats are wider than surfaces, so silhouettes drawn from voxels are fat. A keyframe knows better:
where it looked past the drawn point, the point it hit instead is tried, and then the next. But only
down to what the view itself draws within a splat's width: farther in than that, a keyframe that looked
through is one from before the thing was there, and the thing stays.
"""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit, prange

ANGLE_FLOOR = 0.0087**2
"""Squared radians (half a degree) below which two view directions count as the same."""
TRIES = 4
"""Depths tried per pixel and keyframe when the keyframe looked past the drawn point."""
VOXEL_WEIGHT = 0.01
"""What a voxel's own colour counts: less than any clear sample, more than one of mixed colours seen from 3 degrees beside."""
NO, YES, PAST = range(3)
"""What a keyframe says of a point: nothing, that it saw it, that it saw something behind it."""
MAX_RIM_PX = 16
"""Splats are taken to be no wider than this to either side when silhouettes are looked for."""


def deepest_nearby(depth: np.ndarray, focal_px: float, splat_m: float) -> np.ndarray:
    """The farthest depth drawn within a splat's width of each pixel, float32 [H, W], metres, 0 where nothing is near.

    Args:
        depth: float32 [H, W], metres, 0 = nothing. splat_m: half-width of a splat, metres; the width taken is that of
            the nearest splats, for a silhouette is as fat as the nearer surface's.
    """
    known = depth[::8, ::8][depth[::8, ::8] > 0]
    nearest = float(np.percentile(known, 5)) if len(known) else 1.0
    reach_px = int(np.clip(np.ceil(focal_px * splat_m / nearest), 1, MAX_RIM_PX))
    return cv2.dilate(depth, np.ones((2 * reach_px + 1, 2 * reach_px + 1), np.uint8))


@njit(cache=True, error_model="numpy")
def _deeper_row(
    verdict: np.ndarray, zs: np.ndarray, ry: float, f: np.ndarray, A: np.ndarray, g: np.ndarray, key_depth: np.ndarray,
    width: int, height: int, tol: float, deepest: np.ndarray, columns: np.ndarray, found: np.ndarray,
) -> int:
    """Where the rays of a row's pixels meet what the keyframe saw, if it looked past the point drawn there.

    From the depth ``zs`` on, going deeper only, and given up where the way leads outside, past ``deepest``, or where
    the keyframe saw nothing, or something before it. Writes the columns (int32) and depths (float32) found; returns how many.
    """
    zero, count = np.float32(0.0), 0
    for x in range(verdict.size):
        if verdict[x] != PAST:
            continue
        z, rx = zs[x], (np.float32(x) + np.float32(0.5) - f[2]) / f[0]
        rate = A[2, 0] * rx + A[2, 1] * ry + A[2, 2]
        limit = deepest[x] + tol * deepest[x]
        for _ in range(TRIES - 1):
            if z > limit:
                break
            px, py = rx * z, ry * z
            kz = A[2, 0] * px + A[2, 1] * py + A[2, 2] * z + A[2, 3]
            if kz <= zero:
                break
            u = g[0] * (A[0, 0] * px + A[0, 1] * py + A[0, 2] * z + A[0, 3]) / kz + g[2]
            v = g[1] * (A[1, 0] * px + A[1, 1] * py + A[1, 2] * z + A[1, 3]) / kz + g[3]
            if not (zero <= u < width and zero <= v < height):
                break
            d = key_depth[np.uint64(v) * np.uint64(width) + np.uint64(u)]
            if d <= zero or kz - d > tol * d:
                break
            if d - kz <= tol * d:
                columns[count], found[count] = x, z
                count += 1
                break
            z += (d - kz) / rate
    return count


@njit(cache=True, error_model="numpy")
def _project_row(
    columns: np.ndarray, ry: float, depth: np.ndarray, f: np.ndarray, g: np.ndarray, A: np.ndarray, width: int, height: int,
    us: np.ndarray, vs: np.ndarray, kzs: np.ndarray, at: np.ndarray,
) -> None:
    """Pixel (float32 [W] each), depth, and place in the keyframe's image (int32 [W], -1: outside) of a row's points.

    Args:
        columns: int32 [W] of the points. ry: slope of the row's rays. depth: float32 [W] of the points, metres.

    No branch, no call and no look-up, so that it is vectorised; so is :func:`_judge_row`.
    """
    zero, one, half, least = np.float32(0.0), np.float32(1.0), np.float32(0.5), np.float32(0.2)
    wide, tall, step, nowhere = np.float32(width), np.float32(height), np.int32(width), np.int32(-1)
    xx, xy, xz, xt = A[0]
    yx, yy, yz, yt = A[1]
    zx, zy, zz, zt = A[2]
    for x in range(depth.size):
        z, rx = depth[x], (np.float32(columns[x]) + half - f[2]) / f[0]
        px, py = rx * z, ry * z
        kz = zx * px + zy * py + zz * z + zt
        inv = one / kz
        u = g[0] * (xx * px + xy * py + xz * z + xt) * inv + g[2]
        v = g[1] * (yx * px + yy * py + yz * z + yt) * inv + g[3]
        rate = zx * rx + zy * ry + zz
        inside = (z > zero) & (rate > least) & (kz > zero) & (u >= zero) & (u < wide) & (v >= zero) & (v < tall)
        column, row = np.int32(u if inside else zero), np.int32(v if inside else zero)
        us[x], vs[x], kzs[x] = u, v, kz
        at[x] = row * step + column if inside else nowhere


@njit(cache=True, error_model="numpy")
def _judge_row(
    columns: np.ndarray, ry: float, depth: np.ndarray, f: np.ndarray, g: np.ndarray, A: np.ndarray, tol: float,
    kzs: np.ndarray, ds: np.ndarray, zs: np.ndarray, weights: np.ndarray, verdict: np.ndarray,
) -> None:
    """What the keyframe's depths (float32 [W], 0: none) say of a row's points.

    Args:
        zs, weights: float32 [W], written: the depth it gives in the view, and how much that counts.
        verdict: uint8 [W], written: NO, YES, or PAST where the keyframe looked past the point.
    """
    zero, one, half, two = np.float32(0.0), np.float32(1.0), np.float32(0.5), np.float32(2.0)
    floor, least, yes, past, no = np.float32(ANGLE_FLOOR), np.float32(0.2), np.uint8(YES), np.uint8(PAST), np.uint8(NO)
    xx, xy, xz, xt = A[0]
    yx, yy, yz, yt = A[1]
    zx, zy, zz, zt = A[2]
    baseline2 = xt**2 + yt**2 + zt**2
    for x in range(depth.size):
        z, rx, kz, d = depth[x], (np.float32(columns[x]) + half - f[2]) / f[0], kzs[x], ds[x]
        # How fast depth in the keyframe grows with depth in the view, along this pixel's ray.
        rate = zx * rx + zy * ry + zz
        px, py = rx * z, ry * z
        kx, ky = xx * px + xy * py + xz * z + xt, yx * px + yy * py + yz * z + yt
        may, agreed = (d > zero) & (kz - d <= tol * d), d - kz <= tol * d
        # Squared angle between the two rays through the point, by the law of cosines.
        view2 = z * z * (rx * rx + ry * ry + one)
        key2 = kx * kx + ky * ky + kz * kz
        cos = (view2 + key2 - baseline2) * half / np.sqrt(view2 * key2)
        finer = min(g[0] * (one / kz) * z / f[0], one)
        share = finer / (two * (one - min(cos, one)) + floor)
        zs[x], weights[x] = z + (d - kz) / rate, share * share
        said = yes if cos > least else no
        verdict[x] = (said if agreed else past) if may else no


@njit(cache=True)
def _meet_row(
    columns: np.ndarray, ry: float, depth: np.ndarray, f: np.ndarray, g: np.ndarray, A: np.ndarray, key_depth: np.ndarray,
    width: int, height: int, tol: float, rows: np.ndarray, at: np.ndarray, verdict: np.ndarray,
) -> None:
    """Where a row's points lie in the keyframe (float32 [H * W] depths), and what it says of them.

    ``rows`` are float32 [6, W], written: pixel u, v, depth in the keyframe, the keyframe's own, depth it gives, weight.
    """
    _project_row(columns, ry, depth, f, g, A, width, height, rows[0], rows[1], rows[2], at)
    for x in range(depth.size):
        rows[3, x] = key_depth[np.uint64(at[x])] if at[x] >= 0 else np.float32(0.0)
    _judge_row(columns, ry, depth, f, g, A, tol, rows[2], rows[3], rows[4], rows[5], verdict)


@njit(cache=True, error_model="numpy")
def _blend_row(
    image: np.ndarray, width: int, height: int, us: np.ndarray, vs: np.ndarray, weights: np.ndarray, zs: np.ndarray,
    verdict: np.ndarray, tolerance: float, weight_sum: np.ndarray, colour_sum: np.ndarray, depth_sum: np.ndarray,
) -> None:
    """Add bilinear samples of ``image``, uint8 [3 H W], to the sums of the row's pixels whose verdict is YES."""
    one, half, zero = np.float32(1.0), np.float32(0.5), np.float32(0.0)
    last_v, last_u, line = height - 1, width - 1, 3 * width
    for x in range(verdict.size):
        if verdict[x] != YES:
            continue
        weight, z = weights[x], zs[x]
        if weight_sum[x] > zero and abs(z * weight_sum[x] - depth_sum[x]) > tolerance * depth_sum[x]:
            # Two keyframes see two different surfaces here: the better placed one is right.
            if weight < weight_sum[x]:
                continue
            weight_sum[x] = depth_sum[x] = zero
            colour_sum[x, 0] = colour_sum[x, 1] = colour_sum[x, 2] = zero
        uc, vc = min(max(us[x] - half, zero), np.float32(last_u)), min(max(vs[x] - half, zero), np.float32(last_v))
        x0, y0 = np.int64(uc), np.int64(vc)
        ax, ay = uc - np.float32(x0), vc - np.float32(y0)
        w00, w01 = weight * (one - ay) * (one - ax), weight * (one - ay) * ax
        w10, w11 = weight * ay * (one - ax), weight * ay * ax
        weight_sum[x] += weight
        depth_sum[x] += weight * z
        # Unsigned, for a signed index might count from the end, and finding out takes time.
        right, down = np.uint64(3 * (x0 < last_u)), np.uint64(line * (y0 < last_v))
        at = np.uint64(3 * x0 + line * y0)
        for k in range(3):
            i = at + np.uint64(k)
            colour_sum[x, k] += (
                w00 * np.float32(image[i]) + w01 * np.float32(image[i + right])
                + w10 * np.float32(image[i + down]) + w11 * np.float32(image[i + right + down])
            )


@njit(cache=True, error_model="numpy")
def _warp_row(
    ry: float, sensed: np.ndarray, depth: np.ndarray, deepest: np.ndarray, f: np.ndarray, g: np.ndarray, A: np.ndarray,
    key_rgb: np.ndarray, key_depth: np.ndarray, key_sensed: np.ndarray, key_rim: np.ndarray, tol: float,
    weight_sum: np.ndarray, colour_sum: np.ndarray, depth_sum: np.ndarray,
) -> None:
    """:func:`warp_into` for one row of the view, all in float32 (errors stay below 1e-3 px)."""
    n, half, (h, w) = depth.size, np.float32(0.5), key_depth.shape
    seen, measured, rim = key_depth.reshape(-1), key_sensed.reshape(-1), key_rim.reshape(-1)
    columns = np.arange(n).astype(np.int32)
    rows, at, verdict = np.empty((6, n), np.float32), np.empty(n, np.int32), np.empty(n, np.uint8)
    _meet_row(columns, ry, depth, f, g, A, seen, w, h, tol, rows, at, verdict)
    farther = np.empty(n, np.float32)
    count = _deeper_row(verdict, rows[4], ry, f, A, g, seen, w, h, tol, deepest, columns, farther)
    if count:
        others, places, said = np.empty((6, count), np.float32), np.empty(count, np.int32), np.empty(count, np.uint8)
        _meet_row(columns[:count], ry, farther[:count], f, g, A, seen, w, h, tol, others, places, said)
        for i in range(count):
            x = columns[i]
            verdict[x], at[x] = said[i], places[i]
            for k in range(6):
                rows[k, x] = others[k, i]
    for x in range(n):
        if verdict[x] != YES:
            continue
        if sensed[x] > half and not measured[np.uint64(at[x])]:
            verdict[x] = NO
        elif rim[np.uint64(at[x])]:
            # The weight is the square of a share that is 1 / ANGLE_FLOOR in the keyframe's own direction.
            aside = np.sqrt(rows[5, x]) * np.float32(ANGLE_FLOOR)
            rows[5, x] *= aside * aside * aside * aside
    _blend_row(
        key_rgb.reshape(-1), w, h, rows[0], rows[1], rows[5], rows[4], verdict, tol, weight_sum, colour_sum, depth_sum
    )


@njit(cache=True, parallel=True)
def warp_into(
    sensed: np.ndarray, depth: np.ndarray, deepest: np.ndarray, intrinsics: np.ndarray, T_world_cam: np.ndarray,
    key_rgb: np.ndarray, key_depth: np.ndarray, key_sensed: np.ndarray, key_rim: np.ndarray, key_intrinsics: np.ndarray,
    key_T_cam_world: np.ndarray, tolerance: float, weight_sum: np.ndarray, colour_sum: np.ndarray, depth_sum: np.ndarray,
) -> None:
    """Add one keyframe's samples to the weighted sums of a view: colour [H, W, 3], depth and weight [H, W].

    A sample counts where the keyframe's depth agrees with the view's point. Its weight falls with
    the fourth power of the angle between the two rays, so the nearest view direction rules and
    seams stay soft, and with the square of how much coarser the keyframe saw the surface. An
    invented sample never speaks where the view shows a measured surface. A sample on a rim (``key_rim``
    bool, see :attr:`Keyframe.rim`) has mixed colours: away from the keyframe's own direction it counts next to
    nothing, so that others, or the voxel itself, are heard. ``deepest`` float32 [H, W]
    bounds how far behind the drawn point one may lie (:func:`deepest_nearby`).
    """
    f, g = intrinsics.astype(np.float32), key_intrinsics.astype(np.float32)
    A, tol = (key_T_cam_world @ T_world_cam).astype(np.float32), np.float32(tolerance)
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        ry = (np.float32(y) + np.float32(0.5) - f[3]) / f[1]
        _warp_row(
            ry, sensed[y], depth[y], deepest[y], f, g, A, key_rgb, key_depth, key_sensed, key_rim, tol,
            weight_sum[y], colour_sum[y], depth_sum[y],
        )


@njit(cache=True, parallel=True)
def blend_warped(
    rgb: np.ndarray, depth: np.ndarray, weight_sum: np.ndarray, colour_sum: np.ndarray, depth_sum: np.ndarray, tolerance: float
) -> None:
    """Put the keyframes' weighted colour and depth over the voxels' wherever a keyframe spoke.

    Where they speak of the surface that was drawn (to ``tolerance``, relative), its own colour counts a little beside theirs.
    """
    (h, w), tol = weight_sum.shape, np.float32(tolerance)
    for row in prange(h):
        y = np.int64(row)
        for x in range(w):
            if weight_sum[y, x] > 0.0:
                z = depth_sum[y, x] / weight_sum[y, x]
                own = np.float32(VOXEL_WEIGHT) if abs(z - depth[y, x]) <= tol * depth[y, x] else np.float32(0.0)
                total = weight_sum[y, x] + own
                depth[y, x] = z
                for k in range(3):
                    rgb[y, x, k] = np.uint8((colour_sum[y, x, k] + own * np.float32(rgb[y, x, k])) / total + np.float32(0.5))
