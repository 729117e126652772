"""The mapper node: an RGB-D camera with poses builds a memory that the world node can load.

A plain rclpy node in this release (not yet a managed lifecycle node).
"""

from __future__ import annotations

import time
from collections import deque

import numpy as np
from rclpy.context import Context
from rclpy.parameter import Parameter

from spatia_ros.memory import Memory
from spatia_ros.msg import SimStatus
from spatia_ros.nodes.memory_node import MemoryNode
from spatia_ros.nodes.motion import Motion
from spatia_ros.nodes.settings import MapperSettings
from spatia_ros.types import Frame


class MapperNode(MemoryNode):
    """Folds posed RGB-D frames into a memory; its world is the frame ``sensor.world``."""

    def __init__(
        self,
        *,
        context: Context | None = None,
        namespace: str | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("mapper", MapperSettings, context=context, namespace=namespace, parameter_overrides=parameter_overrides)
        self._memory = Memory(self._live.now.memory)
        self._frames = 0
        self._fuse_ms: deque[float] = deque(maxlen=100)
        self._begin()
        self.listen(True)
        self.get_logger().info(f"mapping in frame {self.map_frame}; files in {self.files.root}")

    @property
    def memory(self) -> Memory:
        """The memory; for the worker's thread only."""
        return self._memory

    def adopt(self, memory: Memory) -> None:
        """Go on mapping in a memory from a file."""
        self._memory = memory

    def observe(self, frame: Frame) -> None:
        """Fold a frame in."""
        begun_s = time.perf_counter()
        self._memory.integrate(frame)
        self._frames += 1
        self._fuse_ms.append((time.perf_counter() - begun_s) * 1e3)

    def status(self) -> SimStatus:
        """Mapping, and how fast."""
        frame_ms = float(np.median(list(self._fuse_ms))) if self._fuse_ms else 0.0
        return SimStatus(mode=SimStatus.MAPPING, model="", frames=self._frames, frame_ms=frame_ms)

    def _frame(self, motion: Motion) -> bool:  # noqa: ARG002
        return False  # a mapper is not commanded
