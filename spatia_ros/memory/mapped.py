"""Drawing chunks straight from the mapped file: points up close, coarser levels from afar, nothing unpacked into memory.

A piece is one level of one chunk. Its points go into the same packed z-buffers as the blocks' (:mod:`.splat`); ids from
``MAPPED`` on say which piece and which of its points, and colour is read from the file once per pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from spatia_ros.memory.blocks import BLOCK_SIDE
from spatia_ros.memory.cull import HALF_DIAGONAL, rim_of, touches
from spatia_ros.memory.levels import LEVEL_SENSED_SHIFT, SEEN_MASK, SEEN_SHIFT
from spatia_ros.memory.occlude import TILE_PX, box_bound, shows_in
from spatia_ros.memory.quantise import POSITION_STEPS, RGB_SHIFT, SENSED_SHIFT
from spatia_ros.memory.splat import FAR, MAX_SPLAT_PX, NEAR_M

MAPPED = 1 << 31
"""Ids from here on are points of pieces; below are pool places."""
CHUNK_STEPS = 256
"""Quanta along a chunk's side in which a level's points are placed."""


class Pieces(NamedTuple):
    """What of the file to draw, D pieces."""

    chunk: np.ndarray  # int64 [D], row of the index
    level: np.ndarray  # int64 [D], 0 = the points themselves
    at: np.ndarray  # int64 [D], first word, in words from the start of the file
    size: np.ndarray  # int64 [D], points
    blocks: np.ndarray  # int64 [D], blocks of a level 0
    corner: np.ndarray  # float64 [D, 3], lowest corner of the chunk, metres
    seen_base: np.ndarray  # int64 [D], ms
    seen_shift: np.ndarray  # int64 [D]
    first: np.ndarray  # int64 [D], id of the first point, less MAPPED


@njit(cache=True, inline="always")
def _put(buffer: np.ndarray, width: int, height: int, u: float, v: float, r: float, word: int) -> None:
    """One splat, as :mod:`.splat` draws it: pixels whose centre lies in [u - r, u + r) take the nearer word."""
    half = np.float32(0.5)
    x0, x1 = np.int64(np.ceil(u - r - half)), np.int64(np.ceil(u + r - half)) - 1
    y0, y1 = np.int64(np.ceil(v - r - half)), np.int64(np.ceil(v + r - half)) - 1
    if r <= np.float32(1.0) and x0 >= 0 and y0 >= 0 and x1 < width and y1 < height:
        for row in (y0 * width, y1 * width):
            for at in (np.uint64(row + x0), np.uint64(row + x1)):
                buffer[at] = min(buffer[at], word)
        return
    for y in range(max(y0, 0), min(y1, height - 1) + 1):
        for x in range(max(x0, 0), min(x1, width - 1) + 1):
            at = np.uint64(y * width + x)
            buffer[at] = min(buffer[at], word)


@njit(cache=True, inline="always")
def _to_camera(T: np.ndarray, p: np.ndarray, step_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Steps of so many metres along the world's axes, float32 [3, 3], and a world point, float32 [3], in camera axes."""
    step, origin = np.empty((3, 3), np.float32), np.empty(3, np.float32)
    for k in range(3):
        origin[k] = T[k, 0] * p[0] + T[k, 1] * p[1] + T[k, 2] * p[2] + T[k, 3]
        for j in range(3):
            step[k, j] = T[k, j] * step_m
    return step, origin


@njit(cache=True)
def _splat_words(
    buffer: np.ndarray, words: np.ndarray, step: np.ndarray, origin: np.ndarray, fine: bool, first: int,
    f: np.ndarray, width: int, height: int, reach: float, far: float,
) -> None:
    """Splat a run of words: ``step`` float32 [3, 3] and ``origin`` float32 [3] take quanta to camera metres."""
    half, one, near, widest = np.float32(0.5), np.float32(1.0), np.float32(NEAR_M), np.float32(MAX_SPLAT_PX)
    fx, fy, cx, cy = f
    for i in range(words.size):
        w = np.int64(words[i])
        X, Y, Z = w & 0xFF, (w >> 8) & 0xFF, (w >> 16) & 0xFF
        if fine:
            X, Y, Z = X | (w >> 40 & 0x700), Y | (w >> 43 & 0x700), Z | (w >> 46 & 0x700)
        a, b, c = np.float32(X) + half, np.float32(Y) + half, np.float32(Z) + half
        z = origin[2] + step[2, 0] * a + step[2, 1] * b + step[2, 2] * c
        if z < near or z > far:
            continue
        inv = one / z
        u = fx * (origin[0] + step[0, 0] * a + step[0, 1] * b + step[0, 2] * c) * inv + cx
        v = fy * (origin[1] + step[1, 0] * a + step[1, 1] * b + step[1, 2] * c) * inv + cy
        word = (np.uint64(np.float32(z).view(np.uint32)) << np.uint64(32)) | np.uint64(MAPPED + first + i)
        _put(buffer, width, height, u, v, min(max(reach * inv, half), widest), word)


@njit(cache=True)
def _splat_blocks(
    buffer: np.ndarray, words: np.ndarray, shorts: np.ndarray, blocks: int, corner: np.ndarray, first: int,
    farthest: np.ndarray, T: np.ndarray, rim: np.ndarray, f: np.ndarray, width: int, height: int,
    voxel_m: float, splat_m: float, far: float,
) -> None:
    """Splat a chunk's own points, leaving out its blocks that lie outside the view or are hidden.

    Args:
        words: uint64 [N]. shorts: uint16 [2 B], Morton numbers and points less one of the blocks.
    """
    side, reach = voxel_m * BLOCK_SIDE, np.float32(max(f[0], f[1]) * splat_m)
    half = (0.5 * side, 0.5 * side, 0.5 * side)
    begin = np.int64(0)
    for j in range(blocks):
        number, end = np.int64(shorts[j]), begin + np.int64(shorts[blocks + j]) + 1
        low = np.empty(3)
        for k in range(3):
            cell = np.int64(0)
            for bit in range(4):
                cell |= ((number >> (3 * bit + k)) & 1) << bit
            low[k] = corner[k] + cell * side
        middle = low + 0.5 * side
        X, Y, Z = middle
        near, left, right, top, bottom = box_bound(X, Y, Z, half, T, f, width, height, splat_m)
        if touches(T, rim, X, Y, Z, HALF_DIAGONAL * side, far) and shows_in(near, left, right, top, bottom, farthest):
            step, origin = _to_camera(T, low, voxel_m / POSITION_STEPS)
            run = words[begin : min(end, words.size)]
            _splat_words(buffer, run, step, origin, True, first + begin, f, width, height, reach, np.float32(far))
        begin = end


@njit(cache=True, inline="always")
def _splat_piece(
    buffer: np.ndarray, file64: np.ndarray, file16: np.ndarray, p: Pieces, d: int, farthest: np.ndarray,
    T: np.ndarray, rim: np.ndarray, f: np.ndarray, width: int, height: int, voxel_m: float, splat_m: float, far: float,
) -> None:
    level, at, count = p.level[d], p.at[d], p.size[d]
    words = file64[at : at + count]
    reach = np.float32(max(f[0], f[1]) * splat_m * 2.0**level)
    if level == 0:
        shorts = file16[4 * (at + count) : 4 * (at + count) + 2 * p.blocks[d]]
        _splat_blocks(
            buffer, words, shorts, p.blocks[d], p.corner[d], p.first[d], farthest, T, rim, f, width, height, voxel_m, splat_m, far
        )
    else:
        # A level's quantum is half a voxel: 128 voxels in 256 steps.
        step, origin = _to_camera(T, p.corner[d], 0.5 * voxel_m)
        _splat_words(buffer, words, step, origin, False, p.first[d], f, width, height, reach, np.float32(far))


@njit(cache=True)
def _splat_share(
    buffer: np.ndarray, file64: np.ndarray, file16: np.ndarray, p: Pieces, begin: int, end: int,
    farthest: np.ndarray, T: np.ndarray, rim: np.ndarray, f: np.ndarray,
    width: int, height: int, voxel_m: float, splat_m: float, far: float,
) -> None:
    for d in range(begin, end):
        _splat_piece(buffer, file64, file16, p, d, farthest, T, rim, f, width, height, voxel_m, splat_m, far)


@njit(cache=True, parallel=True)
def splat_pieces(
    buffers: np.ndarray, file64: np.ndarray, file16: np.ndarray, p: Pieces, farthest: np.ndarray,
    T_cam_world: np.ndarray, intrinsics: np.ndarray, width: int, height: int, voxel_m: float, splat_m: float, max_range_m: float,
) -> None:
    """Draw pieces into packed z-buffers uint64 [threads, H * W], every thread a share of about as many points.

    Args:
        file64, file16: the mapped file as uint64 and uint16. farthest: what was drawn before (:func:`.farthest_of_tiles`).
    """
    threads, f = buffers.shape[0], intrinsics.astype(np.float32)
    rim, T = rim_of(intrinsics, width, height), T_cam_world
    ends = np.cumsum(p.size + 64)
    total = ends[-1] if ends.size else 0
    cuts = np.searchsorted(ends, total * np.arange(threads + 1) // threads)
    cuts[threads] = ends.size
    for thread in prange(threads):
        t = np.int64(thread)
        _splat_share(
            buffers[t], file64, file16, p, cuts[t], cuts[t + 1], farthest, T, rim, f, width, height, voxel_m, splat_m, max_range_m
        )


@njit(cache=True)
def _least_words(buffers: np.ndarray, begin: int, end: int) -> np.ndarray:
    """The nearest of all threads' words at pixels begin..end, in the first buffer: uint64 [end - begin]."""
    words = buffers[0, begin:end]
    for t in range(1, buffers.shape[0]):
        for x in range(end - begin):
            words[x] = min(words[x], buffers[t, np.uint64(begin + x)])
    return words


@njit(cache=True, inline="always")
def _is_pinhole(words: np.ndarray, y: int, x: int) -> bool:
    """Whether an empty pixel lies between two that are not, across or down: it will be closed."""
    h, w = words.shape
    across = 0 < x < w - 1 and words[y, x - 1] != FAR and words[y, x + 1] != FAR
    return across or (0 < y < h - 1 and words[y - 1, x] != FAR and words[y + 1, x] != FAR)


@njit(cache=True)
def _farthest_of_row(words: np.ndarray, top: int, farthest: np.ndarray) -> None:
    """One row of tiles float32 [cols], from pixel row ``top`` on, of the nearest words uint64 [H, W]."""
    h, w = words.shape
    farthest[:] = 0.0
    for y in range(top, min(top + TILE_PX, h)):
        for x in range(w):
            word, tile = words[y, x], x // TILE_PX
            if word != FAR:
                farthest[tile] = max(farthest[tile], np.uint32(word >> np.uint64(32)).view(np.float32))
            elif not _is_pinhole(words, y, x):
                farthest[tile] = np.float32(np.inf)


@njit(cache=True, parallel=True)
def farthest_drawn(buffers: np.ndarray, width: int, height: int) -> np.ndarray:
    """float32 [rows, cols] of tiles: the farthest depth drawn so far, pinholes left out, infinite where a pixel is empty.

    Gathers what all threads drew in the first buffer.
    """
    rows, cols = (height + TILE_PX - 1) // TILE_PX, (width + TILE_PX - 1) // TILE_PX
    farthest = np.empty((rows, cols), np.float32)
    for row in prange(height):
        y = np.int64(row)
        _least_words(buffers, y * width, (y + 1) * width)
    words = buffers[0].reshape(height, width)
    for row in prange(rows):
        i = np.int64(row)
        _farthest_of_row(words, i * TILE_PX, farthest[i])
    return farthest


@njit(cache=True)
def _look_up(
    words: np.ndarray, file64: np.ndarray, file16: np.ndarray, p: Pieces, now_ms: int,
    rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray,
) -> None:
    """Fill a row of the view from the pieces' points that won, and take those out of the row's words."""
    d, last = np.int64(0), np.int64(-1)
    for x in range(words.size):
        depth[x] = sensed[x] = age_s[x] = np.float32(0.0)
        rgb[x, 0] = rgb[x, 1] = rgb[x, 2] = np.uint8(0)
        word = words[x]
        place = np.int64(word & np.uint64(0xFFFFFFFF)) - MAPPED
        if word == FAR or place < 0:
            continue
        if place < p.first[d] or place >= last:  # most often the piece of the pixel before
            d = np.searchsorted(p.first, place, side="right") - 1
            last = p.first[d] + p.size[d]
        i = place - p.first[d]
        w = file64[p.at[d] + i]
        depth[x] = np.uint32(word >> np.uint64(32)).view(np.float32)
        for k in range(3):
            rgb[x, k] = np.uint8(w >> np.uint64(RGB_SHIFT + 8 * k))
        if p.level[d] == 0:
            seen = np.int64(file16[4 * (p.at[d] + p.size[d]) + 2 * p.blocks[d] + i])
            sensed[x] = (w >> np.uint64(SENSED_SHIFT)) & np.uint64(1)
        else:
            seen = np.int64((w >> np.uint64(SEEN_SHIFT)) & np.uint64(SEEN_MASK)) << 1
            sensed[x] = w >> np.uint64(LEVEL_SENSED_SHIFT)
        age_s[x] = max(0, now_ms - p.seen_base[d] - (seen << p.seen_shift[d])) * 1e-3
        words[x] = FAR


@njit(cache=True, parallel=True)
def resolve_pieces(
    buffers: np.ndarray, file64: np.ndarray, file16: np.ndarray, p: Pieces, width: int, height: int, now_ms: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the pieces show: rgb uint8 [H, W, 3], depth, sensed and age_s float32 [H, W], 0 where they show nothing.

    Afterwards the first buffer holds what the blocks show, FAR elsewhere.
    """
    rgb = np.empty((height, width, 3), np.uint8)
    depth = np.empty((height, width), np.float32)
    sensed = np.empty((height, width), np.float32)
    age_s = np.empty((height, width), np.float32)
    for row in prange(height):
        y = np.int64(row)
        words = _least_words(buffers, y * width, (y + 1) * width)
        _look_up(words, file64, file16, p, now_ms, rgb[y], depth[y], sensed[y], age_s[y])
    return rgb, depth, sensed, age_s


@njit(cache=True)
def levels_for(near_m: np.ndarray, focal: float, voxel_m: float, coarsest: int) -> np.ndarray:
    """int64 [N]: the level whose voxels, seen from ``near_m``, are 1.4 to 2.8 px large: as those of a room at 1 cm are.

    Level 0 where even its voxels are larger.
    """
    levels = np.zeros(near_m.size, np.int64)
    for i in range(near_m.size):
        pixels = focal * voxel_m / max(near_m[i], np.float32(NEAR_M))
        levels[i] = min(max(int(np.floor(1.5 - np.log2(pixels))), 0), coarsest)
    return levels
