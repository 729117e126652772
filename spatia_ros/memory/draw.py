"""A view of the blocks in one go: what is in view, splats of the near, then of what they do not hide, colours, pinholes.

The steps are those of :mod:`.cull`, :mod:`.occlude` and :mod:`.splat`, and so is the picture, to the bit. A thread draws
into a z-buffer of its own, cleared when it has first something to draw.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.memory.blocks import BLOCK_SIDE, KEY_BIAS, Blocks
from spatia_ros.memory.crew import claim, desk, hand_in, wait_for
from spatia_ros.memory.cull import FIND_STEPS, PIECE, PIECES, InView, centre, find_together, room_to_find
from spatia_ros.memory.occlude import FEWEST_BLOCKS, FIRST_SHARE, TILE_PX, box_bound, farthest_of_row, shows_in
from spatia_ros.memory.splat import FAR, close_row, find_pinholes, look_up, nearest_words, splat_into

_BOUND, _CHOOSE, _NEAR, _FARTHEST, _LATER, _RESOLVE, _FIND, _CLOSE = range(FIND_STEPS, FIND_STEPS + 8)
BINS_A_M = 8.0
"""Depths are counted in bins of this width, to know which blocks are the nearest."""


class Drawing(NamedTuple):
    """Where threads draw together; V blocks a thread, R rows of tiles."""

    near_m: np.ndarray  # float32 [threads, V], of each block found
    tiles: np.ndarray  # int32 [threads, V, 4]
    depths: np.ndarray  # int64 [threads, bins], blocks by depth
    first_m: np.ndarray  # float32 [1], blocks up to here are drawn without asking
    used: np.ndarray  # uint8 [threads, 64], whether a thread has drawn anything (first of the line)
    buffers: np.ndarray  # uint64 [threads, H * W]
    farthest: np.ndarray  # float32 [R, tiles across]
    pair: np.ndarray  # uint8 [H, W], of pinholes
    holes: np.ndarray  # bool [H], rows with any


@njit(cache=True)
def _bound(
    key: np.ndarray, block: np.ndarray, near_m: np.ndarray, tiles: np.ndarray, depths: np.ndarray, T: np.ndarray,
    intrinsics: np.ndarray, width: int, height: int, voxel_m: float, splat_m: float,
) -> None:
    """:func:`.occlude.bounds` of a piece, and its depths counted."""
    side = voxel_m * BLOCK_SIDE
    half = (0.5 * side, 0.5 * side, 0.5 * side)
    for i in range(block.size):
        X, Y, Z = centre(key[block[i]], KEY_BIAS, side)
        near, left, right, top, bottom = box_bound(X, Y, Z, half, T, intrinsics, width, height, splat_m)
        near_m[i], tiles[i, 0], tiles[i, 1], tiles[i, 2], tiles[i, 3] = near, left, right, top, bottom
        depths[min(int(near * BINS_A_M), depths.size - 1)] += 1


@njit(cache=True)
def _first_m(depths: np.ndarray) -> np.float32:
    """Up to which depth about FIRST_SHARE of all blocks lie; infinite when there are few."""
    count = depths.sum(0)
    if count.sum() < FEWEST_BLOCKS:
        return np.float32(np.inf)
    sums = np.cumsum(count)
    return np.float32((np.searchsorted(sums, np.int64(FIRST_SHARE * sums[-1])) + 1) / BINS_A_M)


@njit(cache=True)
def _draw_pieces(
    desk: np.ndarray, step: int, thread: int, blocks: Blocks, view: InView, d: Drawing, T: np.ndarray, f: np.ndarray,
    width: int, height: int, reach: float, far: float,
) -> None:
    """Draw this thread's share of the near blocks, or of the later ones that may show."""
    chosen, pieces, buffer = np.empty(PIECE, np.int64), view.counts[PIECES], d.buffers[thread]
    while True:
        k = claim(desk, step, pieces)
        if k < 0:
            break
        whose, begin, end = view.piece[k]
        near_m, tiles, block, n = d.near_m[whose], d.tiles[whose], view.block[whose], 0
        for i in range(begin, end):
            wanted = near_m[i] <= d.first_m[0]
            if step == _LATER:
                wanted = not wanted and shows_in(near_m[i], tiles[i, 0], tiles[i, 1], tiles[i, 2], tiles[i, 3], d.farthest)
            chosen[n] = block[i]
            n += wanted
        if n:
            if d.used[thread, 0] == 0:
                buffer[:] = FAR
                d.used[thread, 0] = 1
            splat_into(buffer, blocks, chosen[:n], T, f, width, height, reach, far)
        hand_in(desk, step)
    wait_for(desk, step, pieces)


@njit(cache=True)
def _used_buffers(d: Drawing) -> np.ndarray:
    """uint64 [threads, H * W], of those threads that have drawn; the first where none has, cleared."""
    n, own = 0, np.empty(d.used.shape[0], np.int64)
    for t in range(own.size):
        own[n] = t
        n += d.used[t, 0]
    return own[:n]


@njit(cache=True)
def _find_and_draw(
    thread: int, desk: np.ndarray, blocks: Blocks, view: InView, d: Drawing, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, voxel_m: float, splat_m: float, far_m: float,
) -> None:
    find_together(desk, thread, blocks, view, T_cam_world, intrinsics, width, height, voxel_m, far_m)
    pieces, T, f = view.counts[PIECES], T_cam_world.astype(np.float32), intrinsics.astype(np.float32)
    reach, far = np.float32(max(f[0], f[1]) * splat_m), np.float32(far_m)
    while True:
        k = claim(desk, _BOUND, pieces)
        if k < 0:
            break
        whose, begin, end = view.piece[k]
        _bound(
            blocks.key, view.block[whose, begin:end], d.near_m[whose, begin:end], d.tiles[whose, begin:end], d.depths[thread],
            T_cam_world, intrinsics, width, height, voxel_m, splat_m,
        )
        hand_in(desk, _BOUND)
    wait_for(desk, _BOUND, pieces)
    if claim(desk, _CHOOSE, 1) == 0:
        d.first_m[0] = _first_m(d.depths)
        hand_in(desk, _CHOOSE)
    wait_for(desk, _CHOOSE, 1)
    _draw_pieces(desk, _NEAR, thread, blocks, view, d, T, f, width, height, reach, far)
    if d.first_m[0] < np.inf:
        rows, used = d.farthest.shape[0], _used_buffers(d)
        while True:
            row = claim(desk, _FARTHEST, rows)
            if row < 0:
                break
            farthest_of_row(d.buffers, used, row * TILE_PX, width, height, d.farthest[row])
            hand_in(desk, _FARTHEST)
        wait_for(desk, _FARTHEST, rows)
        _draw_pieces(desk, _LATER, thread, blocks, view, d, T, f, width, height, reach, far)


@njit(cache=True)
def _resolve(
    desk: np.ndarray, blocks: Blocks, d: Drawing, now_ms: int, edge_ratio: float,
    rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray,
) -> None:
    """Look up what won in each pixel, and close pinholes: :func:`.splat.resolve` and :func:`.splat.close_pinholes`."""
    h, w = depth.shape
    bands, used = (h + TILE_PX - 1) // TILE_PX, _used_buffers(d)
    while True:
        band = claim(desk, _RESOLVE, bands)
        if band < 0:
            break
        for y in range(band * TILE_PX, min(band * TILE_PX + TILE_PX, h)):
            look_up(blocks, nearest_words(d.buffers, used, y * w, w), now_ms, rgb[y], depth[y], sensed[y], age_s[y])
        hand_in(desk, _RESOLVE)
    wait_for(desk, _RESOLVE, bands)
    while True:
        band = claim(desk, _FIND, bands)
        if band < 0:
            break
        for y in range(band * TILE_PX, min(band * TILE_PX + TILE_PX, h)):
            d.holes[y] = find_pinholes(depth, y, edge_ratio, d.pair[y])
        hand_in(desk, _FIND)
    wait_for(desk, _FIND, bands)
    while True:
        band = claim(desk, _CLOSE, bands)
        if band < 0:
            break
        for y in range(band * TILE_PX, min(band * TILE_PX + TILE_PX, h)):
            if d.holes[y]:
                close_row(rgb, depth, sensed, age_s, y, d.pair[y])
        hand_in(desk, _CLOSE)


@njit(cache=True)
def _share(
    thread: int, desk: np.ndarray, blocks: Blocks, view: InView, d: Drawing, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    voxel_m: float, splat_m: float, far_m: float, now_ms: int, edge_ratio: float,
    rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray,
) -> None:
    h, w = depth.shape
    _find_and_draw(thread, desk, blocks, view, d, T_cam_world, intrinsics, w, h, voxel_m, splat_m, far_m)
    _resolve(desk, blocks, d, now_ms, edge_ratio, rgb, depth, sensed, age_s)


@njit(cache=True, parallel=True)
def _draw(
    threads: int, desk: np.ndarray, blocks: Blocks, view: InView, d: Drawing, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    voxel_m: float, splat_m: float, far_m: float, now_ms: int, edge_ratio: float,
    rgb: np.ndarray, depth: np.ndarray, sensed: np.ndarray, age_s: np.ndarray,
) -> None:
    for each in prange(threads):
        _share(
            np.int64(each), desk, blocks, view, d, T_cam_world, intrinsics, voxel_m, splat_m, far_m, now_ms, edge_ratio,
            rgb, depth, sensed, age_s,
        )


def draw(
    blocks: Blocks, T_cam_world: np.ndarray, intrinsics: np.ndarray, width: int, height: int, voxel_m: float,
    splat_scale: float, far_m: float, now_ms: int, edge_ratio: float, threads: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The voxels in view up to ``far_m`` metres, pinholes closed.

    Returns:
        rgb uint8 [H, W, 3], depth float32 [H, W] (metres, 0 where there is none), sensed float32 [H, W], age_s float32 [H, W].
    """
    view, shape = room_to_find(blocks, threads), (height, width)
    d = Drawing(
        np.empty(view.block.shape, np.float32), np.empty((*view.block.shape, 4), np.int32),
        np.zeros((threads, int(far_m * BINS_A_M) + 2), np.int64), np.zeros(1, np.float32), np.zeros((threads, 64), np.uint8),
        np.empty((threads, height * width), np.uint64), np.empty((-(-height // TILE_PX), -(-width // TILE_PX)), np.float32),
        np.empty(shape, np.uint8), np.zeros(height, np.bool_),
    )  # fmt: skip
    rgb, depth, sensed, age_s = np.empty((*shape, 3), np.uint8), *(np.empty(shape, np.float32) for _ in range(3))
    _draw(
        threads, desk(_CLOSE + 1), blocks, view, d, T_cam_world, intrinsics, voxel_m, splat_scale * voxel_m, far_m, now_ms,
        edge_ratio, rgb, depth, sensed, age_s,
    )
    return rgb, depth, sensed, age_s
