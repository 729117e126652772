"""What a frame says of each voxel: pixels that share one are summed before the map is asked.

A frame is cut into bands of BAND rows, and within a band pixels that fall into one voxel and touch are summed into one
*heap*. Bands do not depend on the number of threads, so neither do the heaps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.memory.blocks import EMPTY, KEY_BIAS, KEY_BITS, chunk_key_of
from spatia_ros.memory.half import from_half, to_half
from spatia_ros.memory.lanes import PIXELS, SUMS, add_pixel

BAND = 8
"""Rows a heap can span."""
CLOSE = 1e-8
"""Voxels from a voxel's border within which a product may have rounded otherwise than a quotient (it is off by 2e-9 at most)."""
PARTS = 8
"""Parts of the pool that threads merge into, each by one thread at a time; LEFT is the number of none of them."""
LEFT = PARTS
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
    order: np.ndarray  # int32 [B, N], heaps by the part of the pool they are merged into, and by number within it
    ends: np.ndarray  # int64 [B, PARTS + 2], part p's lie from ends[p] to ends[p + 1]; those of no point are the last
    heap_of: np.ndarray  # int32 [H, W], heap of each pixel within its band


def room(height: int, width: int, labelled: bool) -> Heaps:
    """Heaps for a frame of this size; what is not used of them costs nothing."""
    bands, most = -(-height // BAND), BAND * width + 1
    return Heaps(
        np.zeros(bands, np.int64), np.empty((bands, most), np.int64), np.empty((bands, most), np.uint16),
        np.empty((bands, most, SUMS), np.float32), np.empty((bands, most if labelled else 0), np.uint16),
        np.empty((bands, most), np.int32), np.empty((bands, most), np.uint16), np.zeros(bands, np.int64),
        np.empty((bands, most), np.int32), np.zeros((bands, LEFT + 2), np.int64), np.empty((height, width), np.int32),
    )


@njit(cache=True, error_model="numpy")
def _row_places(
    here: np.ndarray, rays: np.ndarray, T: np.ndarray, ry: float, voxel_m: float, xyz: np.ndarray, q: np.ndarray
) -> None:
    """World points of a row's pixels, metres, and the same in voxels.

    Args:
        here: float32 [W + 2] depths, one before and one behind the row. rays: float64 [W].
        xyz: float32 [3, W] and q: float64 [3, W], filled.

    A product with the inverse stands for the quotient, unless they could fall on two sides of a voxel's border.
    """
    per_m, close = 1.0 / voxel_m, np.int64(0)
    zero, whole = np.float32(0.0), np.float64(3 << 51)  # what is added to it loses its fraction
    for k in range(3):
        a, b, t = T[k, 0], T[k, 1] * ry + T[k, 2], T[k, 3]
        X, Q = xyz[k], q[k]
        for x in range(rays.size):
            z = here[x + 1]
            X[x] = np.float32((a * rays[x] + b) * z + t)
            Q[x] = np.float64(X[x]) * per_m
            close += np.int64((abs(Q[x] - ((Q[x] + whole) - whole)) < CLOSE) & (z > zero))
    if close > 0:
        for k in range(3):
            X, Q = xyz[k], q[k]
            for x in range(rays.size):
                Q[x] = np.float64(X[x]) / voxel_m


@njit(cache=True, error_model="numpy")
def _row_voxels(
    above: np.ndarray, here: np.ndarray, below: np.ndarray, accept: np.ndarray, xyz: np.ndarray, q: np.ndarray,
    voxel_m: float, nearest_m: float, farthest_m: float, edge_ratio: float,
    key: np.ndarray, voxel: np.ndarray, x_in: np.ndarray, y_in: np.ndarray, z_in: np.ndarray,
) -> None:
    """Block key (EMPTY: not fit, EMPTY - 1: out of reach), voxel and place within it of a row's pixels.

    Args:
        above, here, below: float32 [W + 2] depths of three rows, a zero before and behind each.
        xyz, q: as :func:`_row_places` gives them.

    No branch and no call, so that it is vectorised.
    """
    zero, nowhere, limit = np.float32(0.0), np.float64(0.0), np.float64(8 * KEY_BIAS - 1)
    X, Y, Z = xyz[0], xyz[1], xyz[2]
    Qx, Qy, Qz = q[0], q[1], q[2]
    for x in range(accept.size):
        z = here[x + 1]
        step = edge_ratio * z
        fit = (z >= nearest_m) & (z <= farthest_m) & (z > zero) & accept[x]
        for n in (here[x], here[x + 2], above[x + 1], below[x + 1]):
            fit &= (n <= zero) | (abs(n - z) <= step)
        qx, qy, qz = Qx[x], Qy[x], Qz[x]
        reached = (abs(qx) < limit) & (abs(qy) < limit) & (abs(qz) < limit)
        qx, qy, qz = qx if reached else nowhere, qy if reached else nowhere, qz if reached else nowhere
        ix, iy, iz = np.int64(np.int32(qx)), np.int64(np.int32(qy)), np.int64(np.int32(qz))
        ix, iy, iz = ix - (qx < ix), iy - (qy < iy), iz - (qz < iz)
        block = ((ix >> 3) + KEY_BIAS) | (((iy >> 3) + KEY_BIAS) << KEY_BITS) | (((iz >> 3) + KEY_BIAS) << (2 * KEY_BITS))
        block = block if reached else EMPTY - 1
        key[x] = block if fit else EMPTY
        voxel[x] = (ix & 7) | ((iy & 7) << 3) | ((iz & 7) << 6)
        x_in[x], y_in[x], z_in[x] = X[x] - ix * voxel_m, Y[x] - iy * voxel_m, Z[x] - iz * voxel_m


@njit(cache=True)
def _same(key: np.ndarray, voxel: np.ndarray, other_key: np.ndarray, other_voxel: np.ndarray, same: np.ndarray) -> None:
    """Which pixels share the voxel of the other one: uint8 [W]."""
    for x in range(same.size):
        same[x] = (key[x] == other_key[x]) & (voxel[x] == other_voxel[x])


@njit(cache=True)
def _heap_row(
    key: np.ndarray, voxel: np.ndarray, stays: np.ndarray, joins: np.ndarray, x_in: np.ndarray, y_in: np.ndarray,
    z_in: np.ndarray, rgb: np.ndarray, heap_above: np.ndarray, heap_here: np.ndarray, heap_key: np.ndarray,
    heap_voxel: np.ndarray, sums: np.ndarray, count: int,
) -> int:
    """Add a row's pixels to the heap of the pixel before, or above, that shares their voxel, or to a new one.

    Returns the number of heaps so far. No branch: which heap it is cannot be predicted.

    Args:
        stays, joins: uint8 [W], whether the pixel shares the voxel of the one before, above.
        rgb: uint8 [3 W + 1]. sums: float32 [N * SUMS].
    """
    # No sign: an index that could be negative costs a comparison every time.
    new, heap = np.uint64(count), np.uint64(count)
    for x in range(key.size):
        above = np.uint64(heap_above[x])  # read first, then chosen: a choice of what to read would be a branch
        other = above if joins[x] else new
        heap = heap if stays[x] else other
        known = heap != new
        heap_key[heap], heap_voxel[heap], heap_here[x] = key[x], voxel[x], heap
        new += np.uint64(not known)
        add_pixel(sums, np.int64(heap) * SUMS, known, x_in[x], y_in[x], z_in[x], rgb, np.int64(3 * x))
    return np.int64(new)


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
    # Two rows of keys and voxels, for one is compared with the one above; before each row lies a pixel that is like no other.
    key, voxel = np.full((2, w + 1), BEFORE), np.zeros((2, w + 1), np.uint16)
    stays, joins, colours = np.zeros(w, np.uint8), np.zeros(w, np.uint8), np.zeros(3 * w + 1, np.uint8)
    xyz, q, within, count = np.empty((3, w), np.float32), np.empty((3, w)), np.empty((3, w), np.float32), 0
    for y in range(first, last):
        for k in range(3):
            if 0 <= y + k - 1 < h:
                rows[k, 1 : w + 1] = depth[y + k - 1]
            else:
                rows[k, :] = 0
        i = y & 1
        own, seen = key[i, 1:], voxel[i, 1:]
        _row_places(rows[1], rays, T, (y + 0.5 - cy) / fy, voxel_m, xyz, q)
        _row_voxels(
            rows[0], rows[1], rows[2], accept[y], xyz, q, voxel_m, limits[0], limits[1], limits[2],
            own, seen, within[0], within[1], within[2],
        )
        _same(own, seen, key[i, :w], voxel[i, :w], stays)
        if y > first:
            _same(own, seen, key[1 - i, 1:], voxel[1 - i, 1:], joins)
        colours[: 3 * w].reshape(w, 3)[:] = rgb[y]
        before = count
        count = _heap_row(
            own, seen, stays, joins, within[0], within[1], within[2], colours, heap_of[max(y - 1, first)], heap_of[y],
            heap_key, heap_voxel, sums, count,
        )
        if label.shape[0] == h:
            _label_row(label[y], heap_of[y], heap_label, before, count)
    return count


@njit(cache=True)
def heap_band(
    b: int, heaps: Heaps, depth: np.ndarray, accept: np.ndarray, rgb: np.ndarray, label: np.ndarray,
    intrinsics: np.ndarray, T_world_cam: np.ndarray, voxel_m: float, limits: np.ndarray,
) -> None:
    """:func:`heap_up` for one band."""
    heaps.used[b] = _heap_band(
        b * BAND, min(b * BAND + BAND, depth.shape[0]), depth, accept, rgb, label, intrinsics, T_world_cam, voxel_m, limits,
        heaps.heap_of, heaps.key[b], heaps.voxel[b], heaps.sums[b].reshape(-1), heaps.label[b],
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
        heap_band(np.int64(each), heaps, depth, accept, rgb, label, intrinsics, T_world_cam, voxel_m, limits)


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
                    mean[heap, k] += from_half(features[y, x, k]) / heaps.sums[b, heap, PIXELS]
        for i in range(heaps.used[b]):
            for k in range(channels):
                out[b, i, k] = to_half(mean[i, k])
    return out
