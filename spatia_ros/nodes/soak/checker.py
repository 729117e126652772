"""The checker of ``spatia ros soak``: a process of its own that hears all a world says, and holds it against what is promised.

It commands nothing and knows nothing of what was commanded but the marks that the player sets (:mod:`.marks`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from spatia_ros.formats.cloud_file import read_pieces
from spatia_ros.msg import GeneratedFrame, MemoryUpdate, SimStatus
from spatia_ros.nodes import qos
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.settings import FrameSettings
from spatia_ros.nodes.soak.frames import FrameRules
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.nodes.soak.map import MapCopy, compared
from spatia_ros.nodes.soak.marks import ALIVE, DOOMED, END, FLUSHED, GONE, MAP, MARKS, PLACE, SEEN, SYNC, TIME, Mark
from spatia_ros.types import Float32, SpatiaError, UInt8

EVERY = QoSProfile(depth=500, reliability=ReliabilityPolicy.RELIABLE)
"""A checker must not be the one who loses messages."""
QUIET_S = 0.4
"""After so long without a message everything said before a mark is here."""
SILENCE_S = 15.0
"""A living world's status comes once a second; on a busy machine later, but not this much."""


class Checker:
    """Hears a world and judges it.

    Args:
        node: to subscribe with. ledger: where what does not hold is noted. map_up: the world's parameter frames.map_up.
        period_ns: time between frames. folder: the world's data folder.
    """

    def __init__(self, node: Node, ledger: Ledger, map_up: str, period_ns: int, folder: Path) -> None:
        self._node, self.ledger, self._folder = node, ledger, folder
        self._rig = Rig(FrameSettings(map_up=map_up))
        self.frames, self.map, self.status = FrameRules(ledger, self._rig, period_ns), MapCopy(ledger), StatusRules(ledger)
        self._waiting: list[Mark] = []
        self._heard_s = time.monotonic()
        self.ended = False
        camera = self._rig.names.camera
        take, topics = self.frames.take, ("color/image_raw", "color/camera_info", "depth/image_rect", "depth/camera_info")
        for name, kind, topic in zip(
            ("colour", "colour_info", "depth", "depth_info"), (Image, CameraInfo) * 2, topics, strict=True
        ):
            self._hear(kind, f"{camera}/{topic}", partial(take, name))
        self._hear(GeneratedFrame, f"{camera}/color/metadata", partial(take, "told"))
        self._hear(PoseStamped, "pose", partial(take, "pose"))
        self._hear(Odometry, "odom", partial(take, "odom"))
        self._hear(TFMessage, "/tf", self.frames.take_tf)
        self._hear(TFMessage, "/tf_static", partial(self.frames.take_tf, static=True), qos.TF_STATIC_IN)
        self._hear(MemoryUpdate, "world/memory/update", self.map.apply)
        self._hear(SimStatus, "world/status", self.status.take, qos.LATCHED)
        self._seen = node.create_publisher(String, SEEN, EVERY)
        node.create_subscription(String, MARKS, lambda msg: self._waiting.append(Mark.of(msg.data)), EVERY)
        node.create_timer(QUIET_S / 2, self._tick)

    def _hear(self, kind: type, topic: str, take: Callable[[Any], None], profile: QoSProfile = EVERY) -> None:
        def heard(msg: Any) -> None:
            self._heard_s = time.monotonic() if kind is not SimStatus else self._heard_s
            try:
                take(msg)
            except SpatiaError as error:  # a message of ours that our own reader refuses
                self.ledger.expect(False, f"{topic}: {error}")

        self._node.create_subscription(kind, topic, heard, profile)

    def _tick(self) -> None:
        self.status.look()
        quiet = time.monotonic() - self._heard_s > QUIET_S
        while self._waiting and (quiet or self._waiting[0].kind in (DOOMED, GONE)):
            mark = self._waiting.pop(0)
            self._break(mark)
            self._seen.publish(String(data=str(mark.number)))

    def _break(self, mark: Mark) -> None:
        self.ledger.counts[f"mark: {mark.kind}"] += 1
        if mark.kind == SYNC:
            self.ledger.expect(self.frames.settled, "frames: some are half there though nothing moves")
            self.status.settle(self.frames.heard)
        elif mark.kind == DOOMED:
            self.status.alive = False
        elif mark.kind in (GONE, ALIVE):
            self.frames.end(killed=True, stamps_fall=False)
            self.frames.deaf = mark.kind == GONE
            self.status.begin()
            if mark.kind == GONE:
                self.map.forget()
        elif mark.kind in (TIME, PLACE):
            self.frames.end(killed=False, stamps_fall=mark.kind == TIME)
        elif mark.kind == MAP:
            xyz, rgb = self._points(mark.file)
            self.map.compare(xyz, rgb)
        elif mark.kind == FLUSHED:
            said = compared(*self._points(mark.file), *self._points(mark.held))
            self.ledger.expect(not said, f"after a kill: {said} (what came back, and what was flushed)")
            self.ledger.counts["restarts compared"] += 1
        self.ended |= mark.kind == END

    def _points(self, file: str) -> tuple[Float32, UInt8]:
        """The points of a PLY file, in the map; none where it has none."""
        pieces = list(read_pieces(self._folder / file))
        xyz = np.concatenate([np.empty((0, 3)), *(piece.xyz for piece in pieces)])
        rgb = np.concatenate([np.empty((0, 3), np.uint8), *(piece.rgb for piece in pieces if piece.rgb is not None)])
        T = self._rig.T_map_world
        return (xyz @ T[:3, :3].T + T[:3, 3]).astype(np.float32), rgb

    def report(self) -> dict[str, Any]:
        """The figures so far."""
        return {"counts": dict(sorted(self.ledger.counts.items())), "wrong": self.ledger.wrong}


class StatusRules:
    """What ``~/status`` promises: it comes, its counts only grow, its figures are possible."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._last: Any = None
        self._counted: tuple[int, int] | None = None  # frames told, frames heard, when nothing moved
        self._at_s = time.monotonic()
        self.alive = False
        """Whether silence is a fault."""

    def take(self, msg: Any) -> None:
        """One status."""
        self._ledger.counts["statuses"] += 1
        expect, last = self._ledger.expect, self._last
        figures = (msg.frame_ms, msg.frame_ms_p99, msg.jitter_ms, msg.rate_hz)
        expect(all(math.isfinite(f) and f >= 0.0 for f in figures), f"status: frame_ms, p99, jitter, rate {figures}")
        known = msg.mode in (msg.MAPPING, msg.GENERATING, msg.FROZEN) and msg.quality <= msg.LOWER_RATE
        expect(
            known and msg.header.frame_id == "map", f"status: mode {msg.mode} quality {msg.quality} in {msg.header.frame_id!r}"
        )
        if last is not None and self.alive:
            for name in ("frames", "commands_dropped", "messages_refused", "frames_late", "checkpoint"):
                before, now = getattr(last, name), getattr(msg, name)
                expect(now >= before, f"status: {name} fell from {before} to {now}")
        self._last, self._at_s = msg, time.monotonic()

    def look(self) -> None:
        """Whether it comes at all."""
        silent_s = time.monotonic() - self._at_s
        if self.alive and silent_s > SILENCE_S:
            self._ledger.expect(False, f"status: silent for {silent_s:.0f} s")
            self._at_s = time.monotonic()

    def settle(self, heard: int) -> None:
        """Nothing moves: as many frames were heard since the last such moment as the status counted."""
        if self._last is None:
            return
        if self.alive and self._counted is not None:
            before, heard_before = self._counted
            made, got = self._last.frames - before, heard - heard_before
            self._ledger.expect(made == got, f"frames: the status counts {made} more, {got} were heard")
        self._counted = self._last.frames, heard
        self.alive = True

    def begin(self) -> None:
        """The world is there anew."""
        self._last, self._counted, self._at_s, self.alive = None, None, time.monotonic(), False
