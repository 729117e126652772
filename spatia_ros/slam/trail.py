"""Where movers have been: the blocks of memory in which a much finer carving is worth its risk.

Everywhere else a point is carved when it is well in front of what a frame measures, with a margin
that forgives a wrong pose. What a mover left behind within that margin, near a floor or a wall, would
stay. Along its trail the margin is that of the depth noise alone.
"""

from __future__ import annotations

import numpy as np

from spatia_ros.memory import fuse
from spatia_ros.memory.blocks import BLOCK_SIDE, KEY_BITS
from spatia_ros.types import Float64, Int64

MAX_BLOCKS = 1 << 16
AROUND = np.array([x + (y << KEY_BITS) + (z << 2 * KEY_BITS) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
"""What to add to a block's key for its 26 neighbours, and itself."""


class Trail:
    """Keys of the blocks movers were seen in; bounded, oldest out first."""

    def __init__(self) -> None:
        self.keys: Int64 = np.zeros(0, np.int64)
        """Sorted."""
        self._stamps: Int64 = np.zeros(0, np.int64)

    def add(self, points: Float64, voxel_m: float, stamp_ns: int) -> None:
        """Note the blocks around world points [N, 3], m."""
        fresh = blocks_around(points, voxel_m)
        kept = ~np.isin(self.keys, fresh, assume_unique=True)
        keys = np.concatenate([self.keys[kept], fresh])
        stamps = np.concatenate([self._stamps[kept], np.full(len(fresh), stamp_ns, np.int64)])
        if len(keys) > MAX_BLOCKS:
            newest = np.argsort(stamps, kind="stable")[-MAX_BLOCKS:]
            keys, stamps = keys[newest], stamps[newest]
        order = np.argsort(keys)
        self.keys, self._stamps = keys[order], stamps[order]


def blocks_around(points: Float64, voxel_m: float) -> Int64:
    """Keys, sorted, of the blocks world points [N, 3] (m) lie in and of all their neighbours."""
    key, _ = fuse.locate_points(points.astype(np.float32), voxel_m)
    key = np.unique(key)
    return np.unique((key[key >= 0][:, None] + AROUND).ravel())


def swept(points: Float64, travelled: Float64, voxel_m: float) -> Float64:
    """The points where they are and back along a displacement [3], m: as far as it goes and their own length further.

    Where a thing stood before it was recognised lies there: it is first noticed by the edge that it
    moves into free space, and only seen whole after it has moved by its own length.
    """
    distance = float(np.linalg.norm(travelled))
    if distance < 1e-6:
        return points
    way = travelled / distance
    along = points @ way
    reach = distance + float(along.max() - along.min())
    steps = np.arange(0.0, reach, BLOCK_SIDE * voxel_m)
    few = points[:: max(1, len(points) // 512)]
    return (few[None] - steps[:, None, None] * way).reshape(-1, 3)
