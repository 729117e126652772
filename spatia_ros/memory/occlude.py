"""What is hidden is not drawn: blocks behind a finished part of the picture are left out, points untouched.

The nearest blocks are drawn first. Then the farthest depth of every small tile of the picture is
noted; a block all of whose tiles end nearer than it begins cannot show. So the rooms behind a wall
cost next to nothing, and the picture is the same to the bit.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.memory.blocks import BLOCK_SIDE, KEY_BIAS, Blocks
from spatia_ros.memory.cull import centre
from spatia_ros.memory.splat import FAR, MAX_SPLAT_PX, NEAR_M, empty_buffers, nearest_words, splat_more

TILE_PX = 8
FIRST_SHARE = 0.3
"""Share of the blocks, the nearest, drawn without asking."""
FEWEST_BLOCKS = 2048
"""Fewer blocks are drawn at once: looking would cost as much as it saves."""


@njit(cache=True)
def _span(
    low: float, high: float, near: float, far: float, focal: float, centre: float, rim_px: float, size: int
) -> tuple[int, int]:
    """First tile, and the one after the last, that a stretch low..high (metres) at near..far can reach."""
    first = focal * low / (near if low < 0.0 else far) + centre - rim_px
    last = focal * high / (far if high < 0.0 else near) + centre + rim_px
    tiles = (size + TILE_PX - 1) // TILE_PX
    return min(max(int(np.floor(first / TILE_PX)), 0), tiles), min(max(int(np.ceil(last / TILE_PX)), 0), tiles)


def bounds(
    blocks: Blocks, visible: np.ndarray, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, voxel_m: float, splat_m: float,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`cube_bounds` of blocks int64 [V]."""
    view = (T_cam_world, intrinsics, width, height)
    return cube_bounds(blocks.key[visible], KEY_BIAS, voxel_m * BLOCK_SIDE, *view, splat_m)


@njit(cache=True, inline="always")
def box_bound(
    X: float, Y: float, Z: float, half: tuple[float, float, float], T: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, splat_m: float,
) -> tuple[float, int, int, int, int]:
    """Depth that no point of a box is nearer than, and the tiles its splats can reach: columns from, to, rows from, to.

    A box at or behind the camera is near 0 and may reach all.

    Args:
        X, Y, Z, half: middle and half sides along the world's axes, metres.
    """
    fx, fy, cx, cy = intrinsics
    x = T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]
    y = T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]
    z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
    # Half the box's extent along each camera axis, and a little for rounding.
    slack = 1e-4 * (1.0 + abs(z))
    a = abs(T[0, 0]) * half[0] + abs(T[0, 1]) * half[1] + abs(T[0, 2]) * half[2] + slack
    b = abs(T[1, 0]) * half[0] + abs(T[1, 1]) * half[1] + abs(T[1, 2]) * half[2] + slack
    c = abs(T[2, 0]) * half[0] + abs(T[2, 1]) * half[1] + abs(T[2, 2]) * half[2] + slack
    near, far = z - c, z + c
    if near <= NEAR_M:
        return 0.0, 0, (width + TILE_PX - 1) // TILE_PX, 0, (height + TILE_PX - 1) // TILE_PX
    rim_px = min(max(max(fx, fy) * splat_m / near, 0.5), MAX_SPLAT_PX) + 1.0
    left, right = _span(x - a, x + a, near, far, fx, cx, rim_px, width)
    top, bottom = _span(y - b, y + b, near, far, fy, cy, rim_px, height)
    return near, left, right, top, bottom


@njit(cache=True, parallel=True)
def cube_bounds(
    keys: np.ndarray, bias: int, side: float, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, splat_m: float,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`box_bound` of cubes: depths float32 [V] and tiles int32 [V, 4].

    Args:
        keys, bias, side: packed keys int64 [V], and what :func:`.cull.centre` needs to place them.
    """
    near_m, tiles = np.zeros(keys.size, np.float32), np.zeros((keys.size, 4), np.int32)
    half = (0.5 * side, 0.5 * side, 0.5 * side)
    for each in prange(keys.size):
        i = np.int64(each)
        X, Y, Z = centre(keys[i], bias, side)
        near_m[i], tiles[i, 0], tiles[i, 1], tiles[i, 2], tiles[i, 3] = box_bound(
            X, Y, Z, half, T_cam_world, intrinsics, width, height, splat_m
        )
    return near_m, tiles


@njit(cache=True)
def box_bounds(
    low: np.ndarray, high: np.ndarray, T_cam_world: np.ndarray, intrinsics: np.ndarray, width: int, height: int, splat_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`box_bound` of boxes from low to high, float64 [V, 3] each: depths float32 [V] and tiles int32 [V, 4]."""
    near_m, tiles = np.zeros(len(low), np.float32), np.zeros((len(low), 4), np.int32)
    for i in range(len(low)):
        middle, half = 0.5 * (low[i] + high[i]), 0.5 * (high[i] - low[i])
        near_m[i], tiles[i, 0], tiles[i, 1], tiles[i, 2], tiles[i, 3] = box_bound(
            middle[0], middle[1], middle[2], (half[0], half[1], half[2]), T_cam_world, intrinsics, width, height, splat_m
        )
    return near_m, tiles


@njit(cache=True)
def farthest_of_row(buffers: np.ndarray, used: np.ndarray, top: int, width: int, height: int, farthest: np.ndarray) -> None:
    """:func:`farthest_of_tiles` of one row of tiles, float32 [cols], of the buffers ``used`` (int64 [N]).

    Whole words are compared, for depth is their high bits.
    """
    most = np.zeros(width, np.uint64)
    for y in range(top, min(top + TILE_PX, height)):
        least = nearest_words(buffers, used, y * width, width)
        for x in range(width):
            most[x] = max(most[x], least[x])
    for col in range(farthest.size):
        word = most[col * TILE_PX : (col + 1) * TILE_PX].max()
        farthest[col] = np.float32(np.inf) if word == FAR else np.uint32(word >> np.uint64(32)).view(np.float32)


@njit(cache=True, parallel=True)
def farthest_of_tiles(buffers: np.ndarray, width: int, height: int) -> np.ndarray:
    """float32 [rows, cols] of tiles: the farthest depth drawn so far, infinite where a pixel is empty."""
    rows, cols, every = (height + TILE_PX - 1) // TILE_PX, (width + TILE_PX - 1) // TILE_PX, np.arange(buffers.shape[0])
    farthest = np.empty((rows, cols), np.float32)
    for each in prange(rows):
        row = np.int64(each)
        farthest_of_row(buffers, every, row * TILE_PX, width, height, farthest[row])
    return farthest


@njit(cache=True, inline="always")
def shows_in(near: float, left: int, right: int, top: int, bottom: int, farthest: np.ndarray) -> bool:
    """Whether something no nearer than ``near`` can show in any of these tiles."""
    shows = False
    for row in range(top, bottom):
        for col in range(left, right):
            shows |= farthest[row, col] >= near
    return shows


@njit(cache=True)
def may_show(near_m: np.ndarray, tiles: np.ndarray, farthest: np.ndarray) -> np.ndarray:
    """bool [V]: blocks that some tile they reach does not hide."""
    shows = np.zeros(near_m.size, np.bool_)
    for i in range(near_m.size):
        shows[i] = shows_in(near_m[i], tiles[i, 0], tiles[i, 1], tiles[i, 2], tiles[i, 3], farthest)
    return shows


def splat_unhidden(
    blocks: Blocks, visible: np.ndarray, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, voxel_m: float, splat_scale: float, max_range_m: float, threads: int,
) -> np.ndarray:
    """What :func:`spatia_ros.memory.splat.splat` draws of the visible blocks, without touching the hidden ones.

    Args:
        splat_scale: half-width of a splat in voxel sides; the rest is as there.
    """
    buffers, splat_m = empty_buffers(threads, width * height), splat_scale * voxel_m
    view = (T_cam_world, intrinsics, width, height)
    if len(visible) < FEWEST_BLOCKS:
        splat_more(buffers, blocks, visible, *view, splat_m, max_range_m)
        return buffers
    near_m, tiles = bounds(blocks, visible, *view, voxel_m, splat_m)
    first = int(FIRST_SHARE * len(visible))
    later = near_m > np.partition(near_m, first)[first]
    splat_more(buffers, blocks, visible[~later], *view, splat_m, max_range_m)
    later[later] = may_show(near_m[later], tiles[later], farthest_of_tiles(buffers, width, height))
    splat_more(buffers, blocks, visible[later], *view, splat_m, max_range_m)
    return buffers
