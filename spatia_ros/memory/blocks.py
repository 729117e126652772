"""Voxels in 8x8x8 blocks in a hash: the storage under the memory.

A block owns one contiguous run of a shared point pool, sized 16..512 by doubling, so drawing a
block reads its points in a row, and growing one touches nothing else. Three tables lead to a
point: an open-addressing hash from block key to block, a 512-entry table from voxel to place in
the run, and the pool itself. Costs depend on the blocks touched, never on the size of the map.

Blocks are listed by chunk, 16x16x16 of them: what asks for a part of space asks the chunks first.

The kernels here take :class:`Blocks`, a named tuple of arrays, and never allocate: when an array
is full they stop and say which, and :class:`.block_store.BlockStore` grows it and calls them again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spatia_ros.kernels import njit

BLOCK_SIDE = 8
BLOCK_VOXELS = BLOCK_SIDE**3
KEY_BITS = 21
KEY_BIAS = 1 << (KEY_BITS - 1)
EMPTY = np.int64(-1)
NO_POINT = np.uint16(0xFFFF)
SMALLEST_RUN = 16
RUN_CLASSES = 6  # 16, 32, 64, 128, 256, 512

CHUNK_SIDE = 16
"""Blocks along a side of a chunk."""
NONE = np.int32(-1)
"""The end of a list of blocks, chunks or free slots."""

# Places in Blocks.counts. Block and chunk slots below the first two tops are in use or on a free list.
N_BLOCKS, POOL_TOP, N_POINTS, N_REFUSED, MAX_POINTS, N_CHUNKS, FREE_BLOCK, FREE_CHUNK = range(8)

NOTED = 2
"""In Blocks.changed: changed since it was written, but not since somebody took note of it (see :mod:`.updates`)."""

# What a kernel lacked when it stopped.
DONE, NEED_BLOCKS, NEED_POOL = range(3)


class Blocks(NamedTuple):
    """The arrays of a block store; P pool places, B blocks and chunks at most, H hash places (a power of two)."""

    hash_key: np.ndarray  # int64 [H], EMPTY where free
    hash_block: np.ndarray  # int32 [H]
    key: np.ndarray  # int64 [B], EMPTY in a free slot
    chunk: np.ndarray  # int32 [B], slot of the block's chunk
    next_block: np.ndarray  # int32 [B], the next block of the chunk (or the next free slot), or NONE
    start: np.ndarray  # int64 [B], first place of the run, -1 without one
    size: np.ndarray  # int32 [B], points in the run
    room: np.ndarray  # int32 [B], places in the run
    voxel_place: np.ndarray  # uint16 [B, 512], place of a voxel's point in the run or NO_POINT
    xyz: np.ndarray  # float32 [P, 3], metres, world
    mean: np.ndarray  # float32 [P, 4]: rgb and weight, side by side, for they change together
    rgb: np.ndarray  # float32 [P, 3], 0..255, in ``mean``
    weight: np.ndarray  # float32 [P], observations in the running mean, in ``mean``
    look: np.ndarray  # uint64 [P], what is drawn of the point in one word (pack_look); its colour follows rgb
    seen_ms: np.ndarray  # int32 [P], last seen, milliseconds since the memory's epoch, in ``look``
    sensed: np.ndarray  # uint8 [P], 1 = measured, 0 = invented, in ``look``
    voxel: np.ndarray  # uint16 [P], voxel inside its block
    label: np.ndarray  # uint16 [P], what the point belongs to, 0 = nothing known
    features: np.ndarray  # uint16 [P, C], bits of float16: running means, all zero where none came
    chunk_hash_key: np.ndarray  # int64 [H], EMPTY where free
    chunk_hash_slot: np.ndarray  # int32 [H]
    chunk_key: np.ndarray  # int64 [B], EMPTY in a free slot
    first_block: np.ndarray  # int32 [B], of the chunk (or the next free slot)
    last_block: np.ndarray  # int32 [B], of the chunk
    changed: np.ndarray  # uint8 [B], 1 = a point of the chunk changed since this was last cleared, or noted (NOTED)
    free_next: np.ndarray  # int64 [P / 16], free-list links by run
    free_head: np.ndarray  # int64 [RUN_CLASSES]
    counts: np.ndarray  # int64 [8]


@njit(cache=True, inline="always")
def voxel_key(ix: int, iy: int, iz: int) -> tuple[int, int]:
    """Block key and voxel-in-block of an integer voxel coordinate (block key -1: out of reach)."""
    bx, by, bz = (ix >> 3) + KEY_BIAS, (iy >> 3) + KEY_BIAS, (iz >> 3) + KEY_BIAS
    if (bx | by | bz) >> KEY_BITS:
        return EMPTY, 0
    key = bx | (by << KEY_BITS) | (bz << (2 * KEY_BITS))
    return key, (ix & 7) | ((iy & 7) << 3) | ((iz & 7) << 6)


@njit(cache=True, inline="always")
def hash_place(key: int, mask: int) -> int:
    """First hash place to try: a multiplicative hash, since neighbouring keys differ in few bits."""
    h = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((h >> np.uint64(20)) & np.uint64(mask))


@njit(cache=True, inline="always")
def chunk_key_of(key: int) -> int:
    """Key of the chunk a block lies in: the block's three coordinates, each divided by 16, packed alike."""
    field = (1 << KEY_BITS) - 1
    x, y, z = (key & field) >> 4, ((key >> KEY_BITS) & field) >> 4, (key >> (2 * KEY_BITS)) >> 4
    return x | (y << KEY_BITS) | (z << (2 * KEY_BITS))


@njit(cache=True)
def find_slot(hash_key: np.ndarray, hash_slot: np.ndarray, key: int) -> int:
    """The slot a key leads to in an open-addressing hash, -1 when it is not there."""
    mask = hash_key.size - 1
    place = hash_place(key, mask)
    while hash_key[place] != EMPTY:
        if hash_key[place] == key:
            return hash_slot[place]
        place = (place + 1) & mask
    return -1


@njit(cache=True)
def put_slot(hash_key: np.ndarray, hash_slot: np.ndarray, key: int, slot: int) -> None:
    """Enter a key that is not there yet."""
    mask = hash_key.size - 1
    place = hash_place(key, mask)
    while hash_key[place] != EMPTY:
        place = (place + 1) & mask
    hash_key[place] = key
    hash_slot[place] = slot


@njit(cache=True)
def drop_slot(hash_key: np.ndarray, hash_slot: np.ndarray, key: int) -> None:
    """Take a key that is there out again.

    Later keys of the same cluster move up into the gap when their way from their first place leads
    over it, so no look-up ever stops short (Knuth, TAOCP 6.4, algorithm R).
    """
    mask = hash_key.size - 1
    gap = hash_place(key, mask)
    while hash_key[gap] != key:
        gap = (gap + 1) & mask
    place = gap
    while True:
        place = (place + 1) & mask
        if hash_key[place] == EMPTY:
            break
        home = hash_place(hash_key[place], mask)
        if ((place - home) & mask) >= ((place - gap) & mask):
            hash_key[gap], hash_slot[gap] = hash_key[place], hash_slot[place]
            gap = place
    hash_key[gap] = EMPTY


@njit(cache=True)
def _take_free(next_free: np.ndarray, counts: np.ndarray, free: int, top: int) -> int:
    """A slot from a free list, or the next never used; -1 when all are in use."""
    slot = counts[free]
    if slot >= 0:
        counts[free] = next_free[slot]
        return slot
    slot = counts[top]
    if slot >= next_free.size:
        return -1
    counts[top] = slot + 1
    return slot


@njit(cache=True)
def _insert_chunk(blocks: Blocks, key: int) -> int:
    """The chunk with this key, made if it is new. There is always room: there are as many slots as blocks."""
    chunk = np.int64(find_slot(blocks.chunk_hash_key, blocks.chunk_hash_slot, key))
    if chunk >= 0:
        return chunk
    chunk = _take_free(blocks.first_block, blocks.counts, FREE_CHUNK, N_CHUNKS)
    put_slot(blocks.chunk_hash_key, blocks.chunk_hash_slot, key, chunk)
    blocks.chunk_key[chunk] = key
    blocks.first_block[chunk] = blocks.last_block[chunk] = NONE
    blocks.changed[chunk] = 1
    return chunk


@njit(cache=True)
def insert_block(blocks: Blocks, key: int) -> int:
    """The block with this key, made if it is new; -1 when the block arrays are full."""
    block = np.int64(find_slot(blocks.hash_key, blocks.hash_block, key))
    if block >= 0:
        return block
    block = _take_free(blocks.next_block, blocks.counts, FREE_BLOCK, N_BLOCKS)
    if block < 0:
        return block
    put_slot(blocks.hash_key, blocks.hash_block, key, block)
    blocks.key[block] = key
    blocks.start[block] = -1
    blocks.size[block] = 0
    blocks.room[block] = 0
    blocks.voxel_place[block, :] = NO_POINT
    chunk = _insert_chunk(blocks, chunk_key_of(key))
    blocks.chunk[block] = chunk
    blocks.next_block[block] = NONE
    last = blocks.last_block[chunk]
    if last < 0:
        blocks.first_block[chunk] = block
    else:
        blocks.next_block[last] = block
    blocks.last_block[chunk] = block
    return block


@njit(cache=True, inline="always")
def run_class(room: int) -> int:
    """Which of the sizes 16, 32 .. 512 a run of ``room`` places is."""
    c = 0
    while (SMALLEST_RUN << c) < room:
        c += 1
    return c


@njit(cache=True)
def take_run(blocks: Blocks, room: int) -> int:
    """Start of a free run of ``room`` places, or -1 when the pool is full."""
    c = run_class(room)
    start = blocks.free_head[c]
    if start >= 0:
        blocks.free_head[c] = blocks.free_next[start // SMALLEST_RUN]
        return start
    start = blocks.counts[POOL_TOP]
    if start + room > blocks.weight.size:
        return -1
    blocks.counts[POOL_TOP] = start + room
    return start


@njit(cache=True)
def give_run(blocks: Blocks, start: int, room: int) -> None:
    """Put a run on the free list of its size."""
    c = run_class(room)
    blocks.free_next[start // SMALLEST_RUN] = blocks.free_head[c]
    blocks.free_head[c] = start


@njit(cache=True, inline="always")
def pack_look(red: float, green: float, blue: float, sensed: int, seen_ms: int) -> int:
    """Colour (bytes 0 to 2, rounded), sensed (byte 3) and last seen (bytes 4 to 7) in one uint64."""
    half = np.float32(0.5)
    r, g, b = np.uint64(np.uint8(red + half)), np.uint64(np.uint8(green + half)), np.uint64(np.uint8(blue + half))
    when = np.uint64(np.uint32(np.int32(seen_ms)))
    return r | (g << np.uint64(8)) | (b << np.uint64(16)) | (np.uint64(sensed) << np.uint64(24)) | (when << np.uint64(32))


@njit(cache=True)
def move_point(blocks: Blocks, src: int, dst: int) -> None:
    """Copy every field of a point from one pool place to another."""
    for k in range(3):
        blocks.xyz[dst, k] = blocks.xyz[src, k]
    for k in range(4):
        blocks.mean[dst, k] = blocks.mean[src, k]
    blocks.voxel[dst] = blocks.voxel[src]
    blocks.look[dst] = blocks.look[src]
    blocks.label[dst] = blocks.label[src]
    for k in range(blocks.features.shape[1]):
        blocks.features[dst, k] = blocks.features[src, k]


@njit(cache=True)
def add_point(blocks: Blocks, block: int, voxel: int) -> int:
    """A new place for this voxel at the end of its block's run, or -1 when the pool is full."""
    size, room = blocks.size[block], blocks.room[block]
    if size == room:
        new_room = max(SMALLEST_RUN, 2 * room)
        start = take_run(blocks, new_room)
        if start < 0:
            return -1
        for i in range(size):
            move_point(blocks, blocks.start[block] + i, start + i)
        if room:
            give_run(blocks, blocks.start[block], room)
        blocks.start[block] = start
        blocks.room[block] = new_room
    blocks.size[block] = size + 1
    blocks.counts[N_POINTS] += 1
    blocks.voxel_place[block, voxel] = size
    place = blocks.start[block] + size
    blocks.voxel[place] = voxel
    blocks.label[place] = 0
    blocks.features[place, :] = 0
    return place


@njit(cache=True)
def remove_dead(blocks: Blocks, block: int) -> int:
    """Drop the points of a block whose weight is not positive; returns how many."""
    removed = 0
    i = 0
    while i < blocks.size[block]:
        place = blocks.start[block] + i
        if blocks.weight[place] > 0.0:
            i += 1
            continue
        last = blocks.size[block] - 1
        blocks.voxel_place[block, blocks.voxel[place]] = NO_POINT
        if i != last:
            move_point(blocks, blocks.start[block] + last, place)
            blocks.voxel_place[block, blocks.voxel[place]] = i
        blocks.size[block] = last
        removed += 1
    blocks.counts[N_POINTS] -= removed
    if removed and blocks.size[block] == 0:
        give_run(blocks, blocks.start[block], blocks.room[block])
        blocks.start[block] = -1
        blocks.room[block] = 0
    return removed


@njit(cache=True)
def rehash(blocks: Blocks) -> None:
    """Enter every block and chunk in hashes that are empty."""
    for block in range(blocks.counts[N_BLOCKS]):
        if blocks.key[block] != EMPTY:
            put_slot(blocks.hash_key, blocks.hash_block, blocks.key[block], block)
    for chunk in range(blocks.counts[N_CHUNKS]):
        if blocks.chunk_key[chunk] != EMPTY:
            put_slot(blocks.chunk_hash_key, blocks.chunk_hash_slot, blocks.chunk_key[chunk], chunk)


@njit(cache=True)
def live_places(blocks: Blocks) -> np.ndarray:
    """Pool places of all points, block by block."""
    out = np.empty(blocks.counts[N_POINTS], np.int64)
    n = 0
    for block in range(blocks.counts[N_BLOCKS]):
        for i in range(blocks.size[block]):
            out[n] = blocks.start[block] + i
            n += 1
    return out
