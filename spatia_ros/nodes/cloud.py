"""The memory as a latched point cloud, within the limits of its settings."""

from __future__ import annotations

import time
from concurrent.futures import Future

import numpy as np
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from spatia_ros.memory import Memory
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.settings import CloudSettings
from spatia_ros.types import Float32, Float64, Int64


def choose(xyz: Float32, voxel_m: float, max_points: int) -> Int64:
    """Indices [M] of the points to show: one per cube of ``voxel_m`` (0: all), then an even choice of ``max_points``."""
    indices = np.arange(len(xyz))
    if voxel_m > 0:
        cells = np.floor(xyz / voxel_m).astype(np.int64) & 0x1FFFFF  # 21 bits an axis
        indices = np.sort(np.unique(cells[:, 0] << 42 | cells[:, 1] << 21 | cells[:, 2], return_index=True)[1])
    if len(indices) > max_points:
        indices = indices[np.linspace(0, len(indices) - 1, max_points).astype(np.int64)]
    return indices


class CloudOutput:
    """``~/memory/points``: published when the memory changed, somebody listens, and the last cloud is paid for."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._publisher = qos.publisher(endpoints, PointCloud2, "~/memory/points", qos.LATCHED)
        self._shown: object = None
        self._free_at_s = 0.0
        self.pending: Future[None] | None = None

    def is_due(self, version: object) -> bool:
        """Whether a cloud of this version of the memory should be published now."""
        waiting = self.pending is not None and not self.pending.done()
        return not waiting and version != self._shown and time.monotonic() >= self._free_at_s and self.wanted

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return self._publisher.get_subscription_count() > 0

    def publish(self, memory: Memory, version: object, T_map_world: Float64, header: Header, limits: CloudSettings) -> None:
        """Publish the memory, turned into the map (on the thread that owns it)."""
        points = memory.points()
        chosen = choose(points.xyz, limits.voxel_m, limits.max_points)
        xyz = points.xyz[chosen] @ T_map_world[:3, :3].T.astype(np.float32) + T_map_world[:3, 3].astype(np.float32)
        msg = convert.to_cloud(xyz, points.rgb[chosen], header)
        self._publisher.publish(msg)
        self._shown, self._free_at_s = version, time.monotonic() + len(msg.data) / limits.max_bytes_per_s
