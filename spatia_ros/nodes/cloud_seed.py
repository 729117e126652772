"""A world that begins with a PointCloud2: the first cloud of a topic becomes its memory."""

from __future__ import annotations

from collections.abc import Callable

from sensor_msgs.msg import PointCloud2

from spatia_ros.formats.cloud_file import Piece, piece_of_fields
from spatia_ros.nodes import convert, convert_cloud, qos
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.health import Health


class CloudSeed:
    """Waits for one cloud in the map's frame.

    Args:
        topic: its name. map_frame: the frame it must be in (z up). take: called once, with its points.
    """

    def __init__(self, endpoints: Endpoints, topic: str, map_frame: str, health: Health, take: Callable[[Piece], None]) -> None:
        self._endpoints, self._topic, self._map_frame, self._take = endpoints, topic, map_frame, take
        callback = health.guard(topic, self._on_cloud)
        # A scanner sends now and perhaps with losses, a map server sent once before we came: both are heard.
        profiles = (qos.SENSOR_IN, qos.LATCHED)
        self._subscriptions = [endpoints.create_subscription(PointCloud2, topic, callback, profile) for profile in profiles]
        self._taken = False

    def _on_cloud(self, msg: PointCloud2) -> None:
        if self._taken:
            return
        if msg.header.frame_id != self._map_frame:
            raise convert.Malformed("frame", f"{self._topic}: expected points in {self._map_frame}, got {msg.header.frame_id!r}")
        piece = piece_of_fields(convert_cloud.from_cloud_fields(msg, self._topic), self._topic)
        self._taken = True
        self._take(piece)
