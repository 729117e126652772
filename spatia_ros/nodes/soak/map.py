"""A copy of a world's memory, kept up from ``~/memory/update`` alone, to be held against the memory itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from spatia_ros.nodes import convert_cloud
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.types import Float32, Int64, UInt8

NEAR_M = 1e-4
"""How far a point of the copy may be from the memory's own: positions are FLOAT32 and turned once."""
_BIAS = 1 << 20


def keys_of(voxels: np.ndarray) -> Int64:
    """One int64 a voxel [N] of its integer index, int [N, 3]."""
    v = voxels.astype(np.int64) + _BIAS
    return v[:, 0] | v[:, 1] << 21 | v[:, 2] << 42


class MapCopy:
    """Applies every update in order; says what an update or the whole gets wrong."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.sequence: int | None = None
        self._begun = False
        self._key: Int64 = np.empty(0, np.int64)
        self._xyz: Float32 = np.empty((0, 3), np.float32)
        self._rgb: UInt8 = np.empty((0, 3), np.uint8)

    def __len__(self) -> int:
        return len(self._key)

    def forget(self) -> None:
        """Begin anew: the world is another process."""
        self.sequence, self._begun = None, False

    def apply(self, msg: Any) -> None:
        """One message of the topic."""
        expect = self._ledger.expect
        if self.sequence is not None:
            expect(msg.sequence == self.sequence + 1, f"memory/update: {msg.sequence} came after {self.sequence}")
        self.sequence = msg.sequence
        self._begun |= msg.clear
        if not self._begun:
            return  # what came before the first whole map says nothing alone
        added, removed = (np.asarray(v, np.int32).reshape(-1, 3) for v in (msg.added_voxels, msg.removed_voxels))
        xyz, rgb = convert_cloud.from_cloud(msg.added) if len(added) else (self._xyz[:0], self._rgb[:0])
        if not expect(len(xyz) == len(added), f"memory/update: {len(added)} voxels with {len(xyz)} points"):
            return
        key = keys_of(added)
        expect(len(np.unique(key)) == len(key), "memory/update: a voxel is added twice in one message")
        if msg.clear:
            self._key, self._xyz, self._rgb = self._key[:0], self._xyz[:0], self._rgb[:0]
        stays = ~np.isin(self._key, np.concatenate([key, keys_of(removed)]))
        self._key = np.concatenate([self._key[stays], key])
        self._xyz, self._rgb = np.concatenate([self._xyz[stays], xyz]), np.concatenate([self._rgb[stays], rgb])
        self._ledger.counts["updates"] += 1

    def compare(self, xyz: Float32, rgb: UInt8) -> None:
        """Hold the copy against all of the memory's points: float32 [N, 3] in the map, uint8 [N, 3]."""
        self._ledger.counts["maps compared"] += 1
        said = compared(self._xyz, self._rgb, xyz, rgb)
        self._ledger.expect(not said, f"memory/update: {said} (the copy, and the memory)")


def compared(xyz: Float32, rgb: UInt8, other_xyz: Float32, other_rgb: UInt8) -> str:
    """What two sets of points [N, 3] and their colours [N, 3] differ in, in words; empty when they are the same."""
    if len(xyz) != len(other_xyz):
        return f"{len(xyz)} points and {len(other_xyz)}"
    if not len(xyz):
        return ""
    off, mine = cKDTree(xyz).query(other_xyz)
    if len(np.unique(mine)) < len(mine) or off.max() > NEAR_M:
        return f"a point is {off.max():.3g} m from its counterpart"
    worst = int(np.abs(rgb[mine].astype(int) - other_rgb).max())
    return f"a colour differs by {worst}" if worst > 1 else ""
