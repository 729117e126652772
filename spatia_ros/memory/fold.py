"""Folding a whole frame into the blocks: :mod:`.fuse`'s merge for an image, where neighbours share voxels.

Pixels of a voxel are summed first (see :mod:`.heaps`), so that the map is asked once a heap and not once a pixel. Then
every heap looks up its point; missing points are made, in order; and the heaps are merged, each thread those of its own
blocks, in order. So the result does not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit, prange

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
    BlockStore,
    add_point,
    hash_place,
    insert_block,
    pack_look,
)
from spatia_ros.memory.fuse import ADDED, KEPT, MERGED, OUT_OF_REACH, REFUSED, REPLACED, mix_features
from spatia_ros.memory.heaps import Heaps, heap_up, keys_by_chunk, mean_features, room
from spatia_ros.memory.prefetch import prefetch

AHEAD = 32
"""Heaps looked ahead when memory is asked for."""
UNSEEN, LEFT_OUT = np.int32(-1), np.int32(-2)
PART_BITS = 3
"""So many bits' worth of neighbouring block slots belong to one thread."""


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
            if found >= 0:
                changed[chunk[found]] = 1
            known_key[at], known_block[at] = k, found
        block[i] = known_block[at]
        prefetch(flat, np.int64(max(block[i], np.int32(0))) * voxels + np.int64(voxel[i]))
    for i in range(key.size):
        inside[i] = flat[np.int64(block[i]) * voxels + np.int64(voxel[i])] if block[i] >= 0 else NO_POINT
        missing += inside[i] == NO_POINT and block[i] != LEFT_OUT
    return missing


@njit(cache=True)
def _look_up_one(b: int, blocks: Blocks, heaps: Heaps) -> None:
    n = heaps.used[b]
    heaps.missing[b] = _look_up_band(
        blocks.hash_key, blocks.hash_block, blocks.voxel_place, blocks.chunk, blocks.changed,
        heaps.key[b, :n], heaps.voxel[b, :n], heaps.block[b, :n], heaps.inside[b, :n],
    )


@njit(cache=True, parallel=True)
def look_up(blocks: Blocks, heaps: Heaps) -> None:
    """Find the points of all heaps."""
    for each in prange(heaps.used.size):
        _look_up_one(np.int64(each), blocks, heaps)


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


@njit(cache=True, error_model="numpy")
def _merge_part(
    blocks: Blocks, heaps: Heaps, features: np.ndarray, part: int, parts: int, seen_ms: int, sensed: bool, weight: float,
    max_weight: float, voxel_m: float, counts: np.ndarray,
) -> None:
    """Merge the heaps whose blocks fall to one part of the pool, in order; ``counts`` are int64 [6], added to."""
    xyz, rgb, b_weight = blocks.xyz.reshape(-1), blocks.rgb.reshape(-1), blocks.weight
    b_seen, b_sensed, look, label, start = blocks.seen_ms, blocks.sensed, blocks.look, blocks.label, blocks.start
    one, labelled = np.float32(1.0), heaps.label.size > 0
    for b in range(heaps.used.size):
        block, inside, n = heaps.block[b], heaps.inside[b], heaps.used[b]
        for i in range(n):
            j = min(i + AHEAD, n - 1)
            if block[j] >= 0:
                p = start[block[j]] + np.int64(inside[j])
                prefetch(xyz, 3 * p)
                prefetch(rgb, 3 * p)
                prefetch(b_weight, p)
                prefetch(b_seen, p)
                prefetch(look, p)
            slot = np.int64(block[i])
            if slot < 0 or (parts > 1 and np.uint32(slot >> PART_BITS) % np.uint32(parts) != part):
                continue
            # No sign: an index that could be negative costs a comparison every time.
            p, s = np.uint64(start[slot] + np.int64(inside[i])), heaps.sums[b, i]
            # Whether it was measured and when it was seen are read from the word that is drawn: one line of memory, not three.
            pixels, word = np.int64(s[6]), look[p]
            was_sensed = ((word >> np.uint64(24)) & np.uint64(1)) == np.uint64(1)
            if was_sensed and not sensed:
                counts[KEPT] += pixels
                continue
            old = b_weight[p] if was_sensed == sensed else np.float32(0.0)
            if old > 0.0:
                counts[MERGED] += pixels
            else:
                counts[MERGED] += pixels - 1
                counts[REPLACED if b_weight[p] > 0.0 else ADDED] += 1
            new = s[6] * weight
            a, mean, when = new / (old + new), one / s[6], seen_ms
            at = np.uint64(3) * p
            at_y, at_z = at + np.uint64(1), at + np.uint64(2)
            X, Y, Z = _corner(heaps.key[b, i], heaps.voxel[b, i], voxel_m)
            x, y, z = np.float32(X + s[0] * mean), np.float32(Y + s[1] * mean), np.float32(Z + s[2] * mean)
            red, green, blue = s[3] * mean, s[4] * mean, s[5] * mean
            if old > 0.0:  # a place never used may hold anything, even what is no number
                keep = one - a
                x, y, z = keep * xyz[at] + a * x, keep * xyz[at_y] + a * y, keep * xyz[at_z] + a * z
                red, green, blue = keep * rgb[at] + a * red, keep * rgb[at_y] + a * green, keep * rgb[at_z] + a * blue
                when = max(seen_ms, int(np.uint32(word >> np.uint64(32)).view(np.int32)))
            xyz[at], xyz[at_y], xyz[at_z] = x, y, z
            rgb[at], rgb[at_y], rgb[at_z] = red, green, blue
            b_seen[p], b_sensed[p], b_weight[p] = when, sensed, min(old + new, max_weight)
            look[p] = pack_look(red, green, blue, sensed, when)
            if labelled and heaps.label[b, i]:
                label[p] = heaps.label[b, i]
            if features.size:
                mix_features(blocks.features[p], features[b, i], a, old > 0.0)


@njit(cache=True, parallel=True)
def merge_heaps(
    blocks: Blocks, heaps: Heaps, features: np.ndarray, parts: int, seen_ms: int, sensed: bool, weight: float,
    max_weight: float, voxel_m: float,
) -> np.ndarray:
    """Fold all heaps into their points; returns counts int64 [6] as :func:`.fuse.merge` keeps them.

    Args:
        features: of each heap, as :func:`mean_features` gives them, or empty.
        parts: threads to share the blocks between. seen_ms, sensed, weight: of every pixel.
    """
    counts = np.zeros((parts, 6), np.int64)
    w, most = np.float32(weight), np.float32(max_weight)
    for each in prange(parts):
        part = np.int64(each)
        _merge_part(blocks, heaps, features, part, parts, seen_ms, sensed, w, most, voxel_m, counts[part])
    total = counts.sum(0)
    for b in range(heaps.used.size):
        for i in range(heaps.used[b]):
            if heaps.block[b, i] == LEFT_OUT and heaps.key[b, i] != EMPTY:
                total[REFUSED if heaps.key[b, i] >= 0 else OUT_OF_REACH] += np.int64(heaps.sums[b, i, 6])
    blocks.counts[N_REFUSED] += total[REFUSED]
    return total


def fold(
    store: BlockStore, depth: np.ndarray, accept: np.ndarray, rgb: np.ndarray, intrinsics: np.ndarray, T_world_cam: np.ndarray,
    voxel_m: float, limits: np.ndarray, seen_ms: int, sensed: bool, weight: float, max_weight: float, threads: int,
    label: np.ndarray | None, features: np.ndarray, unpack: Callable[[np.ndarray], object] | None = None,
) -> np.ndarray:
    """Fold a frame into a store, growing it as needed; returns counts int64 [6] as :func:`.fuse.merge` keeps them.

    Args:
        label: uint16 [H, W]. features: uint16 [H * W, C], bits of float16, or [0, C] when there are none.
        unpack: told block keys int64 [N] of every chunk the frame touches, before the store is asked.
        The rest are as in :func:`heap_up` and :func:`merge_heaps`.
    """
    heaps = room(depth.shape[0], depth.shape[1], label is not None)
    label = np.empty((1, 0), np.uint16) if label is None else label
    heap_up(heaps, depth, accept, rgb, label, intrinsics, T_world_cam, voxel_m, limits)
    if unpack:
        unpack(keys_by_chunk(heaps))
    look_up(store.blocks, heaps)
    need = add_missing(store.blocks, heaps)
    while need != DONE:
        store.grow(need)
        need = add_missing(store.blocks, heaps)
    shape = (*depth.shape, -1) if features.size else (0, 0, 0)
    means = mean_features(heaps, features.reshape(shape), int(heaps.used.max()) if features.size else 0)
    return merge_heaps(store.blocks, heaps, means, threads, seen_ms, sensed, weight, max_weight, voxel_m)
