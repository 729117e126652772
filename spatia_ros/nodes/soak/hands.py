"""What the player of a soak does to a world with: commands, services, and ears for what comes of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TwistStamped
from nav_msgs.msg import Path
from rclpy.node import Node
from std_msgs.msg import String

from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.soak.checker import EVERY
from spatia_ros.nodes.soak.held import held_by
from spatia_ros.nodes.soak.marks import MARKS, SEEN, Mark
from spatia_ros.nodes.soak.twin import LONGEST_WAIT_S, PIECE_S, Caller, Gone
from spatia_ros.types import Float64, SpatiaError

KEPT = 400
"""Frames remembered."""


class Hands(Caller):
    """Commands a world and waits for what it says; everything that waits ends with :class:`Gone` once ``gone`` is set.

    Args:
        node: to talk with; somebody else spins it.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(node, "")
        self._new = threading.Condition()
        self._marks = 0
        self._seen: set[int] = set()
        self.told = deque[Any](maxlen=KEPT)
        self.poses = deque[Any](maxlen=KEPT)
        self.frames = 0
        """Frames heard, ever."""
        self.status: Any = None  # a SimStatus, once one came
        self.statuses = 0
        self._out = {
            topic: node.create_publisher(kind, f"/{topic}", qos.COMMAND)
            for kind, topic in (
                (PoseStamped, "cmd_pose"), (Path, "cmd_trajectory"), (TwistStamped, "cmd_vel"),
                (PoseWithCovarianceStamped, "initialpose"),
            )
        }  # fmt: skip
        self._mark = node.create_publisher(String, MARKS, EVERY)
        self._inputs = [
            node.create_subscription(GeneratedFrame, "/camera/color/metadata", self._on_frame, EVERY),
            node.create_subscription(PoseStamped, "/pose", self._on_pose, EVERY),
        ]
        node.create_subscription(SimStatus, "/world/status", self._on_status, qos.LATCHED)
        self.resources: dict[str, float] = {}
        """What the world's process holds, by name, as /diagnostics last had it."""
        self._reports = 0
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_report, 10)
        node.create_subscription(String, SEEN, self._on_seen, EVERY)

    def _on_frame(self, msg: GeneratedFrame) -> None:
        with self._new:
            self.told.append(msg)
            self.frames += 1
            self._new.notify_all()

    def _on_pose(self, msg: PoseStamped) -> None:
        with self._new:
            self.poses.append(msg)
            self._new.notify_all()

    def _on_status(self, msg: SimStatus) -> None:
        with self._new:
            self.status, self.statuses = msg, self.statuses + 1
            self._new.notify_all()

    def _on_report(self, msg: DiagnosticArray) -> None:
        held = held_by("world", msg)
        with self._new:
            if held is not None:
                self.resources, self._reports = held, self._reports + 1
            self._new.notify_all()

    def held(self) -> dict[str, float]:
        """What the world's process holds now, by name: it is told once a second."""
        before = self._reports
        self.wait(lambda: self._reports > before, "the diagnostics")
        return dict(self.resources)

    def _on_seen(self, msg: String) -> None:
        with self._new:
            self._seen.add(int(msg.data))
            self._new.notify_all()

    def wait(self, done: Callable[[], Any], what: str, limit_s: float = LONGEST_WAIT_S) -> None:
        """Wait until something is so.

        Raises:
            Gone: when the world was killed. SpatiaError: when it does not become so.
        """
        pieces = max(1, round(limit_s / PIECE_S))
        for _ in range(pieces):  # in pieces: while a machine sleeps, patience does not run out
            with self._new:
                if self._new.wait_for(done, PIECE_S):
                    return
            if self.gone.is_set():
                raise Gone(f"waited for {what}")
        raise SpatiaError(f"expected {what} within {limit_s:g} s")

    def settled(self, quiet_s: float = 1.0) -> None:
        """Wait until nothing moves and everything that was made is here."""

        def still() -> bool:
            return self.status is not None and not self.status.busy and self.frames == frames

        while True:
            frames = self.frames
            self.pause(quiet_s)
            heard = self.statuses
            self.wait(partial(self._later, heard), "the status")
            if still():
                return

    def _later(self, than: int) -> bool:
        return self.statuses > than

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        if self.gone.wait(seconds):
            raise Gone("waited a while")

    def ask(self, kind: Any, service: str, within_s: float) -> Any:
        """Call a service of a world that may not be there yet; None without an answer."""
        client = self._client(kind, service)
        if not client.wait_for_service(within_s):
            return None
        done, future = threading.Event(), client.call_async(kind.Request())
        future.add_done_callback(lambda _: done.set())
        if done.wait(within_s):
            return future.result()
        client.remove_pending_request(future)
        return None

    def forget(self) -> None:
        """The world is gone: what was heard of it says nothing of the next."""
        with self._new:
            self.gone.clear()
            self.status = None
            self.told.clear()
            self.poses.clear()

    def mark(self, kind: str, file: str = "", held: str = "") -> None:
        """Tell the checker what break comes, and wait until it has heard everything before."""
        self._marks += 1
        number = self._marks
        self._mark.publish(String(data=Mark(number, kind, file, held).text()))
        self.wait(lambda: number in self._seen, f"the checker to see {kind!r}")

    def send(self, topic: str, msg: Any) -> None:
        """Publish a command."""
        self._out[topic].publish(msg)

    def meets(self) -> bool:
        """Whether commands are heard and frames would be."""
        return all(out.get_subscription_count() for out in self._out.values()) and all(
            i.get_publisher_count() for i in self._inputs
        )

    def frames_of(self, command: Callable[[], None], count: int, what: str) -> list[Any]:
        """Give a command and wait for so many frames; what is told of each."""
        before = self.frames
        command()
        self.wait(lambda: self.frames >= before + count, f"{count} frames of {what}")
        with self._new:
            return list(self.told)[len(self.told) - (self.frames - before) :][:count]

    def pose_at(self, stamp: Any) -> Float64:
        """Where the rig was at a frame: ``T_map_base``, as the topic ``pose`` has it."""

        def at() -> list[Any]:
            return [p for p in self.poses if p.header.stamp == stamp]

        self.wait(at, "the pose of a frame")
        return convert.from_pose(at()[0].pose)

    def refusals(self, bad: Callable[[], None]) -> int:
        """Send something bad, and by how much the count of refused messages grows (it is told once a second)."""
        assert self.status is not None
        before = self.status.messages_refused
        bad()
        self.wait(lambda: self.status.messages_refused > before, "a refused message to be counted")
        at = self.statuses
        self.wait(lambda: self.statuses > at, "the status")  # what is counted twice would show
        return int(self.status.messages_refused - before)
