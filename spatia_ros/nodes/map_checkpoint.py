"""Checkpoints of a map whose poses are given: its memory. Where a tracked camera was in its map is not known to a restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from spatia_ros.actors import Cast
from spatia_ros.checkpoint import Saved
from spatia_ros.memory import Memory
from spatia_ros.nodes.keeper import Keeper
from spatia_ros.types import SpatiaError
from spatia_ros.world import WorldSnapshot

if TYPE_CHECKING:
    from spatia_ros.nodes.mapper_node import MapperFace


class MapKeeper(Keeper):
    """Keeps a map: a world with nobody in it, and nothing drawn of it yet.

    Raises:
        SpatiaError: when the camera is tracked.
    """

    def __init__(self, face: MapperFace, tracked: bool) -> None:
        if tracked and face.settings.checkpoint.folder:
            got = f"got {face.settings.checkpoint.folder!r} with sensor.pose_source tracked"
            raise SpatiaError(f"checkpoint.folder: expected none, as a tracked map starts where its camera does; {got}")
        super().__init__(face)
        self._face = face

    def remembered(self) -> Memory | None:
        """The memory to go on mapping in; None without one."""
        saved = self.found()
        if saved is None:
            return None
        memory = Memory(saved.memory)
        memory.restore(saved.world.memory)
        return memory

    def state(self) -> Saved | None:
        """The memory as it is now, where it is another than the last time."""
        began_s, now = time.perf_counter(), (self._face.memory_version,)
        if now == self._last:
            return None
        self._last, memory = now, self._face.memory.snapshot()
        self.held_ms = (time.perf_counter() - began_s) * 1e3
        untouched = np.random.default_rng(0).bit_generator.state
        return Saved(WorldSnapshot(memory, Cast().snapshot(), (), dict(untouched), 0, self._face.stamp_ns), {})
