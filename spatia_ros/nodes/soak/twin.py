"""One of the two worlds of a trial (:mod:`.trial`), as a client sees it: what it publishes, in order, and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nav_msgs.msg import Path as PathMessage
from rclpy.action import ActionClient
from rclpy.node import Node
from sensor_msgs.msg import Image

from spatia_ros.action import NavigateToObject
from spatia_ros.msg import ActorStates, GeneratedFrame
from spatia_ros.nodes import qos
from spatia_ros.types import SpatiaError

LONGEST_WAIT_S, PIECE_S = 120.0, 0.5


class Gone(SpatiaError):
    """The world was killed, as was wanted, while something of it was waited for."""


@dataclass
class Heard:
    """What one world published of the leg in progress, in order."""

    told: list[Any] = field(default_factory=list)
    colour: list[Any] = field(default_factory=list)
    depth: list[Any] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)


def patiently(wait: Callable[[float], bool]) -> bool:
    """Wait in small pieces: while a machine sleeps, or these processes are stopped, patience does not run out."""
    return any(wait(PIECE_S) for _ in range(round(LONGEST_WAIT_S / PIECE_S)))


class Caller:
    """Calls a world's services and actions, and waits for their answers.

    Args:
        node: to call with; somebody else spins it. namespace: the world's.
    """

    def __init__(self, node: Node, namespace: str) -> None:
        self._node, self.namespace, self._clients = node, namespace, dict[str, Any]()
        self.gone = threading.Event()
        """Set when the world is no longer there: nobody waits for it any more."""

    def call(self, kind: type, service: str, **request: Any) -> Any:
        """Call a service and wait for its answer."""
        client = self._client(kind, service)
        if not client.wait_for_service(LONGEST_WAIT_S):
            raise SpatiaError(f"{self.namespace}/{service}: expected the service, it is not there")
        return self._outcome(client.call_async(kind.Request(**request)), service)  # type: ignore[attr-defined]

    def _client(self, kind: type, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._node.create_client(kind, f"{self.namespace}/{service}")
        return self._clients[service]

    def find(self, phrase: str) -> Any:
        """Ask for what a phrase means without going there; the action's result."""
        name = "navigate_to_object"
        if name not in self._clients:
            self._clients[name] = ActionClient(self._node, NavigateToObject, f"{self.namespace}/{name}")
        client = self._clients[name]
        if not client.wait_for_server(LONGEST_WAIT_S):
            raise SpatiaError(f"{self.namespace}/{name}: expected the action, it is not there")
        goal = NavigateToObject.Goal(phrase=phrase, look_only=True)
        handle = self._outcome(self._asked(lambda: client.send_goal_async(goal), name), name)
        return self._outcome(self._asked(handle.get_result_async, name), name).result

    def _asked(self, ask: Callable[[], Any], name: str) -> Any:
        """The future of a request that is sent on the executor's own thread.

        An ActionClient notes a request after it was sent; an answer that another thread takes in between is thrown away.
        """
        return self._outcome(self._node.executor.create_task(ask), name)

    def _outcome(self, future: Any, name: str) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not patiently(lambda s: done.wait(s) or self.gone.is_set()):
            raise SpatiaError(f"{self.namespace}/{name}: expected an answer within {LONGEST_WAIT_S:g} s, got none")
        if not done.is_set():
            raise Gone(f"{self.namespace}/{name}: waited for an answer")
        return future.result()


class Twin(Caller):
    """One of the two worlds, as a client sees it."""

    def __init__(self, node: Node, namespace: str, camera: str, with_actors: bool) -> None:
        super().__init__(node, namespace)
        self._new = threading.Condition()
        self.heard = Heard()
        topics: list[tuple[str, type, str]] = [
            ("told", GeneratedFrame, f"{camera}/color/metadata"), ("colour", Image, f"{camera}/color/image_raw"),
            ("depth", Image, f"{camera}/depth/image_rect"),
        ]  # fmt: skip
        if with_actors:
            topics += [("labels", Image, f"{camera}/segmentation"), ("states", ActorStates, "actors/states")]
        self.topics = [name for name, _, _ in topics]
        self._inputs = [node.create_subscription(t, f"{namespace}/{at}", self._keep(n), qos.SENSOR_OUT) for n, t, at in topics]
        self._go = node.create_publisher(PathMessage, f"{namespace}/cmd_trajectory", qos.COMMAND)

    def _keep(self, name: str) -> Callable[[Any], None]:
        def keep(msg: Any) -> None:
            with self._new:
                getattr(self.heard, name).append(msg)
                self._new.notify_all()

        return keep

    def ready(self) -> bool:
        """Whether the world is there and hears."""
        return self._go.get_subscription_count() > 0 and all(s.get_publisher_count() for s in self._inputs)

    def fly(self, path: PathMessage, meanwhile: Callable[[], None] | None = None) -> Heard:
        """Command a path and wait for all of its frames, whole; something else may be done while they are made."""
        n = len(path.poses)
        self.heard = Heard()
        self._go.publish(path)
        if meanwhile:
            meanwhile()
        with self._new:
            done = patiently(lambda s: self._new.wait_for(lambda: all(len(getattr(self.heard, t)) >= n for t in self.topics), s))
        counts = {t: len(getattr(self.heard, t)) for t in self.topics}
        if not done or set(counts.values()) != {n}:
            raise SpatiaError(f"{self.namespace}: expected {n} frames, got {counts}")
        return self.heard
