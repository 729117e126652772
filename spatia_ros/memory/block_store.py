"""Who owns the arrays of :mod:`.blocks` and grows them; everything else is a kernel over them."""

from __future__ import annotations

import numpy as np

from spatia_ros.memory.blocks import (
    BLOCK_VOXELS,
    EMPTY,
    N_POINTS,
    NEED_BLOCKS,
    NEED_POOL,
    NONE,
    RUN_CLASSES,
    SMALLEST_RUN,
    Blocks,
    rehash,
)
from spatia_ros.types import SpatiaError


def _grown(array: np.ndarray, length: int) -> np.ndarray:
    out = np.zeros((length, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out


BLOCK_FIELDS = ("key", "chunk", "next_block", "start", "size", "room", "voxel_place")
CHUNK_FIELDS = ("chunk_key", "first_block", "last_block", "changed")
POOL_FIELDS = ("xyz", "mean", "look", "voxel", "label", "features")


PARTS = ("rgb", "weight", "seen_ms", "sensed")
"""Fields that lie within others: views of them, and not arrays of their own."""


def _parts_of(mean: np.ndarray, look: np.ndarray) -> dict[str, np.ndarray]:
    """The fields that lie within ``mean`` and ``look``, by name."""
    return {
        "rgb": mean[:, :3], "weight": mean[:, 3],
        "seen_ms": look.view(np.int32).reshape(-1, 2)[:, 1], "sensed": look.view(np.uint8).reshape(-1, 8)[:, 3],
    }  # fmt: skip


class BlockStore:
    """Owns :class:`Blocks` and grows it. Everything else is a kernel over ``.blocks``.

    Args:
        max_points: new points are refused past so many. channels: length of a point's feature vector.

    Places without a point hold zeros or what was there before, never what is left in the process's memory: they go to disk, too.
    """

    def __init__(self, max_points: int, channels: int = 0) -> None:
        B, P, H = 1 << 10, 1 << 16, 1 << 11
        mean, look = np.zeros((P, 4), np.float32), np.zeros(P, np.uint64)
        self.blocks = Blocks(
            hash_key=np.full(H, EMPTY), hash_block=np.zeros(H, np.int32),
            key=np.zeros(B, np.int64), chunk=np.zeros(B, np.int32), next_block=np.zeros(B, np.int32),
            start=np.zeros(B, np.int64), size=np.zeros(B, np.int32),
            room=np.zeros(B, np.int32), voxel_place=np.zeros((B, BLOCK_VOXELS), np.uint16),
            xyz=np.zeros((P, 3), np.float32), mean=mean, look=look, **_parts_of(mean, look),
            voxel=np.zeros(P, np.uint16), label=np.zeros(P, np.uint16), features=np.zeros((P, channels), np.uint16),
            chunk_hash_key=np.full(H, EMPTY), chunk_hash_slot=np.zeros(H, np.int32),
            chunk_key=np.zeros(B, np.int64), first_block=np.zeros(B, np.int32), last_block=np.zeros(B, np.int32),
            changed=np.zeros(B, np.uint8),
            free_next=np.zeros(P // SMALLEST_RUN, np.int64), free_head=np.full(RUN_CLASSES, -1, np.int64),
            counts=np.array([0, 0, 0, 0, max_points, 0, NONE, NONE], np.int64),
        )

    def __len__(self) -> int:
        return int(self.blocks.counts[N_POINTS])

    def grow(self, need: int) -> None:
        """Double what a kernel said it lacked (blocks, chunks and hashes, or the pool)."""
        b = self.blocks
        if need == NEED_BLOCKS:
            fields = {name: _grown(getattr(b, name), 2 * len(b.key)) for name in BLOCK_FIELDS + CHUNK_FIELDS}
            H = 4 * len(b.key)  # at most half full
            hashes = {name: np.full(H, EMPTY) for name in ("hash_key", "chunk_hash_key")}
            slots = {name: np.empty(H, np.int32) for name in ("hash_block", "chunk_hash_slot")}
            self.blocks = b._replace(**fields, **hashes, **slots)
            rehash(self.blocks)
        elif need == NEED_POOL:
            P = 2 * len(b.weight)
            fields = {name: _grown(getattr(b, name), P) for name in POOL_FIELDS}
            fields |= _parts_of(fields["mean"], fields["look"])
            self.blocks = b._replace(**fields, free_next=_grown(b.free_next, P // SMALLEST_RUN))
        else:
            raise SpatiaError(f"block store: expected a need of {NEED_BLOCKS} or {NEED_POOL}, got {need}")

    def copy(self) -> BlockStore:
        """An independent store with the same points (what a snapshot holds)."""
        twin = object.__new__(BlockStore)
        fields = {name: array.copy() for name, array in self.blocks._asdict().items() if name not in PARTS}
        twin.blocks = Blocks(**fields, **_parts_of(fields["mean"], fields["look"]))
        return twin
