"""A few of a memory's points, evenly chosen: what a display asks for, at the cost of those few."""

from __future__ import annotations

import numpy as np

from spatia_ros.memory.blocks import live_places
from spatia_ros.memory.memory import Memory
from spatia_ros.types import Float32, Int64, UInt8


def even_choice(count: int, most: int) -> Int64:
    """Indices of ``most`` of so many things, evenly chosen; of all when they are no more: int64 [min(count, most)]."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def thinned(memory: Memory, most: int) -> tuple[Float32, UInt8]:
    """``(xyz float32 [N, 3], rgb uint8 [N, 3])`` of an even choice of at most so many points, metres in the world (copies).

    Raises:
        SpatiaError: when an attached memory has more points than may be unpacked.
    """
    if memory.pages:
        points = memory.points()
        chosen = even_choice(len(points.xyz), most)
        return points.xyz[chosen], points.rgb[chosen]
    blocks = memory.store.blocks
    places = live_places(blocks)
    places = places[even_choice(len(places), most)]
    return blocks.xyz[places], (blocks.rgb[places] + 0.5).astype(np.uint8)
