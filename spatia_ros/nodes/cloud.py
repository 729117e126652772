"""The memory as a latched point cloud, within the limits of its settings."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from spatia_ros.memory import Memory
from spatia_ros.memory.thinned import even_choice, thinned
from spatia_ros.nodes import convert_cloud, qos
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.health import Health
from spatia_ros.nodes.settings import CloudSettings
from spatia_ros.types import Float32, Float64, Int64, UInt8


def choose(xyz: Float32, voxel_m: float, max_points: int) -> Int64:
    """Indices [M] of the points to show: one per cube of ``voxel_m`` (0: all), then an even choice of ``max_points``."""
    indices: Int64 = np.arange(len(xyz))
    if voxel_m > 0:
        cells = np.floor(xyz / voxel_m).astype(np.int64) & 0x1FFFFF  # 21 bits an axis
        indices = np.sort(np.unique(cells[:, 0] << 42 | cells[:, 1] << 21 | cells[:, 2], return_index=True)[1])
    return indices[even_choice(len(indices), max_points)]


def turned(xyz: Float32, T: Float64) -> Float32:
    """Points [N, 3] in another frame, column by column: a matrix product of three columns wakes every core for nothing."""
    R, t = T[:3, :3].astype(np.float32), T[:3, 3].astype(np.float32)
    columns = [xyz[:, 0] * R[i, 0] + xyz[:, 1] * R[i, 1] + xyz[:, 2] * R[i, 2] + t[i] for i in range(3)]
    return np.stack(columns, -1)


class CloudOutput:
    """``~/memory/points``: published when the memory changed, somebody listens, and the last cloud is paid for.

    The thread that owns the memory copies the points out; the message is made and published on a thread of its own, so
    that no frame waits for it.
    """

    def __init__(self, endpoints: Endpoints, health: Health) -> None:
        self._publisher = qos.publisher(endpoints, PointCloud2, "~/memory/points", qos.LATCHED)
        self._health = health
        self._thread = endpoints.keep(ThreadPoolExecutor(1, "cloud"), lambda: self._thread.shutdown())
        self._shown: object = None
        self._free_at_s = 0.0
        self._making: Future[None] | None = None
        self.pending: Future[None] | None = None

    def is_due(self, version: object) -> bool:
        """Whether a cloud of this version of the memory should be published now."""
        waiting = any(work is not None and not work.done() for work in (self.pending, self._making))
        return not waiting and version != self._shown and time.monotonic() >= self._free_at_s and self.wanted

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return self._publisher.get_subscription_count() > 0

    def publish(self, memory: Memory, version: object, T_map_world: Float64, header: Header, limits: CloudSettings) -> None:
        """Publish the memory, turned into the map (on the thread that owns it; the cloud follows from another)."""
        xyz, rgb = thinned(memory, limits.max_points if limits.voxel_m == 0 else len(memory))
        make = self._health.guard("memory/points", lambda: self._make(xyz, rgb, T_map_world, header, limits))
        self._shown, self._making = version, self._thread.submit(make)

    def _make(self, xyz: Float32, rgb: UInt8, T_map_world: Float64, header: Header, limits: CloudSettings) -> None:
        if limits.voxel_m > 0:
            chosen = choose(xyz, limits.voxel_m, limits.max_points)
            xyz, rgb = xyz[chosen], rgb[chosen]
        msg = convert_cloud.to_cloud(turned(xyz, T_map_world), rgb, header)
        self._publisher.publish(msg)
        self._free_at_s = time.monotonic() + len(msg.data) / limits.max_bytes_per_s
