"""Fly a running world node along a path: command it, watch the frames go by, and save what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from nav_msgs.msg import Path as PathMessage

from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.srv import SaveMemory, SavePly
from spatia_ros.types import SpatiaError, Trajectory

TOPIC = "cmd_trajectory"
ASK_AGAIN_S = 2.0
"""An answer that has not come by then may have been dropped (see qos.MATCH_S)."""
GIVEN_UP_S = 3.0
"""A node that complains, is not busy, and makes no frame for this long has given the flight up."""


class Failed(SpatiaError):
    """The flight could not be finished; the message says why."""


def path_message(trajectory: Trajectory, rig: Rig) -> PathMessage:
    """The camera path as a path of the rig in the map."""
    poses = [
        PoseStamped(header=convert.to_header(int(stamp_ns), rig.names.map), pose=convert.to_pose(rig.base_of(T)))
        for stamp_ns, T in zip(trajectory.stamps_ns, trajectory.T_world_cam, strict=True)
    ]
    return PathMessage(header=poses[0].header, poses=poses)


class Pilot:
    """One flight.

    Args:
        trajectory: the camera path. rig: how the node's frames are named and mounted.
        patience_s: the longest silence of the node that is not a failure.
        tell: takes each report.
        listeners: who must hear the command, which is said once: the world, and a recorder where there is one.
    """

    def __init__(
        self, trajectory: Trajectory, rig: Rig, patience_s: float, tell: Callable[[dict[str, Any]], None], listeners: int = 1
    ) -> None:
        self.trajectory, self.rig, self.patience_s, self.tell, self.listeners = trajectory, rig, patience_s, tell, listeners
        self.node = rclpy.create_node("pilot")
        self._command = self.node.create_publisher(PathMessage, TOPIC, qos.COMMAND)
        topic = f"{rig.names.camera}/color/metadata"
        self._watch = self.node.create_subscription(GeneratedFrame, topic, self._on_frame, qos.SENSOR_OUT)
        self.node.create_subscription(SimStatus, "world/status", self._on_status, qos.LATCHED)
        self._lifecycle, self._state = self.node.create_client(GetState, "world/get_state"), None
        self._asked_s = 0.0
        self._done, self._heard_s = 0, time.monotonic()
        self._complaint, self._old_complaint = "", ""

    def _on_frame(self, msg: Any) -> None:
        if msg.clip_length != len(self.trajectory):
            return
        self._done, self._heard_s = msg.clip_index + 1, time.monotonic()
        self.tell({"frames": self._done, "of": msg.clip_length, "remembered": round(msg.remembered_ratio, 4)})

    def _on_status(self, msg: SimStatus) -> None:
        self._complaint = "" if msg.busy else msg.message

    def fly(self) -> None:
        """Command the path and wait for its last frame.

        Raises:
            Failed: when no node takes commands, or it gives up (in its own words), or falls silent.
        """
        self._wait(lambda: self._command.get_subscription_count() and self._watch.get_publisher_count(), "a world node")
        listeners = self.listeners
        self._wait(lambda: self._command.get_subscription_count() >= listeners, f"{listeners} listeners of {TOPIC}")
        self._wait(self._is_active, "an active world node")
        self._spin(qos.MATCH_S)
        self._old_complaint, self._heard_s = self._complaint, time.monotonic()
        self._command.publish(path_message(self.trajectory, self.rig))
        while self._done < len(self.trajectory):
            self._wait(partial(self._past, self._done), f"frame {self._done + 1} of {len(self.trajectory)}")

    def _past(self, frames: int) -> bool:
        return self._done > frames

    def _is_active(self) -> bool:
        """Whether the node takes commands by now: asked again and again while it configures and warms up."""
        if self._state is not None and self._state.done():
            if self._state.result().current_state.id == State.PRIMARY_STATE_ACTIVE:
                return True
            self._state = None
        if self._state is not None and time.monotonic() - self._asked_s > ASK_AGAIN_S:
            self._lifecycle.remove_pending_request(self._state)
            self._state = None
        if self._state is None and self._lifecycle.service_is_ready():
            self._state, self._asked_s = self._lifecycle.call_async(GetState.Request()), time.monotonic()
        return False

    def save(self, kind: Any, service: str, path: str) -> None:
        """Have the node write a file.

        Raises:
            Failed: when it cannot, in its own words.
        """
        client = self.node.create_client(kind, service)
        self._heard_s = time.monotonic()
        self._wait(client.service_is_ready, f"the service {service}")
        self._spin(qos.MATCH_S)
        answer = client.call_async(kind.Request(path=path))
        self._wait(answer.done, f"an answer of {service}")
        if not answer.result().success:
            raise Failed(f"{service}: {answer.result().message}")
        self.tell({"saved": path, "points": answer.result().points})

    def _wait(self, done: Callable[[], Any], what: str) -> None:
        while not done():
            self._spin(0.05)
            silence_s = time.monotonic() - self._heard_s
            if self._complaint not in ("", self._old_complaint) and silence_s > GIVEN_UP_S:
                raise Failed(f"expected {what}, the node says: {self._complaint}")
            if silence_s > self.patience_s:
                raise Failed(f"expected {what} within {self.patience_s:g} s, got silence")

    def _spin(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            rclpy.spin_once(self.node, timeout_sec=left)


def fly(pilot: Callable[[], Pilot], save: str, save_ply: str) -> None:
    """Fly a path, then have the node save its memory and its points where files are named.

    Args:
        pilot: makes who flies, once ROS is there.

    Raises:
        Failed: when not every frame was made or a file not written.
    """
    rclpy.init()
    try:
        flying = pilot()
        flying.fly()
        for kind, service, path in ((SaveMemory, "memory/save", save), (SavePly, "memory/save_ply", save_ply)):
            if path:
                flying.save(kind, service, path)
    finally:
        rclpy.try_shutdown()
