"""Where the rig is, as it is published with each frame, and what is told of a frame beyond its pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from geometry_msgs.msg import PoseStamped, TransformStamped
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage

from spatia_ros.msg import GeneratedFrame
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.deadline import Rung
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.motion import Move
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.settings import WorldSettings
from spatia_ros.types import Step
from spatia_ros.world import World


def offer(publisher: Publisher, make: Callable[[], Any]) -> None:
    """Publish what ``make`` returns, if anybody wants it."""
    if publisher.get_subscription_count():
        publisher.publish(make())


class RigOutputs:
    """Where the rig is and was: /tf, odom, pose, path, and /clock where this node is its source."""

    def __init__(self, endpoints: Endpoints, rig: Rig, settings: WorldSettings) -> None:
        self._rig, self._static = rig, settings.rig.publish_static
        self._tf = qos.publisher(endpoints, TFMessage, "/tf", qos.TF)
        self._tf_static = qos.publisher(endpoints, TFMessage, "/tf_static", qos.LATCHED)
        self._odom = qos.publisher(endpoints, Odometry, "odom", qos.SENSOR_OUT)
        self._pose = qos.publisher(endpoints, PoseStamped, "pose", qos.SENSOR_OUT)
        self._path = qos.publisher(endpoints, PathMessage, "path", qos.SENSOR_OUT)
        self._clock = qos.publisher(endpoints, Clock, "/clock", qos.SENSOR_OUT) if settings.publish_clock else None
        self._poses: deque[PoseStamped] = deque(maxlen=settings.path_poses)

    def publish_static(self, stamp_ns: int) -> None:
        """Latch how the cameras are mounted, unless somebody else does."""
        if self._static:
            self._tf_static.publish(TFMessage(transforms=self._rig.static_transforms(stamp_ns)))

    def publish_clock(self, stamp_ns: int) -> None:
        """The simulated time, where this node is its source."""
        if self._clock:
            self._clock.publish(Clock(clock=convert.to_time(stamp_ns)))

    def forget(self) -> None:
        """Begin the path anew."""
        self._poses.clear()

    def publish_tf(self, stamp_ns: int, others: Sequence[TransformStamped] = ()) -> None:
        """The rig's pose at a time for tf, and what else has a frame."""
        self._tf.publish(TFMessage(transforms=[*self._rig.transforms(stamp_ns), *others]))

    def publish(self, stamp_ns: int, others: Sequence[TransformStamped] = ()) -> None:
        """The rig's pose at a time, which is the pose that the image of this stamp was made from: before the image."""
        self.publish_tf(stamp_ns, others)
        offer(self._odom, lambda: self._rig.odometry(stamp_ns))

    def publish_path(self, stamp_ns: int) -> None:
        """The same as a pose in the map, and the way there: after the image, which need not wait for them."""
        header = convert.to_header(stamp_ns, self._rig.names.map)
        pose = PoseStamped(header=header, pose=convert.to_pose(self._rig.pose.T_map_base))
        offer(self._pose, lambda: pose)
        self._poses.append(pose)
        offer(self._path, lambda: PathMessage(header=header, poses=list(self._poses)))


def metadata_of(step: Step, move: Move, world: World, total_ms: float, rung: Rung) -> GeneratedFrame:
    """What is known of a frame beyond its pixels; header, camera and mean confidence are the publisher's.

    Args:
        total_ms: from the command to now. rung: how the frame was made.
    """
    figures, engine = step.figures, getattr(world.generator, "engine", None)
    return GeneratedFrame(
        step=step.index, clip_index=move.index, clip_length=move.length, seed=step.seed,
        animation_s=float(step.animation_s[0]), actors=len(step.actors[0]),
        remembered_ratio=figures["remembered_ratio"],
        render_ms=figures["render_ms"], generate_ms=figures["generate_ms"], actors_ms=figures["actors_ms"],
        total_ms=total_ms, quality=rung.quality, sampling_steps=rung.steps,
        model=world.generator.name, engine_sha256=getattr(engine, "sha256", ""), synthetic=True,
    )  # fmt: skip
