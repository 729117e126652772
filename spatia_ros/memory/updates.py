"""Telling somebody who keeps a copy of the points what changed: as much of it at a time as wished, and no more.

Chunks that changed are compared with what was told of them, so the work grows with the change, not with the map. A memory
that took another's place (loaded, restored) is told from the beginning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

import numpy as np
import numpy.typing as npt

from spatia_ros.memory.block_store import BlockStore
from spatia_ros.memory.blocks import BLOCK_SIDE, KEY_BIAS, KEY_BITS, NOTED
from spatia_ros.memory.chunk_index import live_chunks
from spatia_ros.memory.chunks import SIDE_VOXELS, ChunkPoints
from spatia_ros.memory.paging import points_of_chunk
from spatia_ros.types import Float32, Int64, UInt8, check_array

if TYPE_CHECKING:
    from spatia_ros.memory.memory import Memory

Int32 = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint32]
"""uint32 [N, 4]: the bits of x, y and z (float32), and 0x00RRGGBB."""

CHUNK_SHIFT = SIDE_VOXELS.bit_length() - 1
LOCAL_MASK = SIDE_VOXELS - 1
FIELD = (1 << KEY_BITS) - 1


class Update(NamedTuple):
    """One change of a memory's points.

    A voxel is told by its three integers, floor(position / voxel side). ``voxels`` int32 [N, 3] hold the points
    ``xyz`` float32 [N, 3] (metres) and ``rgb`` uint8 [N, 3] now, whatever they held; ``removed`` int32 [M, 3] are empty now.
    ``clear``: forget everything first.
    """

    clear: bool
    voxels: Int32
    xyz: Float32
    rgb: UInt8
    removed: Int32

    @property
    def size(self) -> int:
        """Voxels told."""
        return len(self.voxels) + len(self.removed)


class Tile(NamedTuple):
    """The points of one chunk of a copy: voxels inside it int64 [N], rising, and their words."""

    local: Int64
    words: Words

    def changed(self, local: Int64, words: Words, removed: Int64) -> Tile:
        """With some voxels taken out and others put in."""
        kept = ~(np.isin(self.local, removed) | np.isin(self.local, local))
        every = np.concatenate([self.local[kept], local])
        order = np.argsort(every)
        return Tile(every[order], np.concatenate([self.words[kept], words])[order])


EMPTY_TILE = Tile(np.empty(0, np.int64), np.empty((0, 4), np.uint32))


class PointCopy:
    """The points of a memory elsewhere, kept up by :class:`Update`."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int, int], Tile] = {}

    def __len__(self) -> int:
        return sum(len(tile.local) for tile in self.tiles.values())

    def apply(self, update: Update) -> None:
        """Take an update in; of one voxel told twice the last counts.

        Raises:
            SpatiaError: on arrays that are not what :class:`Update` says.
        """
        n = len(update.voxels)
        check_array("update.voxels", update.voxels, (n, 3), np.int32)
        check_array("update.xyz", update.xyz, (n, 3), np.float32)
        check_array("update.rgb", update.rgb, (n, 3), np.uint8)
        check_array("update.removed", update.removed, (None, 3), np.int32)
        if update.clear:
            self.tiles.clear()
        words = words_of(update.xyz, update.rgb)
        touched = {chunk: (local, words[at]) for chunk, local, at in _by_chunk(update.voxels)}
        gone = {chunk: local for chunk, local, _ in _by_chunk(update.removed)}
        for chunk in touched.keys() | gone.keys():
            local, mine = touched.get(chunk, EMPTY_TILE)
            last = len(local) - 1 - np.unique(local[::-1], return_index=True)[1]
            tile = self.tiles.get(chunk, EMPTY_TILE)
            tile = tile.changed(local[last], mine[last], gone.get(chunk, EMPTY_TILE.local))
            if len(tile.local):
                self.tiles[chunk] = tile
            else:
                self.tiles.pop(chunk, None)

    def points(self) -> tuple[Int32, Float32, UInt8]:
        """``(voxels int32 [N, 3], xyz float32 [N, 3], rgb uint8 [N, 3])``, by chunk and voxel."""
        if not self.tiles:
            return np.empty((0, 3), np.int32), np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8)
        chunks = sorted(self.tiles)
        voxels = np.concatenate([voxels_of(chunk, self.tiles[chunk].local) for chunk in chunks])
        words = np.concatenate([self.tiles[chunk].words for chunk in chunks])
        return voxels, *points_of(words)


class Updates:
    """What one listener was told of a memory, and is still to be told."""

    def __init__(self) -> None:
        self._told = PointCopy()
        self._due: dict[int, None] = {}  # chunk keys, in the order they came up
        self._store: ref[BlockStore] | None = None

    def restart(self) -> None:
        """Tell everything from the beginning (somebody joined)."""
        self._store = None

    def look(self, memory: Memory) -> bool:
        """Take note of what changed since the last look; returns whether there is something to be told."""
        b, pages = memory.store.blocks, memory.pages
        slots = live_chunks(b)
        fresh = self._store is None or self._store() is not memory.store
        if fresh:
            return True
        changed = slots[b.changed[slots] == 1]
        self._due.update(dict.fromkeys(b.chunk_key[changed].tolist()))
        b.changed[changed] = NOTED
        if pages:
            self._due.update(dict.fromkeys(sorted(pages.written)))
            pages.written.clear()
        return bool(self._due)

    def take(self, memory: Memory, most: int) -> Update:
        """The next update: of about ``most`` voxels, fewer when there is no more to tell."""
        clear = self._begin(memory)
        parts, room = list[Update](), most
        while self._due and room > 0:
            key = next(iter(self._due))
            part, whole = self._compare(key, points_of_chunk(memory, key), room)
            if whole:
                del self._due[key]
            if part.size:
                parts.append(part)
                room -= part.size
        columns = [np.concatenate(c) for c in zip(*(p[1:] for p in parts), strict=True)] if parts else _NOTHING
        return Update(clear, *columns)

    def _begin(self, memory: Memory) -> bool:
        """Start anew where the memory is another one than was told of; returns whether that is so."""
        if self._store is not None and self._store() is memory.store:
            return False
        b, pages = memory.store.blocks, memory.pages
        slots = live_chunks(b)
        keys = b.chunk_key[slots].tolist() + (pages.index.key.tolist() if pages else [])
        self._told, self._due, self._store = PointCopy(), dict.fromkeys(keys), ref(memory.store)
        b.changed[slots[b.changed[slots] == 1]] = NOTED
        if pages:
            pages.written.clear()
        return True

    def _compare(self, key: int, points: ChunkPoints | None, most: int) -> tuple[Update, bool]:
        """What of a chunk differs from what was told, ``most`` points of it; and whether that is all."""
        local, words = _rows_of(points) if points is not None and len(points) else EMPTY_TILE
        chunk = chunk_of(key)
        told = self._told.tiles.get(chunk, EMPTY_TILE)
        at = np.minimum(np.searchsorted(told.local, local), max(len(told.local) - 1, 0))
        same = np.zeros(len(local), np.bool_)
        if len(told.local):
            same = (told.local[at] == local) & (told.words[at] == words).all(1)
        news = np.flatnonzero(~same)
        some = news[:most]
        removed = told.local[~np.isin(told.local, local)]
        if len(some) or len(removed):
            self._told.tiles[chunk] = told.changed(local[some], words[some], removed)
        xyz, rgb = points_of(words[some])
        return Update(False, voxels_of(chunk, local[some]), xyz, rgb, voxels_of(chunk, removed)), len(some) == len(news)


_NOTHING = [np.empty((0, 3), np.int32), np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8), np.empty((0, 3), np.int32)]


def words_of(xyz: Float32, rgb: UInt8) -> Words:
    """Points as words."""
    out = np.empty((len(xyz), 4), np.uint32)
    out[:, :3] = np.ascontiguousarray(xyz).view(np.uint32)
    wide = rgb.astype(np.uint32)
    out[:, 3] = wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]
    return out


def points_of(words: Words) -> tuple[Float32, UInt8]:
    """``(xyz, rgb)`` of words."""
    xyz = np.ascontiguousarray(words[:, :3]).view(np.float32)
    return xyz, np.stack([words[:, 3] >> 16, words[:, 3] >> 8, words[:, 3]], -1).astype(np.uint8)


def chunk_of(key: int) -> tuple[int, int, int]:
    """The three integers of a chunk: those of its voxels divided by 128."""
    bias = KEY_BIAS * BLOCK_SIDE // SIDE_VOXELS
    return (key & FIELD) - bias, (key >> KEY_BITS & FIELD) - bias, (key >> 2 * KEY_BITS) - bias


def voxels_of(chunk: tuple[int, int, int], local: Int64) -> Int32:
    """int32 [N, 3] of voxels inside a chunk."""
    inside = np.stack([local & LOCAL_MASK, local >> CHUNK_SHIFT & LOCAL_MASK, local >> 2 * CHUNK_SHIFT], -1)
    return (inside + np.array(chunk, np.int64) * SIDE_VOXELS).astype(np.int32)


def _local_of(voxels: np.ndarray) -> Int64:
    x, y, z = (voxels.astype(np.int64) & LOCAL_MASK).T
    return x | y << CHUNK_SHIFT | z << 2 * CHUNK_SHIFT


def _by_chunk(voxels: Int32) -> list[tuple[tuple[int, int, int], Int64, Int64]]:
    """Voxels int32 [N, 3] by the chunk they are in: the chunk, places inside it, and which of the N they are, in order."""
    if not len(voxels):
        return []
    chunks, whose = np.unique(voxels >> CHUNK_SHIFT, axis=0, return_inverse=True)
    order = np.argsort(whose.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(whose.ravel(), minlength=len(chunks)))
    local = _local_of(voxels)
    parts = np.split(order, ends[:-1])
    return [((x, y, z), local[at], at) for (x, y, z), at in zip(chunks.tolist(), parts, strict=True)]


def _rows_of(points: ChunkPoints) -> Tile:
    """A chunk's points as a copy holds them."""
    block, voxel = points.block.astype(np.int64), points.voxel.astype(np.int64)
    corner = np.stack([block & FIELD, block >> KEY_BITS & FIELD, block >> 2 * KEY_BITS], -1) * BLOCK_SIDE
    local = _local_of(corner + np.stack([voxel & 7, voxel >> 3 & 7, voxel >> 6], -1))
    order = np.argsort(local)
    return Tile(local[order], words_of(points.xyz, (points.rgb + np.float32(0.5)).astype(np.uint8))[order])
