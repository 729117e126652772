"""Drawing the blocks into a camera: splat into per-thread z-buffers, resolve.

The z-buffer packs depth in the high and the point's pool place in the low 32 bits of one word,
so the nearest point wins by an integer minimum and colour is read once per pixel, not per point.
A splat is a square of half-width ``splat_scale * voxel * f / z`` px, at least half a pixel, so a
surface at least as dense as the pixels, or one voxel dense, has no holes.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

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
def _project(
    points: np.ndarray, count: int, T: np.ndarray, intrinsics: np.ndarray, width: int, height: int, reach: float, far: float,
    x0s: np.ndarray, x1s: np.ndarray, y0s: np.ndarray, y1s: np.ndarray, zs: np.ndarray,
) -> None:
    """First and last column and row, within the picture, and depth of the first ``count`` points' splats.

    Args:
        points: float32 [3 N], x y z x y z .. in metres. The rest are arrays [N]; first > last: nothing to draw.

    No branch and no call: the compiler makes 16 points at once of it. It does so in groups of GROUP, so the count is
    rounded up; what is computed beyond it is not used.
    """
    half, one, near, widest = np.float32(0.5), np.float32(1.0), np.float32(NEAR_M), np.float32(MAX_SPLAT_PX)
    fx, fy, cx, cy = intrinsics
    xx, xy, xz, xt = T[0]
    yx, yy, yz, yt = T[1]
    zx, zy, zz, zt = T[2]
    zero, last_x, last_y = np.int32(0), np.int32(width - 1), np.int32(height - 1)
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
        x0s[i] = max(_ceil(u - r - half), zero)
        x1s[i] = min(_ceil(u + r - half) - np.int32(1), last_x)
        y0s[i] = max(_ceil(v - r - half), zero)
        y1s[i] = min(_ceil(v + r - half) - np.int32(1), last_y)
        zs[i] = z


@njit(cache=True)
def _lower(buffer: np.ndarray, at: int, word: int) -> None:
    buffer[np.uint64(at)] = min(buffer[np.uint64(at)], word)


@njit(cache=True)
def _scatter(
    buffer: np.ndarray, width: int, places: np.ndarray, count: int,
    x0s: np.ndarray, x1s: np.ndarray, y0s: np.ndarray, y1s: np.ndarray, zs: np.ndarray,
) -> None:
    """Draw projected splats into a z-buffer uint64 [H * W].

    Pixels take the minimum whether they need it or not, and splats of up to three pixels across as four or nine such
    stores, repeated or not: a store costs less than a mispredicted branch.
    """
    for i in range(count):
        x0, x1, y0, y1 = np.int64(x0s[i]), np.int64(x1s[i]), np.int64(y0s[i]), np.int64(y1s[i])
        word = (np.uint64(np.float32(zs[i]).view(np.uint32)) << np.uint64(32)) | np.uint64(places[i])
        across, top, bottom = max(np.uint64(x1 - x0), np.uint64(y1 - y0)), y0 * width, y1 * width
        if across <= np.uint64(1):
            _lower(buffer, top + x0, word)
            _lower(buffer, top + x1, word)
            _lower(buffer, bottom + x0, word)
            _lower(buffer, bottom + x1, word)
        elif across == np.uint64(2):
            column, middle = (x0 + x1) >> 1, ((y0 + y1) >> 1) * width
            for row in (top, middle, bottom):
                _lower(buffer, row + x0, word)
                _lower(buffer, row + column, word)
                _lower(buffer, row + x1, word)
        else:
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    _lower(buffer, y * width + x, word)


@njit(cache=True)
def _splat_into(
    buffer: np.ndarray, blocks: Blocks, visible: np.ndarray, T: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, reach: float, far: float,
) -> None:
    """Splat blocks into one z-buffer uint64 [H * W], so many blocks at a time that BATCH points come together."""
    room = BATCH + BLOCK_VOXELS + GROUP
    points, places, zs = np.zeros(3 * room, np.float32), np.zeros(room, np.uint32), np.empty(room, np.float32)
    x0s, x1s, y0s, y1s = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int32)
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
            _project(points, count, T, intrinsics, width, height, reach, far, x0s, x1s, y0s, y1s, zs)
            _scatter(buffer, width, places, count, x0s, x1s, y0s, y1s, zs)
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
        _splat_into(buffers[t], blocks, share, T, f, width, height, reach, far)


def splat(
    blocks: Blocks, visible: np.ndarray, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, splat_m: float, max_range_m: float, threads: int,
) -> np.ndarray:
    """Packed z-buffers uint64 [threads, H * W] of the visible blocks; FAR where nothing is."""
    buffers = empty_buffers(threads, width * height)
    splat_more(buffers, blocks, visible, T_cam_world, intrinsics, width, height, splat_m, max_range_m)
    return buffers


@njit(cache=True)
def _nearest_words(buffers: np.ndarray, first: int, count: int) -> np.ndarray:
    """uint64 [count]: the smallest word of all threads' buffers at pixels ``first`` and on."""
    words = buffers[0, first : first + count].copy()
    for t in range(1, buffers.shape[0]):
        for x in range(count):
            words[x] = min(words[x], buffers[t, np.uint64(first + x)])
    return words


def winners(buffers: np.ndarray) -> np.ndarray:
    """Pool place int64 [pixels] of the point that is nearest in each pixel of packed z-buffers, -1 where none is."""
    nearest = buffers.min(0)
    return np.where(nearest == FAR, -1, (nearest & np.uint64(0xFFFFFFFF)).astype(np.int64))


@njit(cache=True)
def _look_up(
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
    for row in prange(height):
        y = np.int64(row)
        words = _nearest_words(buffers, y * width, width)
        _look_up(blocks, words, now_ms, rgb[y], depth[y], sensed[y], age_s[y])
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
    pair, found = np.zeros((h, w), np.uint8), np.zeros(h, np.uint8)
    for row in prange(1, h - 1):
        y = np.int64(row)
        for x in range(1, w - 1):
            if depth[y, x] <= 0.0:
                pair[y, x] = _bridge(depth, y, x, edge_ratio)
                found[y] |= pair[y, x]
    # All pairs are chosen before any pixel is closed: a closed one closes no other.
    for row in prange(1, h - 1):
        y = np.int64(row)
        for x in range(1, w - 1 if found[y] else 1):
            if pair[y, x] == 0:
                continue
            dy, dx = PAIRS[pair[y, x] - 1]
            depth[y, x] = np.float32(0.5) * (depth[y - dy, x - dx] + depth[y + dy, x + dx])
            sensed[y, x] = min(sensed[y - dy, x - dx], sensed[y + dy, x + dx])
            age_s[y, x] = max(age_s[y - dy, x - dx], age_s[y + dy, x + dx])
            for k in range(3):
                mean = np.float32(0.5) * (np.float32(rgb[y - dy, x - dx, k]) + np.float32(rgb[y + dy, x + dx, k]))
                rgb[y, x, k] = np.uint8(mean + np.float32(0.5))
    return rgb, depth, sensed, age_s
