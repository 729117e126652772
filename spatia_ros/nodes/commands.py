"""Commands to the rig by topic: each is checked and becomes a motion, and the newest motion is followed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Pose, PoseStamped, PoseWithCovarianceStamped, Twist, TwistStamped
from nav_msgs.msg import Path
from std_msgs.msg import Header

from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.aside import Aside
from spatia_ros.nodes.motion import Drive, Follow, Motion
from spatia_ros.nodes.part import Part

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace


class Commands(Part):
    """The topics ``cmd_pose``, ``cmd_trajectory``, ``cmd_vel`` and ``initialpose``."""

    def __init__(self, face: WorldFace) -> None:
        self._face = face
        twist = TwistStamped if face.settings.motion.twist_stamped else Twist
        topics = (
            (PoseStamped, "cmd_pose", self._on_pose),
            (Path, "cmd_trajectory", self._on_trajectory),
            (twist, "cmd_vel", self._on_twist),
            (PoseWithCovarianceStamped, "initialpose", self._on_initial_pose),
        )
        aside = Aside(face.endpoints, "commands")
        for kind, topic, callback in topics:
            aside.subscription(kind, topic, face.health.guard(topic, callback), qos.COMMAND)
        aside.start()

    def _follow(self, name: str, motion: Motion) -> None:
        self._face.check_commanded(name)
        self._face.worker.follow(motion)

    def _on_pose(self, msg: PoseStamped) -> None:
        self._go_to("cmd_pose", msg.header, msg.pose)

    def _on_initial_pose(self, msg: PoseWithCovarianceStamped) -> None:
        if not np.isfinite(msg.pose.covariance).all():
            raise convert.Malformed("not_finite", "initialpose: expected a finite covariance, got NaN or infinity")
        keep_height = self._face.settings.motion.keep_height
        self._go_to("initialpose", msg.header, msg.pose.pose, teleport=True, keep_height=keep_height)

    def _go_to(self, name: str, header: Header, pose: Pose, teleport: bool = False, keep_height: bool = False) -> None:
        convert.time_ns(header.stamp, f"{name}.header.stamp")
        self._face.rig.check_frame(header.frame_id, name)
        T = convert.from_pose(pose, name)[None]
        self._follow(name, Follow(header.frame_id, np.zeros(1, np.int64), T, teleport, keep_height))

    def _on_trajectory(self, msg: Path) -> None:
        self._face.rig.check_frame(msg.header.frame_id, "cmd_trajectory")
        offsets_ns, T = convert.from_path(msg, self._face.period_ns, "cmd_trajectory")
        self._follow("cmd_trajectory", Follow(msg.header.frame_id, offsets_ns, T))

    def _on_twist(self, msg: TwistStamped | Twist) -> None:
        if isinstance(msg, TwistStamped):
            convert.time_ns(msg.header.stamp, "cmd_vel.header.stamp")
            base = self._face.rig.names.base
            if msg.header.frame_id not in ("", base):
                raise convert.Malformed("frame", f"cmd_vel: expected a velocity in {base}, got {msg.header.frame_id!r}")
            msg = msg.twist
        twist = convert.from_twist(msg, "cmd_vel")
        lasts_s = self._face.settings.motion.twist_timeout_s
        by_clock = self._face.settings.motion.pace == "real_time" and self._face.play.may_start()
        drive = Drive(twist, time.perf_counter() + lasts_s) if by_clock else Drive(twist, lasts_ns=round(lasts_s * 1e9))
        self._follow("cmd_vel", drive)
