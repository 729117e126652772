"""Which part of the map a camera can see: chunks first, then the blocks in them, so that asking costs the view."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spatia_ros.kernels import njit
from spatia_ros.memory.blocks import BLOCK_SIDE, CHUNK_SIDE, EMPTY, KEY_BIAS, KEY_BITS, N_BLOCKS, N_CHUNKS, Blocks
from spatia_ros.memory.crew import claim, hand_in, wait_for

HALF_DIAGONAL = 0.8661
"""Of a cube of side 1, rounded up."""


@njit(cache=True, inline="always")
def centre(key: int, bias: int, side: float) -> tuple[float, float, float]:
    """Middle, in metres, of a block or chunk whose coordinates are packed in ``key``."""
    field = (1 << KEY_BITS) - 1
    X = ((key & field) - bias + 0.5) * side
    Y = (((key >> KEY_BITS) & field) - bias + 0.5) * side
    Z = ((key >> (2 * KEY_BITS)) - bias + 0.5) * side
    return X, Y, Z


@njit(cache=True)
def rim_of(intrinsics: np.ndarray, width: int, height: int) -> np.ndarray:
    """float64 [2, 4]: slopes of the left, right, top and bottom side planes, and the length of their normals."""
    fx, fy, cx, cy = intrinsics
    rim = np.empty((2, 4))
    rim[0] = np.array([cx / fx, (width - cx) / fx, cy / fy, (height - cy) / fy])
    rim[1] = np.sqrt(1.0 + rim[0] ** 2)
    return rim


@njit(cache=True, inline="always")
def touches(T: np.ndarray, rim: np.ndarray, X: float, Y: float, Z: float, radius: float, far_m: float) -> bool:
    """Whether a sphere touches the frustum (the planes' slack makes the normals' lengths good)."""
    z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * Z + T[2, 3]
    x = T[0, 0] * X + T[0, 1] * Y + T[0, 2] * Z + T[0, 3]
    y = T[1, 0] * X + T[1, 1] * Y + T[1, 2] * Z + T[1, 3]
    return (
        -radius <= z <= far_m + radius
        and -rim[0, 0] * z - rim[1, 0] * radius <= x <= rim[0, 1] * z + rim[1, 1] * radius
        and -rim[0, 2] * z - rim[1, 2] * radius <= y <= rim[0, 3] * z + rim[1, 3] * radius
    )


@njit(cache=True)
def _list_chunks(
    chunk_key: np.ndarray, count: int, T: np.ndarray, rim: np.ndarray, voxel_m: float, max_range_m: float, out: np.ndarray
) -> int:
    """Slots of the first ``count`` chunks that are in view, into int64 [C]; returns how many."""
    side, n = voxel_m * BLOCK_SIDE * CHUNK_SIDE, 0
    for chunk in range(count):
        if chunk_key[chunk] == EMPTY:
            continue
        X, Y, Z = centre(chunk_key[chunk], KEY_BIAS // CHUNK_SIDE, side)
        if touches(T, rim, X, Y, Z, HALF_DIAGONAL * side, max_range_m):
            out[n] = chunk
            n += 1
    return n


@njit(cache=True)
def _list_blocks(
    key: np.ndarray, size: np.ndarray, next_block: np.ndarray, first: int, T: np.ndarray, rim: np.ndarray, voxel_m: float,
    max_range_m: float, out: np.ndarray, n: int,
) -> int:
    """A chunk's blocks in view, from its first on, into int64 [V] from place ``n`` on; returns the place after the last."""
    side, block = voxel_m * BLOCK_SIDE, np.int64(first)
    while block >= 0:
        if size[block] > 0:
            X, Y, Z = centre(key[block], KEY_BIAS, side)
            if touches(T, rim, X, Y, Z, HALF_DIAGONAL * side, max_range_m):
                out[n] = block
                n += 1
        block = np.int64(next_block[block])
    return n


@njit(cache=True)
def visible_chunks(
    blocks: Blocks, T_cam_world: np.ndarray, intrinsics: np.ndarray, width: int, height: int, voxel_m: float, max_range_m: float
) -> np.ndarray:
    """Slots (int64 [C]) of the chunks whose bounding sphere touches the view frustum."""
    rim, count = rim_of(intrinsics, width, height), blocks.counts[N_CHUNKS]
    out = np.empty(count, np.int64)
    return out[: _list_chunks(blocks.chunk_key, count, T_cam_world, rim, voxel_m, max_range_m, out)].copy()


@njit(cache=True)
def blocks_in_view(
    blocks: Blocks, chunks: np.ndarray, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, voxel_m: float, max_range_m: float,
) -> np.ndarray:
    """Blocks (int64 [V]) with points, of the chunks given, whose bounding sphere touches the view frustum."""
    rim, n, key, size, next_block = rim_of(intrinsics, width, height), 0, blocks.key, blocks.size, blocks.next_block
    out = np.empty(blocks.counts[N_BLOCKS], np.int64)  # what is not written costs nothing
    for chunk in chunks:
        n = _list_blocks(key, size, next_block, blocks.first_block[chunk], T_cam_world, rim, voxel_m, max_range_m, out, n)
    return out[:n].copy()


PIECE = 64
"""Blocks, at most, that a thread takes at a time."""
FIND_STEPS = 3
CHUNKS, PIECES = range(2)


class InView(NamedTuple):
    """The blocks in view as threads find them together; room for C chunks and B blocks."""

    counts: np.ndarray  # int64 [2], chunks and pieces
    chunk: np.ndarray  # int64 [C], slots of the chunks
    found: np.ndarray  # int64 [C, 3], of each chunk: the thread that looked, and from where to where in its row of ``block``
    piece: np.ndarray  # int64 [C + B / PIECE, 3], the same cut into pieces of at most PIECE blocks
    block: np.ndarray  # int64 [threads, B]


def room_to_find(blocks: Blocks, threads: int) -> InView:
    """Room for all there is; what is not used of it costs nothing."""
    C, B = int(blocks.counts[N_CHUNKS]), int(blocks.counts[N_BLOCKS])
    return InView(
        np.zeros(2, np.int64), np.empty(C, np.int64), np.empty((C, 3), np.int64), np.empty((C + B // PIECE, 3), np.int64),
        np.empty((threads, B), np.int64),
    )  # fmt: skip


@njit(cache=True)
def _cut(found: np.ndarray, count: int, piece: np.ndarray) -> int:
    """Cut what was found of each chunk into pieces; returns how many."""
    n = 0
    for k in range(count):
        for begin in range(found[k, 1], found[k, 2], PIECE):
            piece[n, 0], piece[n, 1], piece[n, 2] = found[k, 0], begin, min(begin + PIECE, found[k, 2])
            n += 1
    return n


@njit(cache=True)
def find_together(
    desk: np.ndarray, thread: int, blocks: Blocks, view: InView, T_cam_world: np.ndarray, intrinsics: np.ndarray,
    width: int, height: int, voxel_m: float, max_range_m: float,
) -> None:
    """One thread's share of :func:`visible_blocks`, in the first FIND_STEPS steps of a desk: the same in the same order."""
    rim, counts, out = rim_of(intrinsics, width, height), view.counts, view.block[thread]
    key, size, next_block = blocks.key, blocks.size, blocks.next_block
    if claim(desk, 0, 1) == 0:
        slots = blocks.counts[N_CHUNKS]
        counts[CHUNKS] = _list_chunks(blocks.chunk_key, slots, T_cam_world, rim, voxel_m, max_range_m, view.chunk)
        hand_in(desk, 0)
    wait_for(desk, 0, 1)
    n = np.int64(0)
    while True:
        k = claim(desk, 1, counts[CHUNKS])
        if k < 0:
            break
        view.found[k, 0], view.found[k, 1] = thread, n
        first = blocks.first_block[view.chunk[k]]
        n = _list_blocks(key, size, next_block, first, T_cam_world, rim, voxel_m, max_range_m, out, n)
        view.found[k, 2] = n
        hand_in(desk, 1)
    wait_for(desk, 1, counts[CHUNKS])
    if claim(desk, 2, 1) == 0:
        counts[PIECES] = _cut(view.found, counts[CHUNKS], view.piece)
        hand_in(desk, 2)
    wait_for(desk, 2, 1)


def visible_blocks(
    blocks: Blocks, T_cam_world: np.ndarray, intrinsics: np.ndarray, width: int, height: int, voxel_m: float, max_range_m: float
) -> np.ndarray:
    """Blocks (int64 [V]) whose bounding sphere touches the view frustum."""
    view = (T_cam_world, intrinsics, width, height, voxel_m, max_range_m)
    return blocks_in_view(blocks, visible_chunks(blocks, *view), *view)
