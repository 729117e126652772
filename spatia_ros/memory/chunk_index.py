"""Chunks of blocks: finding one, taking its points out, and dropping it so that its room is free again.

A chunk is CHUNK_SIDE blocks along each side. Slots of chunks are numbers below ``counts[N_CHUNKS]``; those whose
``chunk_key`` is EMPTY are free.
"""

from __future__ import annotations

import numpy as np

from spatia_ros.kernels import njit
from spatia_ros.memory.blocks import (
    EMPTY,
    FREE_BLOCK,
    FREE_CHUNK,
    N_CHUNKS,
    N_POINTS,
    Blocks,
    drop_slot,
    find_slot,
    give_run,
)


@njit(cache=True)
def chunk_slot(blocks: Blocks, key: int) -> int:
    """The slot of the chunk with this key, -1 when there is none."""
    return find_slot(blocks.chunk_hash_key, blocks.chunk_hash_slot, key)


@njit(cache=True)
def live_chunks(blocks: Blocks) -> np.ndarray:
    """Slots int64 [C] of all chunks."""
    n = blocks.counts[N_CHUNKS]
    return np.flatnonzero(blocks.chunk_key[:n] != EMPTY)


@njit(cache=True)
def chunk_blocks(blocks: Blocks, chunk: int) -> np.ndarray:
    """Blocks int64 [N] of a chunk that hold points, in the order they were made."""
    out = np.empty(0, np.int64)
    for fill in range(2):  # once to count, once to write
        n, block = 0, blocks.first_block[chunk]
        while block >= 0:
            if blocks.size[block] > 0:
                if fill:
                    out[n] = block
                n += 1
            block = blocks.next_block[block]
        if not fill:
            out = np.empty(n, np.int64)
    return out


@njit(cache=True)
def chunk_places(blocks: Blocks, chunk: int) -> np.ndarray:
    """Pool places int64 [N] of a chunk's points, block by block as :func:`chunk_blocks` lists them."""
    inside = chunk_blocks(blocks, chunk)
    out = np.empty(blocks.size[inside].sum(), np.int64)
    n = 0
    for block in inside:
        for i in range(blocks.size[block]):
            out[n] = blocks.start[block] + i
            n += 1
    return out


@njit(cache=True)
def drop_chunk(blocks: Blocks, chunk: int) -> int:
    """Forget a chunk: its points, runs, blocks and keys are free again. Returns how many points went."""
    dropped, block = 0, np.int64(blocks.first_block[chunk])
    while block >= 0:
        after = np.int64(blocks.next_block[block])
        dropped += blocks.size[block]
        if blocks.room[block]:
            give_run(blocks, blocks.start[block], blocks.room[block])
        drop_slot(blocks.hash_key, blocks.hash_block, blocks.key[block])
        blocks.key[block] = EMPTY
        blocks.start[block] = -1
        blocks.size[block] = 0
        blocks.room[block] = 0
        blocks.next_block[block] = blocks.counts[FREE_BLOCK]
        blocks.counts[FREE_BLOCK] = block
        block = after
    drop_slot(blocks.chunk_hash_key, blocks.chunk_hash_slot, blocks.chunk_key[chunk])
    blocks.chunk_key[chunk] = EMPTY
    blocks.first_block[chunk] = blocks.counts[FREE_CHUNK]
    blocks.counts[FREE_CHUNK] = chunk
    blocks.counts[N_POINTS] -= dropped
    return dropped
