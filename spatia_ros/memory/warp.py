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

from typing import NamedTuple

import cv2
import numpy as np

from spatia_ros.kernels import njit
from spatia_ros.memory.lanes import SAMPLE, add_sample
from spatia_ros.memory.texels import MEASURED, RIM

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
    nearest = float(np.partition(known, len(known) // 20)[len(known) // 20]) if len(known) else 1.0
    reach_px = int(np.clip(np.ceil(focal_px * splat_m / nearest), 1, MAX_RIM_PX))
    return cv2.dilate(depth, np.ones((2 * reach_px + 1, 2 * reach_px + 1), np.uint8))


@njit(cache=True, error_model="numpy")
def _deeper(
    verdict: np.ndarray, zs: np.ndarray, rays: np.ndarray, A: np.ndarray, g: np.ndarray, key_depth: np.ndarray,
    width: int, height: int, tol: float, deepest: np.ndarray, pixels: np.ndarray, found: np.ndarray,
) -> int:
    """Where the rays of a strip's pixels meet what the keyframe saw, if it looked past the point drawn there.

    From the depth ``zs`` on, going deeper only, and given up where the way leads outside, past ``deepest``, or where
    the keyframe saw nothing, or something before it. Writes the pixels (int32) and depths (float32) found; returns how many.
    """
    zero, count, past = np.float32(0.0), 0, np.int32(0)
    for x in range(verdict.size):
        past += np.int32(verdict[x] == PAST)
    for x in range(verdict.size if past else 0):
        if verdict[x] != PAST:
            continue
        z, rx, ry = zs[x], rays[0, x], rays[1, x]
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
                pixels[count], found[count] = x, z
                count += 1
                break
            z += (d - kz) / rate
    return count


@njit(cache=True, error_model="numpy")
def _project(
    rxs: np.ndarray, rys: np.ndarray, depth: np.ndarray, g: np.ndarray, A: np.ndarray, width: int, height: int,
    us: np.ndarray, vs: np.ndarray, kzs: np.ndarray, at: np.ndarray,
) -> None:
    """Pixel (float32 [N] each), depth, and place in the keyframe's image (int32 [N], -1: outside) of a view's points.

    Args:
        rxs, rys: float32 [N], slopes of the rays. depth: float32 [N] of the points, metres.

    No branch, no call and no look-up, so that it is vectorised; so is :func:`_judge`.
    """
    zero, one, least = np.float32(0.0), np.float32(1.0), np.float32(0.2)
    wide, tall, step, nowhere = np.float32(width), np.float32(height), np.int32(width), np.int32(-1)
    xx, xy, xz, xt = A[0]
    yx, yy, yz, yt = A[1]
    zx, zy, zz, zt = A[2]
    for x in range(depth.size):
        z, rx, ry = depth[x], rxs[x], rys[x]
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
def _judge(
    rxs: np.ndarray, rys: np.ndarray, depth: np.ndarray, focal: float, g: np.ndarray, A: np.ndarray, tol: float,
    kzs: np.ndarray, ds: np.ndarray, zs: np.ndarray, weights: np.ndarray, verdict: np.ndarray,
) -> None:
    """What the keyframe's depths (float32 [N], 0: none) say of a view's points.

    Args:
        focal: of the view, px. zs, weights: float32 [N], written: the depth it gives in the view, and how much that counts.
        verdict: uint8 [N], written: NO, YES, or PAST where the keyframe looked past the point.
    """
    zero, one, half, two = np.float32(0.0), np.float32(1.0), np.float32(0.5), np.float32(2.0)
    floor, least, yes, past, no = np.float32(ANGLE_FLOOR), np.float32(0.2), np.uint8(YES), np.uint8(PAST), np.uint8(NO)
    xx, xy, xz, xt = A[0]
    yx, yy, yz, yt = A[1]
    zx, zy, zz, zt = A[2]
    baseline2 = xt**2 + yt**2 + zt**2
    for x in range(depth.size):
        z, rx, ry, kz, d = depth[x], rxs[x], rys[x], kzs[x], ds[x]
        # How fast depth in the keyframe grows with depth in the view, along this pixel's ray.
        rate = zx * rx + zy * ry + zz
        px, py = rx * z, ry * z
        kx, ky = xx * px + xy * py + xz * z + xt, yx * px + yy * py + yz * z + yt
        may, agreed = (d > zero) & (kz - d <= tol * d), d - kz <= tol * d
        # Squared angle between the two rays through the point, by the law of cosines.
        view2 = z * z * (rx * rx + ry * ry + one)
        key2 = kx * kx + ky * ky + kz * kz
        cos = (view2 + key2 - baseline2) * half / np.sqrt(view2 * key2)
        finer = min(g[0] * (one / kz) * z / focal, one)
        share = finer / (two * (one - min(cos, one)) + floor)
        zs[x], weights[x] = z + (d - kz) / rate, share * share
        said = yes if cos > least else no
        verdict[x] = (said if agreed else past) if may else no


@njit(cache=True)
def _meet(
    rays: np.ndarray, depth: np.ndarray, focal: float, g: np.ndarray, A: np.ndarray, surface_m: np.ndarray,
    width: int, height: int, tol: float, met: np.ndarray, at: np.ndarray, verdict: np.ndarray,
) -> None:
    """Where N points of a view lie in the keyframe (float32 [H * W] depths), and what it says of them.

    ``met`` is float32 [6, N], written: pixel u, v, depth in the keyframe, the keyframe's own, depth it gives, weight.
    """
    _project(rays[0], rays[1], depth, g, A, width, height, met[0], met[1], met[2], at)
    seen = met[3]
    for x in range(depth.size):
        seen[x] = surface_m[np.uint64(at[x])] if at[x] >= 0 else np.float32(0.0)
    _judge(rays[0], rays[1], depth, focal, g, A, tol, met[2], seen, met[4], met[5], verdict)


class Strip(NamedTuple):
    """Room for what is found out about N pixels of a view, whole rows of it, and what was said of them so far."""

    rays: np.ndarray  # float32 [2, N], slopes
    met: np.ndarray  # float32 [6, N], as :func:`_meet` writes it
    at: np.ndarray  # int32 [N], pixel of the keyframe, -1: outside
    flags: np.ndarray  # uint32 [N], of the texels there
    verdict: np.ndarray  # uint8 [N]
    found: np.ndarray  # int32 [N], pixels where something was found behind the drawn point
    farther: np.ndarray  # float32 [N], its depth
    sums: np.ndarray  # float32 [SAMPLE * N], colour times weight, and weight
    depth_sum: np.ndarray  # float32 [N], depth times weight


@njit(cache=True)
def room_for_strip(rows: int, width: int, f: np.ndarray) -> Strip:
    """Room for so many rows of a view (intrinsics float32 [4]); nothing was said yet, and it is not aimed."""
    n, half = rows * width, np.float32(0.5)
    rays = np.empty((2, n), np.float32)
    for x in range(n):
        rays[0, x] = (np.float32(x % width) + half - f[2]) / f[0]
    return Strip(
        rays, np.empty((6, n), np.float32), np.empty(n, np.int32), np.empty(n, np.uint32), np.empty(n, np.uint8),
        np.empty(n, np.int32), np.empty(n, np.float32), np.zeros(SAMPLE * n, np.float32), np.zeros(n, np.float32),
    )  # fmt: skip


@njit(cache=True)
def aim(strip: Strip, top: int, width: int, f: np.ndarray) -> None:
    """Aim a strip at the rows of a view from ``top`` on."""
    ry, half = strip.rays[1], np.float32(0.5)
    for row in range(ry.size // width):
        ry[row * width : (row + 1) * width] = (np.float32(top + row) + half - f[3]) / f[1]


@njit(cache=True)
def _hear(
    sensed: np.ndarray, texels: np.ndarray, at: np.ndarray, flags: np.ndarray, verdict: np.ndarray, weights: np.ndarray
) -> None:
    """What counts of what a keyframe says: no invention of a measured surface, and mixed colours next to nothing.

    No branch, so that it is vectorised. flags: room for uint32 [N].
    """
    half, floor, one, no, none = np.float32(0.5), np.float32(ANGLE_FLOOR), np.float32(1.0), np.uint8(NO), np.uint32(0)
    for x in range(verdict.size):
        flags[x] = texels[np.uint64(at[x])] if at[x] >= 0 else none
    for x in range(verdict.size):
        invented = (flags[x] & np.uint32(MEASURED)) == none
        verdict[x] = no if (sensed[x] > half) & invented else verdict[x]
        # The weight is the square of a share that is 1 / ANGLE_FLOOR in the keyframe's own direction.
        aside = np.sqrt(weights[x]) * floor
        aside *= aside
        weights[x] *= aside * aside if (flags[x] & np.uint32(RIM)) != none else one


@njit(cache=True, error_model="numpy")
def _place(width: int, height: int, us: np.ndarray, vs: np.ndarray, at: np.ndarray) -> None:
    """Texel int32 [N] up and left of each sample; us, vs float32 [N], px, become how far it is from there, in 0..1.

    The last texel of a row or column is never the one to the left or above, so that all four are there.
    """
    half, zero, last_u, last_v = np.float32(0.5), np.float32(0.0), np.float32(width - 1), np.float32(height - 1)
    line, most_u, most_v = np.int32(width), np.int32(width - 2), np.int32(height - 2)
    for x in range(us.size):
        u, v = min(max(us[x] - half, zero), last_u), min(max(vs[x] - half, zero), last_v)
        column, row = min(np.int32(u), most_u), min(np.int32(v), most_v)
        at[x] = row * line + column
        us[x], vs[x] = u - np.float32(column), v - np.float32(row)


@njit(cache=True, error_model="numpy")
def _blend(
    texels: np.ndarray, width: int, met: np.ndarray, at: np.ndarray, verdict: np.ndarray, tolerance: float,
    sums: np.ndarray, depth_sum: np.ndarray,
) -> None:
    """Add bilinear samples to the sums of the pixels whose verdict is YES; places as :func:`_place` gives them."""
    one, zero, line = np.float32(1.0), np.float32(0.0), np.int64(width)
    right, down, zs, weights = met[0], met[1], met[4], met[5]
    for x in range(verdict.size):
        if verdict[x] != YES:
            continue
        weight, z, keep, said = weights[x], zs[x], one, sums[SAMPLE * x + SAMPLE - 1]
        if said > zero and abs(z * said - depth_sum[x]) > tolerance * depth_sum[x]:
            # Two keyframes see two different surfaces here: the better placed one is right.
            if weight < said:
                continue
            keep = zero
        depth_sum[x] = depth_sum[x] * keep + weight * z
        add_sample(sums, np.int64(x), keep, texels, np.int64(at[x]), line, right[x], down[x], weight)


@njit(cache=True, error_model="numpy")
def warp_strip(
    sensed: np.ndarray, depth: np.ndarray, deepest: np.ndarray, focal: float, surface_m: np.ndarray,
    texels: np.ndarray, size: np.ndarray, g: np.ndarray, A: np.ndarray, tol: float, strip: Strip,
) -> None:
    """Add one keyframe's samples to the weighted sums of a strip of a view, all in float32 (errors stay below 1e-3 px).

    A sample counts where the keyframe's depth agrees with the view's point. Its weight falls with
    the fourth power of the angle between the two rays, so the nearest view direction rules and
    seams stay soft, and with the square of how much coarser the keyframe saw the surface. An
    invented sample never speaks where the view shows a measured surface. A sample on a rim (see :mod:`.texels`) has
    mixed colours: away from the keyframe's own direction it counts next to nothing, so that others, or the voxel
    itself, are heard.

    Args:
        sensed, depth: float32 [N] of the strip. deepest: float32 [N], how far behind the drawn point one may
            lie (:func:`deepest_nearby`). focal: of the view, px. surface_m: float32 [H W] and texels: uint32 [H W] of the
            keyframe, of ``size`` int64 [2], at least 2 each. g: float32 [4], its intrinsics. A: float32 [4, 4], T_key_cam.
    """
    (h, w), met, at, verdict = size, strip.met, strip.at, strip.verdict
    _meet(strip.rays, depth, focal, g, A, surface_m, w, h, tol, met, at, verdict)
    count = _deeper(verdict, met[4], strip.rays, A, g, surface_m, w, h, tol, deepest, strip.found, strip.farther)
    if count:
        rays, others = np.empty((2, count), np.float32), np.empty((6, count), np.float32)
        places, said = np.empty(count, np.int32), np.empty(count, np.uint8)
        for i in range(count):
            rays[0, i], rays[1, i] = strip.rays[0, strip.found[i]], strip.rays[1, strip.found[i]]
        _meet(rays, strip.farther[:count], focal, g, A, surface_m, w, h, tol, others, places, said)
        for i in range(count):
            x = strip.found[i]
            verdict[x], at[x] = said[i], places[i]
            for k in range(6):
                met[k, x] = others[k, i]
    _hear(sensed, texels, at, strip.flags, verdict, met[5])
    _place(w, h, met[0], met[1], at)
    _blend(texels, w, met, at, verdict, tol, strip.sums, strip.depth_sum)


@njit(cache=True)
def settle_strip(rgb: np.ndarray, depth: np.ndarray, tol: float, strip: Strip) -> None:
    """Put the keyframes' weighted colour and depth over the voxels' wherever a keyframe spoke, and forget what was said.

    Where they speak of the surface that was drawn (to ``tol``, relative), its own colour counts a little beside theirs.

    Args:
        rgb: uint8 [3 N] and depth: float32 [N] of a strip, changed.
    """
    zero, half, least = np.float32(0.0), np.float32(0.5), np.float32(VOXEL_WEIGHT)
    for x in range(depth.size):
        said = strip.sums[SAMPLE * x + SAMPLE - 1]
        if said > zero:
            z = strip.depth_sum[x] / said
            own = least if abs(z - depth[x]) <= tol * depth[x] else zero
            share = np.float32(1.0) / (said + own)
            depth[x] = z
            for k in range(3):
                rgb[3 * x + k] = np.uint8((strip.sums[SAMPLE * x + k] + own * np.float32(rgb[3 * x + k])) * share + half)
    strip.sums[:] = zero
    strip.depth_sum[:] = zero
