"""Drawing chunks straight from the mapped file: points up close, coarser levels from afar, nothing unpacked into memory.

A piece is one level of one chunk. Its points go into the same packed z-buffers as the blocks' (:mod:`.splat`); ids from
``MAPPED`` on say which piece and which of its points, and colour is read from the file once per pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.memory.blocks import BLOCK_SIDE
from spatia_ros.memory.crew import claim
from spatia_ros.memory.cull import HALF_DIAGONAL, rim_of, touches
from spatia_ros.memory.levels import LEVEL_SENSED_SHIFT, SEEN_MASK, SEEN_SHIFT
from spatia_ros.memory.occlude import TILE_PX, box_bound, shows_in
from spatia_ros.memory.quantise import POSITION_STEPS, RGB_SHIFT, SENSED_SHIFT
from spatia_ros.memory.splat import BATCH, FAR, GROUP, NEAR_M, project, scatter

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


class Batch(NamedTuple):
    """Room for what comes of BATCH words, a thread's own (see :func:`.splat.project`)."""

    points: np.ndarray  # float32 [3 N], quanta from the corner, x y z x y z ..
    ids: np.ndarray  # uint32 [N]
    corner: np.ndarray  # int32 [N]
    right: np.ndarray  # int32 [N]
    down: np.ndarray  # int32 [N]
    words: np.ndarray  # uint64 [N]


@njit(cache=True)
def _new_batch() -> Batch:
    n = BATCH + GROUP
    return Batch(
        np.zeros(3 * n, np.float32), np.zeros(n, np.uint32), np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32),
        np.empty(n, np.uint64),
    )  # fmt: skip


@njit(cache=True, inline="always")
def _to_camera(T: np.ndarray, p: np.ndarray, step_m: float) -> np.ndarray:
    """float32 [3, 4]: what takes steps of so many metres along the world's axes from a point, float [3], to camera metres."""
    to_camera = np.empty((3, 4), np.float32)
    for k in range(3):
        to_camera[k, 3] = T[k, 0] * p[0] + T[k, 1] * p[1] + T[k, 2] * p[2] + T[k, 3]
        for j in range(3):
            to_camera[k, j] = T[k, j] * step_m
    return to_camera


@njit(cache=True)
def _decode(words: np.ndarray, fine: bool, first: int, points: np.ndarray, ids: np.ndarray) -> None:
    """The middles of the words' quanta, and the points' ids. No branch within, so that it is vectorised."""
    half = np.float32(0.5)
    if fine:
        for i in range(words.size):
            w = np.int64(words[i])
            points[3 * i] = np.float32(np.int32((w & 0xFF) | ((w >> 40) & 0x700))) + half
            points[3 * i + 1] = np.float32(np.int32(((w >> 8) & 0xFF) | ((w >> 43) & 0x700))) + half
            points[3 * i + 2] = np.float32(np.int32(((w >> 16) & 0xFF) | ((w >> 46) & 0x700))) + half
            ids[i] = np.uint32(MAPPED + first + i)
        return
    for i in range(words.size):
        w = np.int64(words[i])
        points[3 * i] = np.float32(np.int32(w & 0xFF)) + half
        points[3 * i + 1] = np.float32(np.int32((w >> 8) & 0xFF)) + half
        points[3 * i + 2] = np.float32(np.int32((w >> 16) & 0xFF)) + half
        ids[i] = np.uint32(MAPPED + first + i)


@njit(cache=True)
def _splat_words(
    buffer: np.ndarray, words: np.ndarray, to_camera: np.ndarray, fine: bool, first: int,
    f: np.ndarray, width: int, height: int, reach: float, far: float, batch: Batch,
) -> None:
    """Splat a run of words as :mod:`.splat` does points; ``to_camera`` as :func:`_to_camera` gives it."""
    points, ids, corner, right, down, drawn = batch
    for begin in range(0, words.size, BATCH):
        some = words[begin : begin + BATCH]
        _decode(some, fine, first + begin, points, ids)
        wide = project(points, ids, some.size, to_camera, f, width, height, reach, far, corner, right, down, drawn)
        scatter(buffer, width, some.size, corner, right, down, drawn, wide > 0)


@njit(cache=True)
def _splat_blocks(
    buffer: np.ndarray, words: np.ndarray, shorts: np.ndarray, blocks: int, corner: np.ndarray, first: int,
    farthest: np.ndarray, T: np.ndarray, rim: np.ndarray, f: np.ndarray, width: int, height: int,
    voxel_m: float, splat_m: float, far: float, batch: Batch,
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
            run, to_camera = words[begin : min(end, words.size)], _to_camera(T, low, voxel_m / POSITION_STEPS)
            _splat_words(buffer, run, to_camera, True, first + begin, f, width, height, reach, np.float32(far), batch)
        begin = end


@njit(cache=True, inline="always")
def _splat_piece(
    buffer: np.ndarray, file64: np.ndarray, file16: np.ndarray, p: Pieces, d: int, farthest: np.ndarray,
    T: np.ndarray, rim: np.ndarray, f: np.ndarray, width: int, height: int, voxel_m: float, splat_m: float, far: float,
    batch: Batch,
) -> None:
    level, at, count = p.level[d], p.at[d], p.size[d]
    words = file64[at : at + count]
    reach = np.float32(max(f[0], f[1]) * splat_m * 2.0**level)
    if level == 0:
        shorts = file16[4 * (at + count) : 4 * (at + count) + 2 * p.blocks[d]]
        _splat_blocks(
            buffer, words, shorts, p.blocks[d], p.corner[d], p.first[d], farthest, T, rim, f, width, height, voxel_m, splat_m,
            far, batch,
        )
    else:
        # A level's quantum is half a voxel: 128 voxels in 256 steps.
        to_camera = _to_camera(T, p.corner[d], 0.5 * voxel_m)
        _splat_words(buffer, words, to_camera, False, p.first[d], f, width, height, reach, np.float32(far), batch)


@njit(cache=True)
def _splat_share(
    desk: np.ndarray, buffer: np.ndarray, file64: np.ndarray, file16: np.ndarray, p: Pieces,
    farthest: np.ndarray, T: np.ndarray, rim: np.ndarray, f: np.ndarray,
    width: int, height: int, voxel_m: float, splat_m: float, far: float,
) -> None:
    batch = _new_batch()
    while True:
        d = claim(desk, 0, p.size.size)
        if d < 0:
            break
        _splat_piece(buffer, file64, file16, p, d, farthest, T, rim, f, width, height, voxel_m, splat_m, far, batch)


@njit(cache=True, parallel=True)
def splat_pieces(
    desk: np.ndarray, buffers: np.ndarray, file64: np.ndarray, file16: np.ndarray, p: Pieces, farthest: np.ndarray,
    T_cam_world: np.ndarray, intrinsics: np.ndarray, width: int, height: int, voxel_m: float, splat_m: float, max_range_m: float,
) -> None:
    """Draw pieces into packed z-buffers uint64 [threads, H * W]; whoever is free takes the next.

    Args:
        desk: of one step (:mod:`.crew`).
        file64, file16: the mapped file as uint64 and uint16. farthest: what was drawn before (:func:`.farthest_of_tiles`).
    """
    threads, f = buffers.shape[0], intrinsics.astype(np.float32)
    rim, T = rim_of(intrinsics, width, height), T_cam_world
    for thread in prange(threads):
        t = np.int64(thread)
        _splat_share(
            desk, buffers[t], file64, file16, p, farthest, T, rim, f, width, height, voxel_m, splat_m, max_range_m
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
