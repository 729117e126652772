"""One frame after the other of a motion: when each is due, the world's answer, and what is published of it."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes.actor_outputs import ActorOutputs
from spatia_ros.nodes.deadline import Rung
from spatia_ros.nodes.motion import Exposures, Motion, Move, Pace, Stand
from spatia_ros.nodes.relief import Relief
from spatia_ros.nodes.rig.frames import RigPose
from spatia_ros.nodes.rig.outputs import RigOutputs, metadata_of
from spatia_ros.nodes.rig.views import Instant, RigViews
from spatia_ros.types import Step, Trajectory

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

MOST_A_SECOND = 1000
"""Frames whose time is kept to say the rate: no node makes more."""


class FrameLoop:
    """Makes and publishes the frames of a world; all of it on the worker's thread."""

    def __init__(self, face: WorldFace) -> None:
        self._face, settings = face, face.settings
        self.period_ns = round(1e9 / settings.frame_rate_hz)
        face.stamp_ns = max(face.node.get_clock().now().nanoseconds, self.period_ns)
        self._exposures, self._pace = Exposures(self.period_ns, face.stamp_ns), Pace(self._now_s)
        self._framed: RigPose | None = None  # where the rig was at the newest frame
        self.made = 0
        self.relief = Relief(lambda: face.settings.deadline, self._tell)
        self.relief.prepare(face.world)
        self._published_s: deque[float] = deque(maxlen=MOST_A_SECOND)
        self.latencies_ms: deque[float] = deque(maxlen=100)
        self._views = RigViews(face)
        self._rig_out = RigOutputs(face.endpoints, face.rig, settings)
        self._actor_out = ActorOutputs(face.endpoints, face.map_frame, face.T_map_world)
        self._rig_out.publish_static(face.stamp_ns)

    def _tell(self, line: str, warning: bool) -> None:
        log = self._face.node.get_logger()
        log.warning(line) if warning else log.info(line)

    @property
    def follows_clock(self) -> bool:
        """Whether time is somebody else's /clock."""
        return self._face.node.get_parameter("use_sim_time").value and not self._face.settings.publish_clock

    def _now_ns(self) -> int:
        return int(self._face.node.get_clock().now().nanoseconds)

    def _now_s(self) -> float:
        return self._now_ns() * 1e-9 if self.follows_clock else time.monotonic()

    @property
    def paced(self) -> bool:
        """Whether frames wait until they are due."""
        return self._face.settings.motion.pace == "real_time" and not self._face.play.stepping

    def _ahead_s(self, motion: Motion) -> float:
        if not (self.paced or (self.follows_clock and motion.ahead_ns is None)):
            return 0.0
        return (self._stride_ns if motion.ahead_ns is None else motion.ahead_ns) * 1e-9

    @property
    def _stride_ns(self) -> int:
        """From one frame to the next of a motion without a timing of its own."""
        return self.period_ns * self.relief.rung.every

    def pause_s(self, motion: Motion) -> float:
        """Seconds until the next frame of a motion is due."""
        return self._pace.pause_s(self._ahead_s(motion))

    def idle(self) -> Motion | None:
        """What to do when there is nothing to do."""
        return Stand() if self._face.settings.motion.stream and self._face.commanded else None

    def frame(self, motion: Motion) -> bool:
        """Make and publish the next frame of a motion; returns whether there was one.

        It is published as soon as its pixels are done; then memory takes it up.
        """
        face, ahead_s = self._face, self._ahead_s(motion)
        rung = self.relief.prepare(face.world, motion.gives_way)
        move = motion.next(face.rig, face.settings.motion, self._stride_ns)
        if move is None:
            return False
        self._pace.begin(ahead_s)
        began_s, before_ns = self._now_s(), self._exposures.last_ns
        stamp_ns = self._exposures.next(move.dt_ns, self._now_ns() if self.follows_clock else None, rung.every)
        dt_ns, period_s = stamp_ns - before_ns, ahead_s / rung.every or self.period_ns * 1e-9
        at = np.array([face.world.time_ns + dt_ns], np.int64)
        instant = self._instant(move, stamp_ns, dt_ns, rung)

        def shown(step: Step) -> None:
            face.rig.move(move.T_map_base, dt_ns * 1e-9, move.jump)
            self._framed = face.rig.pose
            self._publish(step, instant)
            if self.paced:
                self._pace.published(period_s * rung.every)

        with motion.making(face.world), self.relief.drawing(face.world, rung):
            step = face.world.advance(Trajectory(at, face.rig.camera_of(move.T_map_base)[None]), shown=shown)
            made = {face.rig.first.name: step} | self._views.others(step.index, instant, motion.cameras)
        face.framed(step, move, stamp_ns)
        for camera, each in made.items():
            motion.made(camera, each, stamp_ns)
        if self.paced and motion.gives_way:
            self.relief.took(self._now_s() - began_s, period_s)
            motion.skip(self.relief.rung.every - 1)
        return True

    def _instant(self, move: Move, stamp_ns: int, dt_ns: int, rung: Rung) -> Instant:
        """What all cameras of the rig have in common at a frame."""
        face, pose = self._face, self._face.rig.pose
        before = pose.T_map_base if pose is self._framed and not move.jump else None

        def metadata(step: Step, total_ms: float) -> GeneratedFrame:
            return metadata_of(step, move, face.world, total_ms, rung)

        return Instant(stamp_ns, dt_ns * 1e-9, move.since_s, before, metadata)

    def _publish(self, step: Step, instant: Instant) -> None:
        face, stamp_ns = self._face, instant.stamp_ns
        face.rig.take(face.settings.frames)
        self._rig_out.publish_clock(stamp_ns)
        framed = face.settings.frames.publish_actor_tf
        self._rig_out.publish(stamp_ns, self._actor_out.transforms(step, stamp_ns) if framed else [])
        picture = self._views.first(step, instant)
        self._rig_out.publish_path(stamp_ns)
        self._actor_out.publish(picture, stamp_ns)
        self.latencies_ms.append((time.perf_counter() - instant.since_s) * 1e3)
        self._published_s.append(time.monotonic())
        self.made += 1

    def fill(self, status: SimStatus) -> None:
        """Set how fast frames come, how punctually, and what has given way for that."""
        latencies_ms, rung = list(self.latencies_ms) or [0.0], self.relief.rung
        status.frames = self.made
        status.frame_ms, status.frame_ms_p99 = (float(v) for v in np.percentile(latencies_ms, (50, 99)))
        status.rate_hz = float(sum(time.monotonic() - 1.0 < at for at in list(self._published_s)))
        status.jitter_ms, status.frames_late = self._pace.jitter_s * 1e3, self._pace.late
        status.quality, status.sampling_steps = rung.quality, rung.steps

    def repeat_tf(self) -> None:
        """Where the rig is, for who joined since the last frame; not where it was put since then without one."""
        self._face.rig.take(self._face.settings.frames)
        if self._framed is None or self._framed is self._face.rig.pose:
            self._rig_out.publish_tf(self._face.stamp_ns)

    def go_back(self, stamp_ns: int) -> None:
        """Begin again at a time; where time is somebody else's /clock, at that clock's."""
        stamp_ns = max(self._now_ns(), self.period_ns) if self.follows_clock else stamp_ns
        self._exposures.last_ns = self._face.stamp_ns = stamp_ns
        self._framed = None
        self._rig_out.forget()
