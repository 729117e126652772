"""What a frame says of each voxel: pixels that share one are summed before the map is asked.

A frame is cut into bands of BAND rows, and within a band pixels that fall into one voxel and touch are summed into one
*heap*. Bands do not depend on the number of threads, so neither do the heaps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from spatia_ros.memory.blocks import EMPTY, KEY_BIAS, KEY_BITS, chunk_key_of
from spatia_ros.memory.half import from_half, to_half

BAND = 8
"""Rows a heap can span."""
SUMS = 7
"""Numbers summed per heap: x, y, z within the voxel (metres), red, green, blue, pixels."""
BEFORE = EMPTY - 2
"""A block key that no pixel has."""


class Heaps(NamedTuple):
    """What a frame says of each voxel, band by band: B bands, room for N heaps each."""

    used: np.ndarray  # int64 [B], heaps in use
    key: np.ndarray  # int64 [B, N], block; EMPTY: not fit to be fused, EMPTY - 1: out of reach
    voxel: np.ndarray  # uint16 [B, N]
    sums: np.ndarray  # float32 [B, N, SUMS]
    label: np.ndarray  # uint16 [B, N], the last that was not 0; [B, 0] without labels
    block: np.ndarray  # int32 [B, N], slot of the block, UNSEEN or LEFT_OUT
    inside: np.ndarray  # uint16 [B, N], place of the point in the block's run, NO_POINT: none yet
    missing: np.ndarray  # int64 [B], heaps without a point
    heap_of: np.ndarray  # int32 [H, W], heap of each pixel within its band


def room(height: int, width: int, labelled: bool) -> Heaps:
    """Heaps for a frame of this size; what is not used of them costs nothing."""
    bands, most = -(-height // BAND), BAND * width + 1
    return Heaps(
        np.zeros(bands, np.int64), np.empty((bands, most), np.int64), np.empty((bands, most), np.uint16),
        np.empty((bands, most, SUMS), np.float32), np.empty((bands, most if labelled else 0), np.uint16),
        np.empty((bands, most), np.int32), np.empty((bands, most), np.uint16), np.zeros(bands, np.int64),
        np.empty((height, width), np.int32),
    )


@njit(cache=True, error_model="numpy")
def _row_voxels(
    above: np.ndarray, here: np.ndarray, below: np.ndarray, accept: np.ndarray, rays: np.ndarray, T: np.ndarray, ry: float,
    voxel_m: float, nearest_m: float, farthest_m: float, edge_ratio: float,
    key: np.ndarray, voxel: np.ndarray, x_in: np.ndarray, y_in: np.ndarray, z_in: np.ndarray,
) -> None:
    """Block key (EMPTY: not fit, EMPTY - 1: out of reach), voxel and place within it of a row's pixels.

    Args:
        above, here, below: float32 [W + 2] depths of three rows, a zero before and behind each. rays: float64 [W].

    No branch and no call, so that it is vectorised.
    """
    ax, ay, az = T[0, 0], T[1, 0], T[2, 0]
    bx, by, bz = T[0, 1] * ry + T[0, 2], T[1, 1] * ry + T[1, 2], T[2, 1] * ry + T[2, 2]
    tx, ty, tz = T[0, 3], T[1, 3], T[2, 3]
    zero, here_m, limit = np.float32(0.0), np.float64(0.0), np.float64(8 * KEY_BIAS - 1)
    for x in range(rays.size):
        z = here[x + 1]
        step = edge_ratio * z
        fit = (z >= nearest_m) & (z <= farthest_m) & (z > zero) & accept[x]
        for n in (here[x], here[x + 2], above[x + 1], below[x + 1]):
            fit &= (n <= zero) | (abs(n - z) <= step)
        X = np.float64(np.float32((ax * rays[x] + bx) * z + tx))
        Y = np.float64(np.float32((ay * rays[x] + by) * z + ty))
        Z = np.float64(np.float32((az * rays[x] + bz) * z + tz))
        qx, qy, qz = X / voxel_m, Y / voxel_m, Z / voxel_m
        reached = (abs(qx) < limit) & (abs(qy) < limit) & (abs(qz) < limit)
        qx, qy, qz = qx if reached else here_m, qy if reached else here_m, qz if reached else here_m
        ix, iy, iz = np.int64(np.int32(qx)), np.int64(np.int32(qy)), np.int64(np.int32(qz))
        ix, iy, iz = ix - (qx < ix), iy - (qy < iy), iz - (qz < iz)
        block = ((ix >> 3) + KEY_BIAS) | (((iy >> 3) + KEY_BIAS) << KEY_BITS) | (((iz >> 3) + KEY_BIAS) << (2 * KEY_BITS))
        block = block if reached else EMPTY - 1
        key[x] = block if fit else EMPTY
        voxel[x] = (ix & 7) | ((iy & 7) << 3) | ((iz & 7) << 6)
        x_in[x], y_in[x], z_in[x] = X - ix * voxel_m, Y - iy * voxel_m, Z - iz * voxel_m


@njit(cache=True)
def _heap_row(
    key: np.ndarray, voxel: np.ndarray, x_in: np.ndarray, y_in: np.ndarray, z_in: np.ndarray, rgb: np.ndarray,
    heap_above: np.ndarray, heap_here: np.ndarray, heap_key: np.ndarray, heap_voxel: np.ndarray, sums: np.ndarray, count: int,
) -> int:
    """Add a row's pixels to the heap of the pixel before, or above, that shares their voxel, or to a new one.

    Returns the number of heaps so far. No branch: which heap it is cannot be predicted.
    """
    last_key, last_voxel, heap, zero, one = BEFORE, np.uint16(0), np.int64(0), np.float32(0.0), np.float32(1.0)
    for x in range(key.size):
        k, v, above = key[x], voxel[x], np.int64(heap_above[x])
        joins = (heap_key[above] == k) & (heap_voxel[above] == v)
        stays = (last_key == k) & (last_voxel == v)
        heap = heap if stays else (above if joins else np.int64(count))
        known = heap != count
        last_key, last_voxel = k, v
        heap_key[heap], heap_voxel[heap], heap_here[x] = k, v, heap
        count += 1 - known
        # Read first, then chosen: a choice of what to read would be a branch.
        s = sums[heap]
        sx, sy, sz, red, green, blue, pixels = s[0], s[1], s[2], s[3], s[4], s[5], s[6]
        s[0] = (sx if known else zero) + x_in[x]
        s[1] = (sy if known else zero) + y_in[x]
        s[2] = (sz if known else zero) + z_in[x]
        s[3] = (red if known else zero) + np.float32(rgb[x, 0])
        s[4] = (green if known else zero) + np.float32(rgb[x, 1])
        s[5] = (blue if known else zero) + np.float32(rgb[x, 2])
        s[6] = (pixels if known else zero) + one
    return count


@njit(cache=True)
def _label_row(label: np.ndarray, heap_here: np.ndarray, heap_label: np.ndarray, before: int, count: int) -> None:
    """Note a row's labels; the heaps from ``before`` on are new with it."""
    heap_label[before:count] = 0
    for x in range(label.size):
        if label[x]:
            heap_label[heap_here[x]] = label[x]


@njit(cache=True)
def _heap_band(
    first: int, last: int, depth: np.ndarray, accept: np.ndarray, rgb: np.ndarray, label: np.ndarray, intrinsics: np.ndarray,
    T: np.ndarray, voxel_m: float, limits: np.ndarray, heap_of: np.ndarray,
    heap_key: np.ndarray, heap_voxel: np.ndarray, sums: np.ndarray, heap_label: np.ndarray,
) -> int:
    """The heaps of rows ``first`` to ``last``; returns how many."""
    h, w = depth.shape
    fx, fy, cx, cy = intrinsics
    rays, rows = np.empty(w), np.zeros((3, w + 2), np.float32)
    for x in range(w):
        rays[x] = (x + 0.5 - cx) / fx
    key, voxel = np.empty(w, np.int64), np.empty(w, np.uint16)
    x_in, y_in, z_in = np.empty(w, np.float32), np.empty(w, np.float32), np.empty(w, np.float32)
    # Above a band's first row lies a heap that no pixel joins.
    nothing, count = np.full(w, heap_key.size - 1, np.int32), 0
    heap_key[heap_key.size - 1] = BEFORE
    for y in range(first, last):
        for k in range(3):
            if 0 <= y + k - 1 < h:
                rows[k, 1 : w + 1] = depth[y + k - 1]
            else:
                rows[k, :] = 0
        _row_voxels(
            rows[0], rows[1], rows[2], accept[y], rays, T, (y + 0.5 - cy) / fy, voxel_m, limits[0], limits[1], limits[2],
            key, voxel, x_in, y_in, z_in,
        )
        before = count
        count = _heap_row(
            key, voxel, x_in, y_in, z_in, rgb[y], heap_of[y - 1] if y > first else nothing, heap_of[y],
            heap_key, heap_voxel, sums, count,
        )
        if label.shape[0] == h:
            _label_row(label[y], heap_of[y], heap_label, before, count)
    return count


@njit(cache=True)
def _band(
    b: int, heaps: Heaps, depth: np.ndarray, accept: np.ndarray, rgb: np.ndarray, label: np.ndarray,
    intrinsics: np.ndarray, T_world_cam: np.ndarray, voxel_m: float, limits: np.ndarray,
) -> None:
    """:func:`heap_up` for one band."""
    heaps.used[b] = _heap_band(
        b * BAND, min(b * BAND + BAND, depth.shape[0]), depth, accept, rgb, label, intrinsics, T_world_cam, voxel_m, limits,
        heaps.heap_of, heaps.key[b], heaps.voxel[b], heaps.sums[b], heaps.label[b],
    )


@njit(cache=True, parallel=True)
def heap_up(
    heaps: Heaps, depth: np.ndarray, accept: np.ndarray, rgb: np.ndarray, label: np.ndarray,
    intrinsics: np.ndarray, T_world_cam: np.ndarray, voxel_m: float, limits: np.ndarray,
) -> None:
    """Sum a frame into heaps.

    Args:
        depth: float32 [H, W] metres. accept: bool [H, W]. rgb: uint8 [H, W, 3].
        label: uint16 [H, W], or [1, 0] when there are none. intrinsics: float64 [4] fx fy cx cy.
        limits: float32 [3], nearest and farthest depth (metres), and the edge ratio of :func:`.fuse.locate`.
    """
    for each in prange(heaps.used.size):
        _band(np.int64(each), heaps, depth, accept, rgb, label, intrinsics, T_world_cam, voxel_m, limits)


@njit(cache=True)
def keys_by_chunk(heaps: Heaps) -> np.ndarray:
    """Keys int64 [N] of blocks the heaps lie in, at least one in every chunk they touch."""
    out, n, last = np.empty(heaps.used.sum(), np.int64), 0, EMPTY
    for b in range(heaps.used.size):
        for i in range(heaps.used[b]):
            key = heaps.key[b, i]
            if key >= 0 and chunk_key_of(key) != last:
                last = chunk_key_of(key)
                out[n] = key
                n += 1
    return out[:n].copy()


@njit(cache=True)
def mean_features(heaps: Heaps, features: np.ndarray, most: int) -> np.ndarray:
    """Mean feature vector of every heap's pixels, uint16 [B, most, C], from uint16 [H, W, C], all bits of float16."""
    channels = features.shape[2]
    out = np.empty((heaps.used.size, most, channels), np.uint16)
    for b in range(heaps.used.size):
        mean = np.zeros((heaps.used[b], channels), np.float32)
        for y in range(b * BAND, min(b * BAND + BAND, features.shape[0])):
            for x in range(features.shape[1]):
                heap = heaps.heap_of[y, x]
                for k in range(channels):
                    mean[heap, k] += from_half(features[y, x, k]) / heaps.sums[b, heap, 6]
        for i in range(heaps.used[b]):
            for k in range(channels):
                out[b, i, k] = to_half(mean[i, k])
    return out
