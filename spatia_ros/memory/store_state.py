"""A block store as plain arrays, every place as it is, and back: the same store, down to the order of its points.

A memory file holds what is known; this holds how it lies, for the next frame depends on that, too (of two points that
are equally near, the one that comes first is drawn).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spatia_ros.kernels import njit
from spatia_ros.memory.block_store import BLOCK_FIELDS, CHUNK_FIELDS, POOL_FIELDS, BlockStore
from spatia_ros.memory.blocks import (
    BLOCK_VOXELS,
    EMPTY,
    FREE_BLOCK,
    FREE_CHUNK,
    MAX_POINTS,
    N_BLOCKS,
    N_CHUNKS,
    N_POINTS,
    NEED_BLOCKS,
    NEED_POOL,
    NO_POINT,
    NONE,
    POOL_TOP,
    RUN_CLASSES,
    SMALLEST_RUN,
    Blocks,
    chunk_key_of,
    live_places,
    rehash,
    run_class,
)
from spatia_ros.types import SpatiaError


def arrays_of(kept: BlockStore) -> dict[str, np.ndarray]:
    """The parts of a store that are in use, by name (views)."""
    b = kept.blocks
    blocks, chunks, places = (int(b.counts[i]) for i in (N_BLOCKS, N_CHUNKS, POOL_TOP))
    out = {name: getattr(b, name)[:blocks] for name in BLOCK_FIELDS}
    out |= {name: getattr(b, name)[:chunks] for name in CHUNK_FIELDS}
    out |= {name: getattr(b, name)[:places] for name in POOL_FIELDS}
    return out | {"free_next": b.free_next[: places // SMALLEST_RUN], "free_head": b.free_head, "counts": b.counts}


def store_of(arrays: Mapping[str, np.ndarray], max_points: int, channels: int) -> BlockStore:
    """The store that :func:`arrays_of` was made of.

    Raises:
        SpatiaError: when the arrays are no store's, or of other feature channels.
    """
    out = BlockStore(max_points, channels)
    counts = _fitting("counts", arrays, out.blocks.counts, len(out.blocks.counts))
    blocks, chunks, places = (int(counts[i]) for i in (N_BLOCKS, N_CHUNKS, POOL_TOP))
    if min(blocks, chunks, places) < 0 or max(blocks, chunks) > len(arrays["key"]) or places > len(arrays["xyz"]):
        raise SpatiaError(f"block store: expected as many blocks and places as it says, got {counts.tolist()}")
    while len(out.blocks.key) < max(blocks, chunks):
        out.grow(NEED_BLOCKS)
    while len(out.blocks.weight) < places:
        out.grow(NEED_POOL)
    b = out.blocks
    lengths = dict.fromkeys(BLOCK_FIELDS, blocks) | dict.fromkeys(CHUNK_FIELDS, chunks) | dict.fromkeys(POOL_FIELDS, places)
    lengths |= {"free_next": places // SMALLEST_RUN, "free_head": len(b.free_head)}
    for name, length in lengths.items():
        getattr(b, name)[:length] = _fitting(name, arrays, getattr(b, name), length)
    limit = int(b.counts[MAX_POINTS])
    b.counts[:] = counts
    b.counts[MAX_POINTS] = limit
    if not (_chunks_sound(b, blocks, chunks) and _runs_sound(b, blocks, places)):
        raise SpatiaError("block store: expected blocks, chunks and runs that fit together, got others")
    at = live_places(b)  # what lies in the others was never anything
    if not (np.isfinite(b.xyz[at]).all() and np.isfinite(b.weight[at]).all() and (b.weight[at] >= 0).all()):
        raise SpatiaError("block store: expected finite points of some weight, got others")
    b.hash_key[:] = EMPTY
    b.chunk_hash_key[:] = EMPTY
    rehash(b)
    return out


def _fitting(name: str, arrays: Mapping[str, np.ndarray], like: np.ndarray, length: int) -> np.ndarray:
    array = arrays.get(name)
    if array is None or array.dtype != like.dtype or array.shape != (length, *like.shape[1:]):
        got = "none" if array is None else f"{array.dtype} {list(array.shape)}"
        raise SpatiaError(f"block store: {name}: expected {like.dtype} {[length, *like.shape[1:]]}, got {got}")
    return array


@njit(cache=True)
def _chunks_sound(b: Blocks, blocks: int, chunks: int) -> bool:
    """Whether every block is in the list of its chunk or in that of the free ones, once, and every chunk likewise."""
    seen, seen_chunk = np.zeros(blocks, np.bool_), np.zeros(chunks, np.bool_)
    for chunk in range(chunks):
        if b.chunk_key[chunk] == EMPTY:
            continue
        seen_chunk[chunk] = True
        block, last = b.first_block[chunk], NONE
        while block != NONE:
            if block < 0 or block >= blocks or seen[block] or b.chunk[block] != chunk:
                return False
            if b.key[block] == EMPTY or chunk_key_of(b.key[block]) != b.chunk_key[chunk]:
                return False
            seen[block], last, block = True, block, b.next_block[block]
        if last != b.last_block[chunk]:
            return False
    for counted, total, key, following, mark in (
        (FREE_BLOCK, blocks, b.key, b.next_block, seen), (FREE_CHUNK, chunks, b.chunk_key, b.first_block, seen_chunk),
    ):  # fmt: skip
        slot = b.counts[counted]
        while slot != NONE:
            if slot < 0 or slot >= total or mark[slot] or key[slot] != EMPTY:
                return False
            mark[slot] = True
            slot = following[slot]
    return bool(seen.all() and seen_chunk.all())


@njit(cache=True)
def _runs_sound(b: Blocks, blocks: int, places: int) -> bool:
    """Whether no place belongs to two runs, and points lie in their own, each where its voxel says."""
    taken, points = np.zeros(places // SMALLEST_RUN, np.bool_), 0
    for block in range(blocks):
        start, size, room = b.start[block], b.size[block], b.room[block]
        points += size
        if size < 0 or size > room or (room == 0 and start != -1):
            return False
        if room == 0:
            continue
        if room != SMALLEST_RUN << run_class(min(room, BLOCK_VOXELS)) or not _takes(taken, start, room):
            return False
        for i in range(size):
            voxel = b.voxel[start + i]
            if voxel >= BLOCK_VOXELS or b.voxel_place[block, voxel] != i:
                return False
        for voxel in range(BLOCK_VOXELS):
            place = b.voxel_place[block, voxel]
            if place != NO_POINT and (place >= size or b.voxel[start + place] != voxel):
                return False
    for c in range(RUN_CLASSES):
        start = b.free_head[c]
        while start != -1:
            if not _takes(taken, start, SMALLEST_RUN << c):
                return False
            start = b.free_next[start // SMALLEST_RUN]
    return points == b.counts[N_POINTS]


@njit(cache=True)
def _takes(taken: np.ndarray, start: int, room: int) -> bool:
    first, end = start // SMALLEST_RUN, (start + room) // SMALLEST_RUN
    if start < 0 or start % SMALLEST_RUN or end > taken.size or taken[first:end].any():
        return False
    taken[first:end] = True
    return True
