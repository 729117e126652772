"""A copy of a node's memory in another program, kept up by ``~/memory/update``."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from rclpy.subscription import Subscription

from spatia_ros.memory.updates import PointCopy
from spatia_ros.msg import MemoryUpdate
from spatia_ros.nodes import convert_memory, qos
from spatia_ros.types import Float32, SpatiaError, UInt8


class MemoryMirror:
    """The points of a memory, as another node has them.

    Give it a node that is spun; it subscribes, takes in every update, and joins anew when one was lost::

        mirror = MemoryMirror(node, "/world/memory/update")
        xyz, rgb = mirror.points()

    Args:
        node: to subscribe on. topic: of the updates. changed: called after each update, on the executor's thread.
    """

    def __init__(self, node: Node, topic: str = "world/memory/update", changed: Callable[[], None] | None = None) -> None:
        self._node, self._topic, self._changed = node, topic, changed
        self._lock = threading.Lock()
        self._copy = PointCopy()
        self._expected: int | None = None  # the sequence number of the next update; None: waiting for one with clear
        self.stamp_ns, self.frame_id, self.voxel_m = 0, "", 0.0
        self.gaps = 0
        """How often updates were lost, and the copy begun anew."""
        self.error = ""
        """Why the last update could not be used, in words; empty when it could."""
        self._subscription: Subscription | None = self._join()

    def __len__(self) -> int:
        with self._lock:
            return len(self._copy)

    @property
    def started(self) -> bool:
        """Whether the beginning has been seen: before, there is nothing."""
        return self._expected is not None

    @property
    def sequence(self) -> int:
        """The number of the last update taken in; -1: none yet."""
        return -1 if self._expected is None else self._expected - 1

    def points(self) -> tuple[Float32, UInt8]:
        """``(xyz float32 [N, 3], rgb uint8 [N, 3])``, metres in the map, by voxel."""
        with self._lock:
            return self._copy.points()[1:]

    def voxels(self) -> np.ndarray:
        """int32 [N, 3], the voxel of each of :meth:`points`, as the memory numbers them."""
        with self._lock:
            return self._copy.points()[0]

    def close(self) -> None:
        """Listen no more; the copy stays."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _join(self) -> Subscription:
        return qos.subscription(self._node, MemoryUpdate, self._topic, self._on_update, qos.UPDATES)

    def _rejoin(self) -> None:
        self._expected = None
        self.gaps += 1
        self.close()
        self._subscription = self._join()

    def _on_update(self, msg: MemoryUpdate) -> None:
        if not msg.clear and self._expected is None:
            return  # somebody else's middle
        if not msg.clear and msg.sequence != self._expected:
            self._rejoin()
            return
        try:
            update = convert_memory.from_update(msg)
            with self._lock:
                self._copy.apply(update)
            self.error = ""
        except SpatiaError as error:
            self.error = str(error)
            self._rejoin()
            return
        self._expected = msg.sequence + 1
        self.stamp_ns = msg.header.stamp.sec * 1_000_000_000 + msg.header.stamp.nanosec
        self.frame_id, self.voxel_m = msg.header.frame_id, float(msg.voxel_m)
        if self._changed:
            self._changed()
