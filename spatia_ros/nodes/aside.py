"""Subscriptions that a thread of their own waits for.

rclpy's executor gathers all of a node's services, timers and events again whenever anything happens, and holds Python's
lock for it, before and after each message: the longer, the larger the node. A command does not wait for that here.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from spatia_ros.nodes import qos
from spatia_ros.nodes.endpoints import Endpoints


class _OnThread(CallbackGroup):
    """Callbacks that only one thread may run, so that the node's executor passes them over."""

    thread: threading.Thread | None = None

    def can_execute(self, entity: Any) -> bool:  # noqa: ARG002
        """Whether it is this thread that asks."""
        return threading.current_thread() is self.thread

    def beginning_execution(self, entity: Any) -> bool:  # noqa: ARG002
        """One thread runs one callback at a time."""
        return True

    def ending_execution(self, entity: Any) -> None:
        """Nobody waits for it."""


class _Some:
    """As much of a node as an executor asks for, with nothing in it but some subscriptions and their events."""

    executor: Any = None

    def __init__(self, subscriptions: list[Subscription]) -> None:
        self.subscriptions = subscriptions
        self.waitables = [handler for each in subscriptions for handler in each.event_handlers]
        self.timers: tuple[Any, ...] = ()
        self.clients = self.services = self.guards = self.timers


class Aside:
    """A thread and its subscriptions, from :meth:`start` until the endpoints they are opened on are closed."""

    def __init__(self, endpoints: Endpoints, name: str) -> None:
        self._endpoints, self._group = endpoints, _OnThread()
        self._subscriptions: list[Subscription] = []
        self._closed = False
        self._executor = SingleThreadedExecutor(context=endpoints.node.context)
        self._thread = self._group.thread = threading.Thread(target=self._spin, name=name, daemon=True)

    def subscription(self, kind: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile) -> None:
        """A subscription that is answered on the thread."""
        self._subscriptions.append(qos.subscription(self._endpoints, kind, topic, callback, profile, self._group))

    def start(self) -> None:
        """Begin to take messages."""
        self._executor.add_node(_Some(self._subscriptions))
        self._thread.start()
        self._endpoints.keep(self, self._close)

    def _spin(self) -> None:
        context = self._endpoints.node.context
        while not self._closed and context.ok():
            try:
                with contextlib.suppress(ExternalShutdownException, InvalidHandle):
                    self._executor.spin()
            except rclpy_implementation.RCLError:
                # An interrupt that comes while the executor gathers what to wait for takes the context from under it.
                if context.ok():
                    raise

    def _close(self) -> None:
        self._closed = True
        self._executor.shutdown()
        self._thread.join()
