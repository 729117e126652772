"""Drawing the blocks into a camera: splat into per-thread z-buffers, resolve.

The z-buffer packs depth in the high and the point's pool place in the low 32 bits of one word,
so the nearest point wins by an integer minimum and colour is read once per pixel, not per point.
A splat is a square of half-width ``splat_scale * voxel * f / z`` px, at least half a pixel, so a
surface at least as dense as the pixels, or one voxel dense, has no holes.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.memory.blocks import BLOCK_VOXELS, Blocks
from spatia_ros.memory.prefetch import prefetch

FAR = np.uint64(0xFFFFFFFFFFFFFFFF)
NEAR_M = 0.05
MAX_SPLAT_PX = 16.0
BATCH = 1024
"""Points projected at a time: what comes of them stays in the nearest cache."""
GROUP = 64
"""Points a vectorised loop takes in one turn, at most; its remainder would be slow."""
BLOCKS_AHEAD = 4
"""How many blocks before their turn points are asked for; and pixels, when a picture is resolved:"""
PIXELS_AHEAD = 24
FLOATS_A_LINE = 16
OUTSIDE_PX = 40
PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Offsets (y, x) of a neighbour; the one opposite is at the negative."""


@njit(cache=True)
def _ceil(value: float) -> int:
    """The smallest int32 not below a float32 (numba's own ceil keeps a loop from being vectorised)."""
    whole = np.int32(value)
    return whole + np.int32(value > np.float32(whole))


@njit(cache=True, error_model="numpy")
def project(
    points: np.ndarray, places: np.ndarray, count: int, T: np.ndarray, intrinsics: np.ndarray, width: int, height: int,
    reach: float, far: float, corner: np.ndarray, right: np.ndarray, down: np.ndarray, words: np.ndarray,
) -> int:
    """Where the first ``count`` points' splats lie in the picture, and their words; returns how many are wider than two pixels.

    Args:
        points: float32 [3 N], x y z x y z .. in metres. places: uint32 [N]. The rest are filled, [N] each:
        corner: int32, the first pixel, row by row. right: int32, columns more than one. down: int32, pixels from the first row
            to the last. words: uint64, FAR where nothing is to be drawn.

    No branch and no call: the compiler makes 16 points at once of it. It does so in groups of GROUP, so the count is
    rounded up; what is computed beyond it is not used.
    """
    half, one, near, widest = np.float32(0.5), np.float32(1.0), np.float32(NEAR_M), np.float32(MAX_SPLAT_PX)
    fx, fy, cx, cy = intrinsics
    xx, xy, xz, xt = T[0]
    yx, yy, yz, yt = T[1]
    zx, zy, zz, zt = T[2]
    zero, last_x, last_y, across, wide = np.int32(0), np.int32(width - 1), np.int32(height - 1), np.int32(width), np.int32(0)
    # Farther out than this no splat reaches the picture.
    out, out_x, out_y = np.float32(-OUTSIDE_PX), np.float32(width + OUTSIDE_PX), np.float32(height + OUTSIDE_PX)
    for i in range((count + GROUP - 1) // GROUP * GROUP):
        X, Y, Z = points[3 * i], points[3 * i + 1], points[3 * i + 2]
        z = zx * X + zy * Y + zz * Z + zt
        inv = one / z
        u = fx * (xx * X + xy * Y + xz * Z + xt) * inv + cx
        v = fy * (yx * X + yy * Y + yz * Z + yt) * inv + cy
        drawn = (z >= near) & (z <= far) & (u > out) & (u < out_x) & (v > out) & (v < out_y)
        u = u if drawn else out
        v = v if drawn else out
        r = min(max(reach * inv, half), widest) if drawn else half
        # Pixels whose centre lies in [u - r, u + r): exactly one when r = 0.5.
        x0, x1 = max(_ceil(u - r - half), zero), min(_ceil(u + r - half) - np.int32(1), last_x)
        y0, y1 = max(_ceil(v - r - half), zero), min(_ceil(v + r - half) - np.int32(1), last_y)
        drawn = (x0 <= x1) & (y0 <= y1)
        beside, below = np.int32(x1 - x0), np.int32(y1 - y0)
        wide += np.int32(drawn & ((beside > 1) | (below > 1)))
        corner[i] = np.int32(y0 * across + x0) if drawn else zero
        right[i] = beside if drawn else zero
        down[i] = np.int32(below * across) if drawn else zero
        word = (np.uint64(np.float32(z).view(np.uint32)) << np.uint64(32)) | np.uint64(places[i])
        words[i] = word if drawn else FAR
    return wide


@njit(cache=True)
def _lower(buffer: np.ndarray, at: int, word: int) -> None:
    buffer[np.uint64(at)] = min(buffer[np.uint64(at)], word)


@njit(cache=True, inline="always")
def _lower_four(buffer: np.ndarray, at: int, beside: int, below: int, word: int) -> None:
    """The corners of a splat, repeated or not: a store costs less than a mispredicted branch."""
    _lower(buffer, at, word)
    _lower(buffer, at + beside, word)
    _lower(buffer, at + below, word)
    _lower(buffer, at + below + beside, word)


@njit(cache=True)
def _scatter_narrow(
    buffer: np.ndarray, count: int, corner: np.ndarray, right: np.ndarray, down: np.ndarray, words: np.ndarray
) -> None:
    """Draw projected splats of at most two pixels across into a z-buffer uint64 [H * W]."""
    for i in range(count):
        _lower_four(buffer, np.int64(corner[i]), np.int64(right[i]), np.int64(down[i]), words[i])


@njit(cache=True)
def _scatter_wide(
    buffer: np.ndarray, width: int, count: int, corner: np.ndarray, right: np.ndarray, down: np.ndarray, words: np.ndarray
) -> None:
    """Draw projected splats into a z-buffer uint64 [H * W].

    Pixels take the minimum whether they need it or not, and splats of up to three pixels across as four or nine such
    stores, repeated or not.
    """
    for i in range(count):
        at, beside, below, word = np.int64(corner[i]), np.int64(right[i]), np.int64(down[i]), words[i]
        if (beside <= 1) & (below <= width):
            _lower_four(buffer, at, beside, below, word)
        elif (beside <= 2) & (below <= 2 * width):
            column, middle = (beside + 1) >> 1, width if below > 0 else 0
            for row in (at, at + middle, at + below):
                _lower(buffer, row, word)
                _lower(buffer, row + column, word)
                _lower(buffer, row + beside, word)
        else:
            for first in range(at, at + below + 1, width):
                for pixel in range(first, first + beside + 1):
                    _lower(buffer, pixel, word)


@njit(cache=True)
def scatter(
    buffer: np.ndarray, width: int, count: int, corner: np.ndarray, right: np.ndarray, down: np.ndarray, words: np.ndarray,
    wide: bool,
) -> None:
    """Draw projected splats into a z-buffer uint64 [H * W]; ``wide``: some are more than two pixels across."""
    if wide:
        _scatter_wide(buffer, width, count, corner, right, down, words)
    else:
        _scatter_narrow(buffer, count, corner, right, down, words)


@njit(cache=True)
def splat_into(
    buffer: np.ndarray, blocks: Blocks, visible: np.ndarray, T: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, reach: float, far: float,
) -> None:
    """Splat blocks into one z-buffer uint64 [H * W], so many blocks at a time that BATCH points come together."""
    room = BATCH + BLOCK_VOXELS + GROUP
    points, places, words = np.zeros(3 * room, np.float32), np.zeros(room, np.uint32), np.empty(room, np.uint64)
    corner, right, down = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int32)
    xyz, start, size, count = blocks.xyz.reshape(-1), blocks.start, blocks.size, np.int64(0)
    for k in range(visible.size):
        if k + BLOCKS_AHEAD < visible.size:
            ahead = visible[k + BLOCKS_AHEAD]
            for i in range(3 * start[ahead], 3 * (start[ahead] + size[ahead]), FLOATS_A_LINE):
                prefetch(xyz, i)
        first, n = start[visible[k]], np.int64(size[visible[k]])
        points[3 * count : 3 * (count + n)] = xyz[3 * first : 3 * (first + n)]
        for i in range(n):
            places[count + i] = np.uint32(first + i)
        count += n
        if count >= BATCH or k + 1 == visible.size:
            wide = project(points, places, count, T, intrinsics, width, height, reach, far, corner, right, down, words)
            scatter(buffer, width, count, corner, right, down, words, wide > 0)
            count = np.int64(0)


@njit(cache=True, parallel=True)
def empty_buffers(threads: int, pixels: int) -> np.ndarray:
    """Packed z-buffers uint64 [threads, pixels] that hold nothing yet."""
    buffers = np.empty((threads, pixels), np.uint64)
    for thread in prange(threads):
        buffers[np.int64(thread), :] = FAR
    return buffers


@njit(cache=True, parallel=True)
def splat_more(
    buffers: np.ndarray, blocks: Blocks, visible: np.ndarray, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, splat_m: float, max_range_m: float,
) -> None:
    """Draw blocks into packed z-buffers uint64 [threads, H * W], one thread each."""
    T, f = T_cam_world.astype(np.float32), intrinsics.astype(np.float32)
    reach, far = np.float32(max(f[0], f[1]) * splat_m), np.float32(max_range_m)
    threads = buffers.shape[0]
    for thread in prange(threads):
        t = np.int64(thread)
        # Neighbours in the list are neighbours in space: a share in one piece stays in cache.
        share = visible[visible.size * t // threads : visible.size * (t + 1) // threads]
        splat_into(buffers[t], blocks, share, T, f, width, height, reach, far)


def splat(
    blocks: Blocks, visible: np.ndarray, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, splat_m: float, max_range_m: float, threads: int,
) -> np.ndarray:
    """Packed z-buffers uint64 [threads, H * W] of the visible blocks; FAR where nothing is."""
    buffers = empty_buffers(threads, width * height)
    splat_more(buffers, blocks, visible, T_cam_world, intrinsics, width, height, splat_m, max_range_m)
    return buffers


@njit(cache=True)
def nearest_words(buffers: np.ndarray, used: np.ndarray, first: int, count: int) -> np.ndarray:
    """uint64 [count]: the smallest word of the buffers ``used`` (int64 [N]) at pixels ``first`` and on; FAR: there is none."""
    if used.size == 0:
        return np.full(count, FAR)
    words = buffers[used[0], first : first + count].copy()
    for t in used[1:]:
        other = buffers[t, first : first + count]
        for x in range(count):
            words[x] = min(words[x], other[x])
    return words


def winners(buffers: np.ndarray) -> np.ndarray:
    """Pool place int64 [pixels] of the point that is nearest in each pixel of packed z-buffers, -1 where none is."""
    nearest = buffers.min(0)
    return np.where(nearest == FAR, -1, (nearest & np.uint64(0xFFFFFFFF)).astype(np.int64))


@njit(cache=True)
def look_up(
    blocks: Blocks, words: np.ndarray, now_ms: int, rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray
) -> None:
    """Fill a row of the view with what the winning points know, 0 where there is none."""
    look, low, byte = blocks.look, np.uint64(0xFFFFFFFF), np.uint64(0xFF)
    for x in range(words.size):
        if x + PIXELS_AHEAD < words.size:
            prefetch(look, np.int64(words[x + PIXELS_AHEAD] & low))
        word = words[x]
        if word == FAR:
            depth[x] = sensed[x] = age_s[x] = np.float32(0.0)
            rgb[x, 0] = rgb[x, 1] = rgb[x, 2] = np.uint8(0)
            continue
        seen = look[word & low]
        depth[x] = np.uint32(word >> np.uint64(32)).view(np.float32)
        rgb[x, 0], rgb[x, 1], rgb[x, 2] = seen & byte, (seen >> np.uint64(8)) & byte, (seen >> np.uint64(16)) & byte
        sensed[x] = (seen >> np.uint64(24)) & byte
        age_s[x] = max(0, now_ms - np.int64(np.uint32(seen >> np.uint64(32)).view(np.int32))) * 1e-3


@njit(cache=True, parallel=True)
def resolve(
    blocks: Blocks, buffers: np.ndarray, width: int, height: int, now_ms: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """rgb uint8 [H, W, 3], depth float32 [H, W], sensed float32 [H, W], age_s float32 [H, W]."""
    rgb = np.empty((height, width, 3), np.uint8)
    depth = np.empty((height, width), np.float32)
    sensed = np.empty((height, width), np.float32)
    age_s = np.empty((height, width), np.float32)
    every = np.arange(buffers.shape[0])
    for row in prange(height):
        y = np.int64(row)
        words = nearest_words(buffers, every, y * width, width)
        look_up(blocks, words, now_ms, rgb[y], depth[y], sensed[y], age_s[y])
    return rgb, depth, sensed, age_s


@njit(cache=True)
def _bridge(depth: np.ndarray, y: int, x: int, edge_ratio: float) -> int:
    """Which of four opposite pairs of neighbours closes an empty pixel (1..4), 0 when none does."""
    best, chosen = np.float32(np.inf), 0
    for k in range(4):
        dy, dx = PAIRS[k]
        a, b = depth[y - dy, x - dx], depth[y + dy, x + dx]
        if a > 0.0 and b > 0.0 and abs(a - b) <= edge_ratio * min(a, b) and a + b < best:
            best, chosen = a + b, k + 1
    return chosen


@njit(cache=True)
def find_pinholes(depth: np.ndarray, y: int, edge_ratio: float, pair: np.ndarray) -> bool:
    """Which pairs close the empty pixels of row ``y``, into uint8 [W], 0 = none; says whether any does (else it is of no use)."""
    h, w = depth.shape
    row, empty, found = depth[y], np.int32(0), np.uint8(0)
    for x in range(w):
        empty += np.int32(row[x] <= 0.0)
    if empty == 0 or y == 0 or y == h - 1:
        return False
    pair[:] = 0
    for x in range(1, w - 1):
        if row[x] <= 0.0:
            pair[x] = _bridge(depth, y, x, edge_ratio)
            found |= pair[x]
    return found > 0


@njit(cache=True)
def close_row(rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray, y: int, pair: np.ndarray) -> None:
    """Close the pinholes of row ``y`` by the pairs uint8 [W] found."""
    for x in range(1, depth.shape[1] - 1):
        if pair[x] == 0:
            continue
        dy, dx = PAIRS[pair[x] - 1]
        depth[y, x] = np.float32(0.5) * (depth[y - dy, x - dx] + depth[y + dy, x + dx])
        sensed[y, x] = min(sensed[y - dy, x - dx], sensed[y + dy, x + dx])
        age_s[y, x] = max(age_s[y - dy, x - dx], age_s[y + dy, x + dx])
        for k in range(3):
            mean = np.float32(0.5) * (np.float32(rgb[y - dy, x - dx, k]) + np.float32(rgb[y + dy, x + dx, k]))
            rgb[y, x, k] = np.uint8(mean + np.float32(0.5))


@njit(cache=True, parallel=True)
def close_pinholes(
    rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray, edge_ratio: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A resolved view, changed in place: an empty pixel between two of one surface takes their values.

    Running means leave the points of a voxelised surface unevenly spaced, so thin splats leave
    single empty pixels. Opposite neighbours (across, down or diagonal) whose depths agree within
    ``edge_ratio`` close one; the nearer pair of the four rules, so silhouettes stay open.
    """
    h, w = depth.shape
    pair, found = np.empty((h, w), np.uint8), np.zeros(h, np.bool_)
    for row in prange(h):
        y = np.int64(row)
        found[y] = find_pinholes(depth, y, edge_ratio, pair[y])
    # All pairs are chosen before any pixel is closed: a closed one closes no other.
    for row in prange(h):
        y = np.int64(row)
        if found[y]:
            close_row(rgb, depth, sensed, age_s, y, pair[y])
    return rgb, depth, sensed, age_s
