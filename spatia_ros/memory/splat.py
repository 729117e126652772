"""Drawing the blocks into a camera: splat into per-thread z-buffers, resolve.

The z-buffer packs depth in the high and the point's pool place in the low 32 bits of one word,
so the nearest point wins by an integer minimum and colour is read once per pixel, not per point.
A splat is a square of half-width ``splat_scale * voxel * f / z`` px, at least half a pixel, so a
surface at least as dense as the pixels, or one voxel dense, has no holes.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from spatia_ros.memory.blocks import Blocks

FAR = np.uint64(0xFFFFFFFFFFFFFFFF)
NEAR_M = 0.05
MAX_SPLAT_PX = 16.0
PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Offsets (y, x) of a neighbour; the one opposite is at the negative."""


@njit(cache=True)
def _splat_into(
    buffer: np.ndarray, blocks: Blocks, visible: np.ndarray, T: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, reach: float, far: float,
) -> None:
    """Splat blocks into one z-buffer uint64 [H * W].

    Pixels take the minimum whether they need it or not: a store costs less than a mispredicted
    branch. Most splats are one or two pixels wide; those are four such stores, repeated or not.
    """
    fx, fy, cx, cy = intrinsics
    half, one, near, widest = np.float32(0.5), np.float32(1.0), np.float32(NEAR_M), np.float32(MAX_SPLAT_PX)
    xyz, start, size = blocks.xyz, blocks.start, blocks.size
    for block in visible:
        for p in range(start[block], start[block] + size[block]):
            X, Y, Z = xyz[p, 0], xyz[p, 1], xyz[p, 2]
            z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
            if z < near or z > far:
                continue
            inv = one / z
            u = fx * (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]) * inv + cx
            v = fy * (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]) * inv + cy
            r = min(max(reach * inv, half), widest)
            # Pixels whose centre lies in [u - r, u + r): exactly one when r = 0.5.
            x0, x1 = np.int64(np.ceil(u - r - half)), np.int64(np.ceil(u + r - half)) - 1
            y0, y1 = np.int64(np.ceil(v - r - half)), np.int64(np.ceil(v + r - half)) - 1
            word = (np.uint64(np.float32(z).view(np.uint32)) << np.uint64(32)) | np.uint64(p)
            if r <= one and x0 >= 0 and y0 >= 0 and x1 < width and y1 < height:
                for row in (y0 * width, y1 * width):
                    for at in (np.uint64(row + x0), np.uint64(row + x1)):
                        buffer[at] = min(buffer[at], word)
                continue
            # Wide, or over the rim (what lies beyond it leaves nothing to loop over).
            for y in range(max(y0, 0), min(y1, height - 1) + 1):
                for x in range(max(x0, 0), min(x1, width - 1) + 1):
                    at = np.uint64(y * width + x)
                    buffer[at] = min(buffer[at], word)


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
    point_rgb, point_sensed, point_seen, half = blocks.rgb, blocks.sensed, blocks.seen_ms, np.float32(0.5)
    for x in range(words.size):
        word = words[x]
        if word == FAR:
            depth[x] = sensed[x] = age_s[x] = np.float32(0.0)
            rgb[x, 0] = rgb[x, 1] = rgb[x, 2] = np.uint8(0)
            continue
        p = word & np.uint64(0xFFFFFFFF)
        depth[x] = np.uint32(word >> np.uint64(32)).view(np.float32)
        for k in range(3):
            rgb[x, k] = np.uint8(point_rgb[p, k] + half)
        sensed[x] = point_sensed[p]
        age_s[x] = max(0, now_ms - point_seen[p]) * 1e-3


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
