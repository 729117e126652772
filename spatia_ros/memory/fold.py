"""Folding a whole frame into the blocks: :mod:`.fuse`'s merge for an image, where neighbours share voxels.

Pixels of a voxel are summed first (see :mod:`.heaps`), so that the map is asked once a heap and not once a pixel. Then
every heap looks up its point; missing points are made, in order; and the heaps are merged, in parts by the block they fall to,
in order within each. So the result does not depend on the threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import prange

from spatia_ros.kernels import njit
from spatia_ros.memory.block_store import BlockStore
from spatia_ros.memory.blocks import (
    DONE,
    EMPTY,
    KEY_BIAS,
    KEY_BITS,
    MAX_POINTS,
    N_POINTS,
    N_REFUSED,
    NEED_BLOCKS,
    NEED_POOL,
    NO_POINT,
    Blocks,
    add_point,
    hash_place,
    insert_block,
    pack_look,
)
from spatia_ros.memory.crew import claim, desk, hand_in, wait_for
from spatia_ros.memory.fuse import ADDED, KEPT, MERGED, OUT_OF_REACH, REFUSED, REPLACED, mix_features
from spatia_ros.memory.heaps import LEFT, PARTS, Heaps, heap_up, keys_by_chunk, mean_features, room
from spatia_ros.memory.lanes import PIXELS, RED
from spatia_ros.memory.prefetch import prefetch

AHEAD = 32
"""Heaps looked ahead when memory is asked for."""
UNSEEN, LEFT_OUT = np.int32(-1), np.int32(-2)
PART_BITS = 8
"""So many bits' worth of neighbouring block slots belong to one part: few, and a part jumps about among the heaps."""
_LOOK, _ADD, _MERGE = range(3)


@njit(cache=True)
def _find(hash_key: np.ndarray, hash_block: np.ndarray, key: int, mask: int) -> np.int32:
    """Slot of a block, or UNSEEN."""
    at = hash_place(key, mask)
    while hash_key[at] != EMPTY and hash_key[at] != key:
        at = (at + 1) & mask
    return hash_block[at] if hash_key[at] != EMPTY else UNSEEN


@njit(cache=True)
def _look_up_band(
    hash_key: np.ndarray, hash_block: np.ndarray, voxel_place: np.ndarray, chunk: np.ndarray,
    changed: np.ndarray, key: np.ndarray, voxel: np.ndarray, block: np.ndarray, inside: np.ndarray,
) -> int:
    """Find the block and point of each heap; returns how many have none yet."""
    mask, missing = hash_key.size - 1, 0
    flat, voxels = voxel_place.reshape(-1), voxel_place.shape[1]
    # Noise makes the block change from heap to heap, but a band has few blocks: each is found once, and kept by its low bits.
    known_key, known_block = np.full(512, EMPTY), np.full(512, LEFT_OUT)
    for i in range(key.size):
        k = key[i]
        at = (k & 7) | ((k >> (KEY_BITS - 3)) & 56) | ((k >> (2 * KEY_BITS - 6)) & 448)
        if known_key[at] != k:
            found = LEFT_OUT if k < 0 else _find(hash_key, hash_block, k, mask)
            if found >= 0 and changed[chunk[found]] != 1:  # threads that write one line of memory hold one another up
                changed[chunk[found]] = 1
            known_key[at], known_block[at] = k, found
        block[i] = known_block[at]
        prefetch(flat, np.int64(max(block[i], np.int32(0))) * voxels + np.int64(voxel[i]))
    for i in range(key.size):
        inside[i] = flat[np.int64(block[i]) * voxels + np.int64(voxel[i])] if block[i] >= 0 else NO_POINT
        missing += inside[i] == NO_POINT and block[i] != LEFT_OUT
    return missing


@njit(cache=True)
def _deal(block: np.ndarray, order: np.ndarray, ends: np.ndarray) -> None:
    """Deal a band's heaps out to the parts of the pool they fall to, in order: see ``Heaps.order`` and ``Heaps.ends``."""
    ends[:] = 0
    for i in range(block.size):
        ends[1 + ((block[i] >> PART_BITS) % PARTS if block[i] >= 0 else LEFT)] += 1
    for part in range(LEFT + 1):
        ends[part + 1] += ends[part]
    at = ends.copy()
    for i in range(block.size):
        part = (block[i] >> PART_BITS) % PARTS if block[i] >= 0 else LEFT
        order[at[part]] = i
        at[part] += 1


@njit(cache=True)
def _look_up_one(b: int, blocks: Blocks, heaps: Heaps) -> None:
    n = heaps.used[b]
    heaps.missing[b] = _look_up_band(
        blocks.hash_key, blocks.hash_block, blocks.voxel_place, blocks.chunk, blocks.changed,
        heaps.key[b, :n], heaps.voxel[b, :n], heaps.block[b, :n], heaps.inside[b, :n],
    )
    if heaps.missing[b] == 0:
        _deal(heaps.block[b, :n], heaps.order[b], heaps.ends[b])


@njit(cache=True)
def add_missing(blocks: Blocks, heaps: Heaps) -> int:
    """Make the points the heaps lack, in order; returns what was lacking (call again after growing).

    A new point has weight 0 until its heaps are merged.
    """
    for b in range(heaps.used.size):
        if heaps.missing[b] == 0:
            continue
        for i in range(heaps.used[b]):
            if heaps.inside[b, i] != NO_POINT or heaps.block[b, i] == LEFT_OUT:
                continue
            block, voxel = np.int64(insert_block(blocks, heaps.key[b, i])), heaps.voxel[b, i]
            if block < 0:
                return NEED_BLOCKS
            blocks.changed[blocks.chunk[block]] = 1
            if blocks.voxel_place[block, voxel] == NO_POINT:
                if blocks.counts[N_POINTS] >= blocks.counts[MAX_POINTS]:
                    heaps.block[b, i] = LEFT_OUT
                    continue
                place = add_point(blocks, block, voxel)
                if place < 0:
                    return NEED_POOL
                blocks.weight[place] = np.float32(0.0)
                blocks.sensed[place], blocks.look[place] = 0, 0
            heaps.block[b, i], heaps.inside[b, i] = block, blocks.voxel_place[block, voxel]
        heaps.missing[b] = 0
        _deal(heaps.block[b, : heaps.used[b]], heaps.order[b], heaps.ends[b])
    return DONE


@njit(cache=True, inline="always")
def _corner(key: int, voxel: int, voxel_m: float) -> tuple[float, float, float]:
    """Where a voxel begins, metres."""
    field = (1 << KEY_BITS) - 1
    v = np.int64(voxel)
    x = (((key & field) - KEY_BIAS) << 3) + (v & 7)
    y = ((((key >> KEY_BITS) & field) - KEY_BIAS) << 3) + ((v >> 3) & 7)
    z = (((key >> (2 * KEY_BITS)) - KEY_BIAS) << 3) + (v >> 6)
    return x * voxel_m, y * voxel_m, z * voxel_m


@njit(cache=True, inline="always")
def _ask(
    start: np.ndarray, block: np.ndarray, inside: np.ndarray, heap: int, xyz: np.ndarray, mean: np.ndarray, look: np.ndarray
) -> None:
    """Ask for the point of a heap."""
    i = np.uint64(np.uint32(heap))
    p = start[np.uint64(np.uint32(block[i]))] + np.int64(inside[i])
    prefetch(xyz, 3 * p)
    prefetch(mean, 4 * p)
    prefetch(look, p)


@njit(cache=True, error_model="numpy")
def _merge_part(
    blocks: Blocks, heaps: Heaps, features: np.ndarray, part: int, seen_ms: int, sensed: bool, weight: float,
    max_weight: float, voxel_m: float, counts: np.ndarray,
) -> None:
    """Merge the heaps whose blocks fall to one part of the pool, in order; ``counts`` are int64 [6], filled."""
    xyz, mean, look, start, label = blocks.xyz.reshape(-1), blocks.mean.reshape(-1), blocks.look, blocks.start, blocks.label
    one, labelled = np.float32(1.0), heaps.label.size > 0
    merged = added = replaced = kept = np.int64(0)  # not in an array: others' would lie beside them
    last = heaps.used.size - 1
    for b in range(heaps.used.size):
        block, inside, order = heaps.block[b], heaps.inside[b], heaps.order[b]
        begin, end = heaps.ends[b, part], heaps.ends[b, part + 1]
        then = min(b + 1, last)
        next_begin, next_end = heaps.ends[then, part], heaps.ends[then, part + 1]
        for turn in range(begin, end):
            ahead = turn + AHEAD
            if ahead < end:
                _ask(start, block, inside, order[ahead], xyz, mean, look)
            elif next_begin + ahead - end < next_end:
                _ask(start, heaps.block[then], heaps.inside[then], heaps.order[then, next_begin + ahead - end], xyz, mean, look)
            i = np.uint64(np.uint32(order[turn]))
            # No sign: an index that could be negative costs a comparison every time.
            p, s = np.uint64(start[np.uint64(np.uint32(block[i]))] + np.int64(inside[i])), heaps.sums[b, i]
            # Whether it was measured and when it was seen are read from the word that is drawn.
            pixels, word = np.int64(s[PIXELS]), look[p]
            was_sensed = ((word >> np.uint64(24)) & np.uint64(1)) == np.uint64(1)
            if was_sensed and not sensed:
                kept += pixels
                continue
            at, four = np.uint64(3) * p, np.uint64(4) * p
            weighed = mean[four + np.uint64(3)]
            old = weighed if was_sensed == sensed else np.float32(0.0)
            merged += pixels if old > 0.0 else pixels - 1
            replaced += (not old > 0.0) & (weighed > 0.0)
            added += (not old > 0.0) & (not weighed > 0.0)
            new = s[PIXELS] * weight
            a, share, when = new / (old + new), one / s[PIXELS], seen_ms
            at_y, at_z, four_g, four_b = at + np.uint64(1), at + np.uint64(2), four + np.uint64(1), four + np.uint64(2)
            X, Y, Z = _corner(heaps.key[b, i], heaps.voxel[b, i], voxel_m)
            x, y, z = np.float32(X + s[0] * share), np.float32(Y + s[1] * share), np.float32(Z + s[2] * share)
            red, green, blue = s[RED] * share, s[RED + 1] * share, s[RED + 2] * share
            if old > 0.0:  # a place never used may hold anything, even what is no number
                keep = one - a
                x, y, z = keep * xyz[at] + a * x, keep * xyz[at_y] + a * y, keep * xyz[at_z] + a * z
                red, green, blue = keep * mean[four] + a * red, keep * mean[four_g] + a * green, keep * mean[four_b] + a * blue
                when = max(seen_ms, int(np.uint32(word >> np.uint64(32)).view(np.int32)))
            xyz[at], xyz[at_y], xyz[at_z] = x, y, z
            mean[four], mean[four_g], mean[four_b], mean[four + np.uint64(3)] = red, green, blue, min(old + new, max_weight)
            look[p] = pack_look(red, green, blue, sensed, when)
            if labelled and heaps.label[b, i]:
                label[p] = heaps.label[b, i]
            if features.size:
                mix_features(blocks.features[p], features[b, i], a, old > 0.0)
    counts[MERGED], counts[ADDED], counts[REPLACED], counts[KEPT] = merged, added, replaced, kept
    counts[REFUSED] = counts[OUT_OF_REACH] = 0


@njit(cache=True)
def _count_left_out(heaps: Heaps, counts: np.ndarray) -> None:
    """Count the pixels of heaps that belong to no point."""
    for b in range(heaps.used.size):
        for turn in range(heaps.ends[b, LEFT], heaps.ends[b, LEFT + 1]):
            i = np.int64(heaps.order[b, turn])
            if heaps.key[b, i] != EMPTY:
                counts[REFUSED if heaps.key[b, i] >= 0 else OUT_OF_REACH] += np.int64(heaps.sums[b, i, PIXELS])


@njit(cache=True)
def _merge_share(
    desk: np.ndarray, blocks: Blocks, heaps: Heaps, features: np.ndarray, seen_ms: int, sensed: bool, weight: float,
    max_weight: float, voxel_m: float, counts: np.ndarray,
) -> None:
    while True:
        part = claim(desk, _MERGE, PARTS)
        if part < 0:
            break
        _merge_part(blocks, heaps, features, part, seen_ms, sensed, weight, max_weight, voxel_m, counts[part])
        hand_in(desk, _MERGE)


@njit(cache=True)
def _fold_share(
    desk: np.ndarray, state: np.ndarray, blocks: Blocks, heaps: Heaps, features: np.ndarray, seen_ms: int, sensed: bool,
    weight: float, max_weight: float, voxel_m: float, counts: np.ndarray,
) -> None:
    bands = heaps.used.size
    while True:
        band = claim(desk, _LOOK, bands)
        if band < 0:
            break
        _look_up_one(band, blocks, heaps)
        hand_in(desk, _LOOK)
    wait_for(desk, _LOOK, bands)
    if claim(desk, _ADD, 1) == 0:
        state[0] = add_missing(blocks, heaps)
        hand_in(desk, _ADD)
    wait_for(desk, _ADD, 1)
    if state[0] == DONE:
        _merge_share(desk, blocks, heaps, features, seen_ms, sensed, weight, max_weight, voxel_m, counts)


@njit(cache=True, parallel=True)
def _look_up_and_merge(
    threads: int, desk: np.ndarray, state: np.ndarray, blocks: Blocks, heaps: Heaps, features: np.ndarray, seen_ms: int,
    sensed: bool, weight: float, max_weight: float, voxel_m: float, counts: np.ndarray,
) -> None:
    for _ in prange(threads):
        _fold_share(desk, state, blocks, heaps, features, seen_ms, sensed, weight, max_weight, voxel_m, counts)


@njit(cache=True, parallel=True)
def _merge_all(
    threads: int, desk: np.ndarray, blocks: Blocks, heaps: Heaps, features: np.ndarray, seen_ms: int,
    sensed: bool, weight: float, max_weight: float, voxel_m: float, counts: np.ndarray,
) -> None:
    for _ in prange(threads):
        _merge_share(desk, blocks, heaps, features, seen_ms, sensed, weight, max_weight, voxel_m, counts)


def fold_heaps(
    store: BlockStore, heaps: Heaps, voxel_m: float, seen_ms: int, sensed: bool, weight: float, max_weight: float,
    threads: int, features: np.ndarray, unpack: Callable[[np.ndarray], object] | None = None,
) -> np.ndarray:
    """Fold a frame's heaps into a store, growing it as needed; returns counts int64 [6] as :func:`.fuse.merge` keeps them.

    Args:
        seen_ms, sensed, weight: of every pixel. features: uint16 [H * W, C], bits of float16, or [0, C] when there are none.
        unpack: told block keys int64 [N] of every chunk the frame touches, before the store is asked.
    """
    if unpack:
        unpack(keys_by_chunk(heaps))
    shape = (*heaps.heap_of.shape, -1) if features.size else (0, 0, 0)
    means = mean_features(heaps, features.reshape(shape), int(heaps.used.max()) if features.size else 0)
    counts, tickets, state = np.zeros((PARTS, 6), np.int64), desk(3), np.zeros(1, np.int64)
    how = (means, seen_ms, sensed, np.float32(weight), np.float32(max_weight), voxel_m, counts)
    _look_up_and_merge(threads, tickets, state, store.blocks, heaps, *how)
    need = int(state[0])
    if need != DONE:
        while need != DONE:
            store.grow(need)
            need = add_missing(store.blocks, heaps)
        _merge_all(threads, tickets, store.blocks, heaps, *how)
    total = counts.sum(0)
    _count_left_out(heaps, total)
    store.blocks.counts[N_REFUSED] += total[REFUSED]
    return total


def fold(
    store: BlockStore, depth: np.ndarray, accept: np.ndarray, rgb: np.ndarray, intrinsics: np.ndarray, T_world_cam: np.ndarray,
    voxel_m: float, limits: np.ndarray, seen_ms: int, sensed: bool, weight: float, max_weight: float, threads: int,
    label: np.ndarray | None, features: np.ndarray,
) -> np.ndarray:
    """Fold a frame into a store: :func:`.heaps.heap_up`, then :func:`fold_heaps`.

    Args:
        label: uint16 [H, W]. features: uint16 [H * W, C], bits of float16, or [0, C] when there are none.
    """
    heaps = room(depth.shape[0], depth.shape[1], label is not None)
    label = np.empty((1, 0), np.uint16) if label is None else label
    heap_up(heaps, depth, accept, rgb, label, intrinsics, T_world_cam, voxel_m, limits)
    return fold_heaps(store, heaps, voxel_m, seen_ms, sensed, weight, max_weight, threads, features)
