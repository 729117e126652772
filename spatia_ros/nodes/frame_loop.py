"""One frame after the other of a motion: when each is due, the world's answer, and what is published of it."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from spatia_ros.nodes.actor_outputs import ActorOutputs
from spatia_ros.nodes.motion import Exposures, Motion, Move, Pace, Stand
from spatia_ros.nodes.outputs import CameraOutputs, RigOutputs, metadata_of
from spatia_ros.types import Step, Trajectory

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace


class FrameLoop:
    """Makes and publishes the frames of a world; all of it on the worker's thread."""

    def __init__(self, face: WorldFace) -> None:
        self._face, settings = face, face.settings
        self.period_ns = round(1e9 / settings.frame_rate_hz)
        face.stamp_ns = max(face.node.get_clock().now().nanoseconds, self.period_ns)
        self._exposures, self._pace = Exposures(self.period_ns, face.stamp_ns), Pace(self._now_s)
        self.made = 0
        self.latencies_ms: deque[float] = deque(maxlen=100)
        camera, optical, endpoints = settings.frames.camera, face.rig.optical, face.endpoints
        self._camera_out = CameraOutputs(endpoints, camera, optical)
        self._rig_out = RigOutputs(endpoints, face.rig, settings)
        self._actor_out = ActorOutputs(endpoints, camera, optical, face.map_frame, face.T_map_world)
        self._rig_out.publish_static(face.stamp_ns)

    def _follows_clock(self) -> bool:
        """Whether time is somebody else's /clock."""
        return self._face.node.get_parameter("use_sim_time").value and not self._face.settings.publish_clock

    def _now_ns(self) -> int:
        return int(self._face.node.get_clock().now().nanoseconds)

    def _now_s(self) -> float:
        return self._now_ns() * 1e-9 if self._follows_clock() else time.monotonic()

    def _ahead_s(self, motion: Motion) -> float:
        ahead_ns = motion.ahead_ns
        if ahead_ns is not None and self._face.settings.motion.pace != "real_time":
            return 0.0
        return (self.period_ns if ahead_ns is None else ahead_ns) * 1e-9

    def pause_s(self, motion: Motion) -> float:
        """Seconds until the next frame of a motion is due."""
        return self._pace.pause_s(self._ahead_s(motion))

    def idle(self) -> Motion | None:
        """What to do when there is nothing to do."""
        return Stand() if self._face.settings.motion.stream and self._face.commanded else None

    def frame(self, motion: Motion) -> bool:
        """Make and publish the next frame of a motion; returns whether there was one."""
        face, ahead_s = self._face, self._ahead_s(motion)
        move = motion.next(face.rig, face.settings.motion, self.period_ns)
        if move is None:
            return False
        self._pace.begin(ahead_s)
        before_ns = self._exposures.last_ns
        stamp_ns = self._exposures.next(move.dt_ns, self._now_ns() if self._follows_clock() else None)
        dt_ns = stamp_ns - before_ns
        at = np.array([face.world.time_ns + dt_ns], np.int64)
        with motion.making(face.world):
            step = face.world.advance(Trajectory(at, face.rig.camera_of(move.T_map_base)[None]))
        face.rig.move(move.T_map_base, dt_ns * 1e-9, move.jump)
        self._publish(step, move, stamp_ns)
        motion.made(face.settings.frames.camera, step, stamp_ns)
        return True

    def _publish(self, step: Step, move: Move, stamp_ns: int) -> None:
        face = self._face
        self._rig_out.publish_clock(stamp_ns)
        framed = face.settings.frames.publish_actor_tf
        self._rig_out.publish(stamp_ns, self._actor_out.transforms(step, stamp_ns) if framed else [])
        total_ms = (time.perf_counter() - move.since_s) * 1e3
        self._camera_out.publish(step, stamp_ns, lambda: metadata_of(step, move, face.world, total_ms))
        self._actor_out.publish(step, stamp_ns)
        self.latencies_ms.append(total_ms)
        self.made += 1
        face.framed(step, move, stamp_ns)

    def repeat_tf(self) -> None:
        """Where the rig is, for who joined since the last frame."""
        self._rig_out.publish_tf(self._face.stamp_ns)
