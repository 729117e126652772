"""``~/memory/update``: what changed in the memory, for who keeps a copy of it."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from rclpy.duration import Duration
from rclpy.impl.implementation_singleton import rclpy_implementation

from spatia_ros.memory.updates import Update, Updates
from spatia_ros.msg import MemoryUpdate
from spatia_ros.nodes import convert, convert_memory, qos
from spatia_ros.nodes.part import Part

if TYPE_CHECKING:
    from spatia_ros.nodes.memory_face import MemoryFace

PERIOD_S = 0.1
OTHERS_SHARE = 4.0
"""Times as long as telling took, the worker is left to its frames."""
PATIENCE_S = 1.0
"""How long listeners are waited for who do not acknowledge a message; some may be dead."""
AT_ONCE = Duration()
POINT_BYTES = 28
"""Of a point in a message: 16 of its own, 12 of its voxel."""


class MemoryUpdates(Part):
    """Tells listeners of the memory everything once, when one joins, and then what changes.

    While nobody listens nothing is computed or kept. One message at a time, of ``update.max_points`` voxels; the next one
    waits until listeners have it, until it is paid for (``update.max_bytes_per_s``), and until the worker has had four times as
    long for its frames. So who is slow by less than a second a message misses none, and DDS holds one or two for it.
    """

    def __init__(self, face: MemoryFace) -> None:
        self._face = face
        self._publisher = qos.publisher(face.endpoints, MemoryUpdate, "~/memory/update", qos.UPDATES, matched=self._matched)
        self._updates: Updates | None = None  # the worker's
        self._joined, self._listeners = 0, 0
        self._served = 0  # how many had joined when everything was last told from the beginning; the worker's
        self._sequence, self._free_at_s, self._sent_s = 0, 0.0, 0.0
        self._pending: Future[None] | None = None
        face.endpoints.create_timer(PERIOD_S, self._offer)

    def deactivate(self) -> None:
        """Nothing is kept for listeners of a node that rests; those that are there then start anew."""
        self._updates = None

    def _matched(self, status: Any) -> None:
        self._joined += max(status.total_count_change, 0)

    def _offer(self) -> None:
        """On the timer: have the worker tell what there is, if anybody listens and the last message is paid for."""
        listeners = self._publisher.get_subscription_count()
        if not qos.TELLS_MATCHES:
            self._joined += max(listeners - self._listeners, 0)
        self._listeners = listeners
        waiting = self._pending is not None and not self._pending.done()
        if waiting or not self._face.active or time.monotonic() < self._free_at_s or not self._arrived():
            return
        if listeners:
            self._pending = self._face.worker.submit(self._face.health.guard("memory/update", self._tell))
        elif self._updates is not None:
            self._pending = self._face.worker.submit(self._forget)

    def _arrived(self) -> bool:
        """Whether all who listen have what was sent last, or have had their time."""
        if time.monotonic() - self._sent_s > PATIENCE_S:
            return True
        try:
            return bool(self._publisher.wait_for_all_acked(AT_ONCE))
        except rclpy_implementation.RCLError:  # a middleware that cannot tell
            return True

    def _forget(self) -> None:
        self._updates = None

    def _tell(self) -> None:
        """Publish the next part of what is not told yet, if there is any (on the worker's thread)."""
        face, joined, began_s = self._face, self._joined, time.monotonic()
        if self._updates is None or joined != self._served:
            self._updates, self._served = Updates(), joined
        if not self._updates.look(face.memory):
            return
        limits = face.settings.update
        update = self._updates.take(face.memory, limits.max_points)
        if update.size or update.clear:
            self._publish(update)
        spent_s = time.monotonic() - began_s
        self._free_at_s = time.monotonic() + max(update.size * POINT_BYTES / limits.max_bytes_per_s, spent_s * OTHERS_SHARE)

    def _publish(self, update: Update) -> None:
        face = self._face
        header = convert.to_header(face.stamp_ns, face.map_frame)
        self._publisher.publish(
            convert_memory.to_update(update, face.T_map_world, face.memory.config.voxel_m, self._sequence, header)
        )
        self._sequence, self._sent_s = self._sequence + 1, time.monotonic()
