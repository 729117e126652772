"""What a configured node has open on the graph, and how all of it is closed again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer
from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Timer

RESULT_KEPT_S = 60
"""rclpy's fifteen minutes of results, with a path in each, are a lot to hold."""


class Server(ActionServer):
    """An action server that can be taken down while an executor gathers what to wait for.

    rclpy leaves out what is gone by then, and adds it to the wait set all the same; the error ends its spin, and the node.
    """

    _gone = False

    def destroy(self) -> None:
        """Take the action down."""
        self._gone = True
        super().destroy()

    def add_to_wait_set(self, wait_set: Any) -> None:
        """Part of what an executor waits for, as long as it is there."""
        if not self._gone:
            super().add_to_wait_set(wait_set)

    def is_ready(self, wait_set: Any) -> bool:
        """Whether there is something to do."""
        return not self._gone and bool(super().is_ready(wait_set))


class Endpoints:
    """Creates on a node what a part needs, with the node's own methods and arguments, and remembers to destroy it.

    Pass it to :mod:`.qos` in the node's place: ``qos.publisher(endpoints, Image, "image", qos.SENSOR_OUT)``.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        # Not the node's own group: rclpy forgets no member of a group, so this one goes with its members.
        self._group = MutuallyExclusiveCallbackGroup()
        self._undo: dict[Any, Callable[[], object]] = {}
        self._lock = threading.Lock()

    def create_publisher(self, kind: type, topic: str, profile: Any, **options: Any) -> Publisher:
        """A publisher."""
        return self._keep(self.node.create_publisher(kind, topic, profile, **self._grouped(options)), self.node.destroy_publisher)

    def create_subscription(
        self, kind: type, topic: str, callback: Callable[[Any], None], profile: Any, **options: Any
    ) -> Subscription:
        """A subscription."""
        made = self.node.create_subscription(kind, topic, callback, profile, **self._grouped(options))
        return self._keep(made, self.node.destroy_subscription)

    def create_service(self, kind: type, name: str, answer: Callable[[Any, Any], Any], **options: Any) -> Service:
        """A service."""
        return self._keep(self.node.create_service(kind, name, answer, **self._grouped(options)), self.node.destroy_service)

    def create_client(self, kind: type, name: str, **options: Any) -> Client:
        """A client of a service."""
        return self._keep(self.node.create_client(kind, name, **self._grouped(options)), self.node.destroy_client)

    def create_timer(self, period_s: float, callback: Callable[[], None], group: CallbackGroup | None = None) -> Timer:
        """A timer of wall time, which no simulated clock stops."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        return self._keep(self.node.create_timer(period_s, callback, group or self._group, clock), self.node.destroy_timer)

    def action(self, kind: type, name: str, execute: Callable[[Any], Any], **options: Any) -> ActionServer:
        """An action; what came of a goal is kept for a while, for who asks late."""
        made = Server(self.node, kind, name, execute, result_timeout=RESULT_KEPT_S, **self._grouped(options))
        return self._keep(made, Server.destroy)

    def _grouped(self, options: dict[str, Any]) -> dict[str, Any]:
        return options | {"callback_group": options.get("callback_group") or self._group}

    def keep(self, thing: Any, undo: Callable[[], object]) -> Any:
        """Remember how to undo something else: a thread to end, a file to close."""
        with self._lock:
            self._undo[thing] = undo
        return thing

    def destroy(self, endpoint: Any) -> None:
        """Close one of them before the others; one that is closed already stays so."""
        with self._lock:
            undo = self._undo.pop(endpoint, None)
        if undo is not None:
            undo()

    def close(self) -> None:
        """Undo everything, the newest first.

        Raises:
            Exception: the first that one of them raised, once all were tried.
        """
        errors = []
        for thing in reversed(list(self._undo)):
            try:
                self.destroy(thing)
            except Exception as error:  # the others are to be closed all the same
                errors.append(error)
        if errors:
            raise errors[0]

    def _keep(self, endpoint: Any, destroy: Callable[[Any], object]) -> Any:
        return self.keep(endpoint, lambda: destroy(endpoint))
