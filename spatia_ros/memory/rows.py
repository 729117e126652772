"""Whole blocks taken out as plain rows, changed as arrays, and put back: how an edit reaches the points.

Costs follow the blocks asked for. What is put back after being taken lies in the same order in the same
runs, so an edit and its undoing leave the store as it was, to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spatia_ros.kernels import njit
from spatia_ros.memory.block_store import BlockStore
from spatia_ros.memory.blocks import (
    BLOCK_SIDE,
    BLOCK_VOXELS,
    DONE,
    KEY_BIAS,
    KEY_BITS,
    N_BLOCKS,
    N_POINTS,
    NEED_BLOCKS,
    NEED_POOL,
    NO_POINT,
    SMALLEST_RUN,
    Blocks,
    find_slot,
    give_run,
    insert_block,
    pack_look,
    take_run,
)
from spatia_ros.memory.fuse import locate_points
from spatia_ros.types import Bool, Float64, Int64, SpatiaError

if TYPE_CHECKING:
    from spatia_ros.memory.memory import Memory

FIELDS = ("xyz", "rgb", "weight", "seen_ms", "sensed", "voxel", "label", "features")
"""What is told of a point; how it is drawn follows from that."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The points of some blocks.

    Args:
        key: int64 [B], block keys, rising. size: int64 [B], points of each (0: an empty block, or none).
        fields: by name (of ``FIELDS``), an array [N, ...] as in :class:`.blocks.Blocks`, block by block.
    """

    key: Int64
    size: Int64
    fields: dict[str, np.ndarray]

    def __len__(self) -> int:
        return int(self.size.sum())

    @property
    def ids(self) -> Int64:
        """int64 [N], number of each point's block in ``key`` times 512 plus its voxel: what it is known by."""
        return np.repeat(np.arange(len(self.key)) * BLOCK_VOXELS, self.size) + self.fields["voxel"]

    @property
    def nbytes(self) -> int:
        """What the arrays take."""
        return self.key.nbytes + self.size.nbytes + sum(array.nbytes for array in self.fields.values())

    def where(self, chosen: Bool) -> Rows:
        """The chosen rows (bool [N]) of the same blocks."""
        return self._of(np.repeat(np.arange(len(self.key)), self.size)[chosen], {n: a[chosen] for n, a in self.fields.items()})

    def over(self, other: Rows) -> Rows:
        """These rows laid over others of the same blocks: where both have a voxel, these win."""
        kept = other.where(~np.isin(other.ids, self.ids))
        block = np.concatenate([np.repeat(np.arange(len(r.key)), r.size) for r in (kept, self)])
        order = np.argsort(block, kind="stable")
        return self._of(block[order], {n: np.concatenate([kept.fields[n], self.fields[n]])[order] for n in self.fields})

    def changed(self, **fields: np.ndarray) -> Rows:
        """The same points with other values in some fields."""
        return Rows(self.key, self.size, self.fields | fields)

    def among(self, key: Int64) -> Rows:
        """The same points as rows of more blocks (int64 [B'], rising, holding all of these)."""
        size = np.zeros(len(key), np.int64)
        size[np.searchsorted(key, self.key)] = self.size
        return Rows(key, size, self.fields)

    def equals(self, other: Rows) -> bool:
        """Whether both are the same to the bit, order included."""
        same = np.array_equal(self.key, other.key) and np.array_equal(self.size, other.size)
        return same and all(self.fields[n].tobytes() == other.fields[n].tobytes() for n in self.fields)

    def differing(self, other: Rows) -> Int64:
        """Ids of the points of the same blocks that only one has, or that differ in any bit."""
        a, b = self.ids, other.ids
        both, at_a, at_b = np.intersect1d(a, b, return_indices=True)
        unlike = np.zeros(len(both), bool)
        for name, array in self.fields.items() if len(both) else ():
            unlike |= (_bytes(array[at_a]) != _bytes(other.fields[name][at_b])).any(1)
        return np.union1d(np.setxor1d(a, b), both[unlike])

    def _of(self, block: Int64, fields: dict[str, np.ndarray]) -> Rows:
        return Rows(self.key, np.bincount(block, minlength=len(self.key)).astype(np.int64), fields)


def _bytes(array: np.ndarray) -> np.ndarray:
    """uint8 [N, ...], the bytes of each of N > 0 entries."""
    return np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)


def keys_within(blocks: Blocks, low: Float64, high: Float64, voxel_m: float) -> Int64:
    """Keys, rising, of the blocks with points whose cube touches a box (metres; may be infinite)."""
    n = int(blocks.counts[N_BLOCKS])
    keys = blocks.key[:n][blocks.size[:n] > 0]
    field, side = (1 << KEY_BITS) - 1, voxel_m * BLOCK_SIDE
    inside = np.ones(len(keys), bool)
    for axis in range(3):
        corner = (((keys >> (axis * KEY_BITS)) & field) - KEY_BIAS) * side
        inside &= (corner <= high[axis]) & (corner + side >= low[axis])
    return np.sort(keys[inside])


@njit(cache=True)
def _places(blocks: Blocks, keys: np.ndarray, start: np.ndarray, size: np.ndarray) -> None:
    for i in range(keys.size):
        block = find_slot(blocks.hash_key, blocks.hash_block, keys[i])
        start[i] = blocks.start[block] if block >= 0 else -1
        size[i] = blocks.size[block] if block >= 0 else 0


def take(blocks: Blocks, keys: Int64) -> Rows:
    """A copy of the points of some blocks (keys rising; a key of no block has no points)."""
    start, size = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    _places(blocks, keys, start, size)
    at = _run_places(start, size)
    return Rows(keys, size, {name: getattr(blocks, name)[at] for name in FIELDS})


def take_within(memory: Memory, low: Float64, high: Float64) -> Rows:
    """A copy of the points of all blocks that touch a box (metres; may be infinite), from the memory's file too.

    Raises:
        SpatiaError: when that is more than may be in use at a time (``memory.resident_points``).
    """
    blocks, voxel_m = memory.store.blocks, memory.config.voxel_m
    if memory.pages:
        if not np.isfinite([low, high]).all():
            memory.pages.require_few(memory)
        view = memory.pages.view
        inside = ((view.low <= high) & (view.high >= low)).all(1)
        memory.pages.unpack(memory, memory.pages.index.key[inside])
        blocks = memory.store.blocks
    return take(blocks, keys_within(blocks, low, high, voxel_m))


def _run_places(start: Int64, size: Int64) -> Int64:
    first = np.cumsum(size) - size
    return np.repeat(start - first, size) + np.arange(int(size.sum()))


@njit(cache=True)
def _make_room(blocks: Blocks, begin: int, keys: np.ndarray, size: np.ndarray, start: np.ndarray) -> tuple[int, int]:
    """Give each block from ``begin`` on a run for so many points; returns (where it stopped, what it lacked)."""
    for i in range(begin, keys.size):
        block = np.int64(find_slot(blocks.hash_key, blocks.hash_block, keys[i]))
        if block < 0:
            if size[i] == 0:
                continue
            block = insert_block(blocks, keys[i])
            if block < 0:
                return i, NEED_BLOCKS
        if blocks.room[block] < size[i]:
            room = SMALLEST_RUN
            while room < size[i]:
                room *= 2
            run = take_run(blocks, room)
            if run < 0:
                return i, NEED_POOL
            if blocks.room[block]:
                give_run(blocks, blocks.start[block], blocks.room[block])
            blocks.start[block] = run
            blocks.room[block] = room
        blocks.counts[N_POINTS] += size[i] - blocks.size[block]
        blocks.size[block] = size[i]
        blocks.changed[blocks.chunk[block]] = 1
        start[i] = blocks.start[block]
    return keys.size, DONE


@njit(cache=True)
def _list_voxels(blocks: Blocks, keys: np.ndarray, size: np.ndarray, voxel: np.ndarray) -> None:
    n = 0
    for i in range(keys.size):
        block = find_slot(blocks.hash_key, blocks.hash_block, keys[i])
        if block < 0:
            continue
        blocks.voxel_place[block, :] = NO_POINT
        for j in range(size[i]):
            blocks.voxel_place[block, voxel[n]] = j
            n += 1


@njit(cache=True)
def _draw_anew(blocks: Blocks, places: np.ndarray) -> None:
    rgb = blocks.rgb
    for p in places:
        blocks.look[p] = pack_look(rgb[p, 0], rgb[p, 1], rgb[p, 2], blocks.sensed[p], blocks.seen_ms[p])


def put(store: BlockStore, rows: Rows) -> None:
    """Make the points of the rows' blocks exactly these, growing the store as needed; runs are kept where they fit."""
    start = np.full(len(rows.key), -1, np.int64)
    at, need = 0, -1
    while need != DONE:
        at, need = _make_room(store.blocks, at, rows.key, rows.size, start)
        if need != DONE:
            store.grow(need)
    places = _run_places(start, rows.size)
    for name in FIELDS:
        getattr(store.blocks, name)[places] = rows.fields[name]
    _draw_anew(store.blocks, places)
    _list_voxels(store.blocks, rows.key, rows.size, rows.fields["voxel"])


def voxelised(points: dict[str, np.ndarray], voxel_m: float) -> Rows:
    """Loose points as rows, one a voxel: position and colour are means, the rest is the first point's.

    Args:
        points: the ``FIELDS`` but ``voxel``, each [N, ...].

    Raises:
        SpatiaError: when a point lies beyond what a block key can say.
    """
    key, voxel = locate_points(np.ascontiguousarray(points["xyz"], np.float32), voxel_m)
    if (key < 0).any():
        raise SpatiaError(f"points: expected positions that {KEY_BITS} bits an axis can say, got {int((key < 0).sum())} beyond")
    order = np.lexsort((voxel, key))
    key, voxel = key[order], voxel[order]
    fresh = np.ones(len(key), bool)
    fresh[1:] = (key[1:] != key[:-1]) | (voxel[1:] != voxel[:-1])
    first = np.flatnonzero(fresh)
    count = np.diff(np.append(first, len(key)))[:, None]
    fields = {name: array[order][first] for name, array in points.items()} | {"voxel": voxel[first]}
    for name in ("xyz", "rgb"):
        if len(first):
            sums = np.add.reduceat(points[name][order].astype(np.float64), first)
            fields[name] = (sums / count).astype(np.float32)
    keys, size = np.unique(key[first], return_counts=True)
    return Rows(keys, size.astype(np.int64), fields)
