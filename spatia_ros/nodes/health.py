"""What went wrong, counted by reason: in the log once a second at most, in /diagnostics, in the status."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import QoSProfile

from spatia_ros.nodes import qos
from spatia_ros.types import SpatiaError


class Health:
    """Counts refusals and failures of one node and reports them.

    A malformed message is dropped and counted here; it never reaches the world, and the node goes on.
    """

    def __init__(self, node: Node) -> None:
        self._node, self._lock = node, threading.Lock()
        self._publisher = qos.publisher(node, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self.refused: Counter[str] = Counter()
        """By ``topic: reason``."""
        self.failed = 0
        self.message = ""
        """The last refusal or failure in words."""
        self._reported = (0, 0)

    def refuse(self, topic: str, error: SpatiaError) -> None:
        """Count a dropped message."""
        with self._lock:
            self.refused[f"{topic}: {getattr(error, 'reason', 'invalid')}"] += 1
            self.message = str(error)
        self._node.get_logger().warning(f"dropped: {error}", throttle_duration_sec=1.0)

    def fail(self, what: str, error: BaseException) -> str:
        """Count something that should have worked; returns it in words."""
        with self._lock:
            self.failed += 1
            self.message = f"{what}: {error}" if isinstance(error, SpatiaError) else f"{what}: {type(error).__name__}: {error}"
        self._node.get_logger().error(self.message, throttle_duration_sec=1.0)
        return self.message

    @property
    def refusals(self) -> int:
        """Messages dropped since the node started."""
        return sum(self.refused.values())

    def guard(self, topic: str, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """A subscription's callback that drops and counts what it refuses."""

        @functools.wraps(callback)
        def guarded(msg: Any) -> None:
            try:
                callback(msg)
            except SpatiaError as error:
                self.refuse(topic, error)

        return guarded

    def report(self, figures: dict[str, Any]) -> None:
        """Publish the state: error after a failure, warning after a refusal since the last report, else ok."""
        with self._lock:
            before, self._reported = self._reported, (self.refusals, self.failed)
            refused, failed = dict(self.refused), self.failed
        fresh = self._reported != before
        level = DiagnosticStatus.ERROR if failed > before[1] else DiagnosticStatus.WARN if fresh else DiagnosticStatus.OK
        values = {**figures, "failed": failed, **{f"refused {k}": v for k, v in sorted(refused.items())}}
        status = DiagnosticStatus(
            level=level, name=self._node.get_fully_qualified_name()[1:], message=self.message if fresh else "ok",
            values=[KeyValue(key=k, value=str(v)) for k, v in values.items()],
        )  # fmt: skip
        msg = DiagnosticArray(status=[status])
        msg.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(msg)
