"""The mapper node: an RGB-D camera builds a memory that the world node can load.

Its poses come from tf or odometry, or it tracks the camera itself. Then it says where the map is: it publishes the
transform from the map to the root of the frames the camera hangs in, which is ``odom`` on a robot that has odometry.
"""

from __future__ import annotations

import time
from collections import deque

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.parameter import Parameter
from tf2_msgs.msg import TFMessage

from spatia_ros.geometry import inverse
from spatia_ros.memory import Memory
from spatia_ros.msg import SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.lifecycle import ManagedNode
from spatia_ros.nodes.map_checkpoint import MapKeeper
from spatia_ros.nodes.memory_face import MemoryFace
from spatia_ros.nodes.motion import Motion
from spatia_ros.nodes.settings import MapperSettings
from spatia_ros.slam.mapper import Mapper, MapStep
from spatia_ros.types import Frame, SpatiaError


class MapperNode(ManagedNode):
    """Makes a memory of RGB-D frames; its world is the frame ``sensor.world``."""

    def __init__(
        self,
        *,
        context: Context | None = None,
        namespace: str | None = None,
        parameter_overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("mapper", MapperSettings, context=context, namespace=namespace, parameter_overrides=parameter_overrides)

    def open_face(self, endpoints: Endpoints) -> MapperFace:
        """Begin an empty memory."""
        return MapperFace(self, endpoints)


class MapperFace(MemoryFace):
    """A configured mapper; while active it listens to its camera."""

    mapping = True

    def __init__(self, node: ManagedNode, endpoints: Endpoints) -> None:
        super().__init__(node, endpoints)
        settings: MapperSettings = self.settings
        self._config, self._tracks = settings.world(), settings.sensor.pose_source == "tracked"
        keeper = self.add(MapKeeper(self, self._tracks))
        kept = keeper.remembered()
        self._memory = Memory(self._config.memory) if kept is None else kept
        self._mapper: Mapper | None = None  # from the first frame on, which brings the camera
        self._last_ns = -1
        self._frames = self._lost = self._loops = 0
        self._tracking = ""
        self._map_ms: deque[float] = deque(maxlen=100)
        self._mapped_s: deque[float] = deque(maxlen=1000)
        self._tf = qos.publisher(endpoints, TFMessage, "/tf", qos.TF) if self._tracks and settings.publish_tf else None
        self._pose = qos.publisher(endpoints, PoseStamped, "pose", qos.SENSOR_OUT)
        self._begin()
        begun = "" if kept is None else f" on {keeper.story} ({len(kept)} points)"
        node.get_logger().info(f"mapping in frame {self.map_frame}{begun}; files in {self.files.root}")

    @property
    def memory(self) -> Memory:
        """The memory; for the worker's thread only."""
        return self._memory if self._mapper is None else self._mapper.memory

    def adopt(self, memory: Memory) -> None:
        """Go on mapping in a memory from a file.

        Raises:
            SpatiaError: when poses are tracked: where the camera is in that map is not known.
        """
        if self._tracks:
            raise SpatiaError("memory/load: expected poses from tf or odom; a tracked map starts where its camera does")
        self._memory, self._mapper = memory, None

    def observe(self, frame: Frame, root: str) -> None:
        """Map a frame; where poses are tracked, its own is that of the camera below ``root``."""
        begun_s = time.perf_counter()
        step = self._mapper_for(frame).observe(frame.rgb, frame.depth, frame.stamp_ns, self._start(frame))
        self._last_ns = frame.stamp_ns
        self._map_ms.append((time.perf_counter() - begun_s) * 1e3)
        self._mapped_s.append(time.monotonic())
        self._note_step(step)
        if step.state != "lost":
            self._frames += 1
            self._publish(frame, root, step)

    def _mapper_for(self, frame: Frame) -> Mapper:
        """The mapper of this frame's camera; a new one on the same memory where given poses start over in time."""
        again = not self._tracks and frame.stamp_ns <= self._last_ns
        if self._mapper is None or again or self._mapper.camera != frame.camera:
            if self._tracks and self._mapper is not None:
                raise convert.Malformed("calibration", "camera_info: expected the camera that tracking began with, got another")
            memory = self.memory
            self._mapper = Mapper(self._config, frame.camera, poses="tracked" if self._tracks else "given")
            self._mapper.map.memory = memory
        return self._mapper

    def _start(self, frame: Frame) -> np.ndarray:
        """The frame's pose; of a tracked camera, where it starts: the map is its root's frame then, or level with it."""
        hangs_on_nothing = self._tracks and np.array_equal(frame.T_world_cam, np.eye(4))
        return convert.T_LINK_OPTICAL if hangs_on_nothing else frame.T_world_cam

    def _note_step(self, step: MapStep) -> None:
        before, self._tracking = self._tracking, step.state if self._tracks else ""
        self._loops += len(step.loops)
        if step.loops:
            self.node.get_logger().info(f"closed {len(step.loops)} loops; the map moved by {step.corrected_m:.3f} m at most")
        if step.state == "lost":
            self._lost += 1
            if before != "lost":
                self.node.get_logger().warning("lost: nothing is mapped until the camera sees a place it knows")
        elif step.state == "relocalised":
            self.node.get_logger().info("found again")

    def _publish(self, frame: Frame, root: str, step: MapStep) -> None:
        """Where the camera is in the map; of a tracked one also where its root is."""
        header = convert.to_header(frame.stamp_ns, self.map_frame)
        self._pose.publish(PoseStamped(header=header, pose=convert.to_pose(step.T_world_cam)))
        if self._tf is not None and root:
            T_map_root = step.T_world_cam @ inverse(frame.T_world_cam)
            self._tf.publish(TFMessage(transforms=[convert.to_transform(T_map_root, frame.stamp_ns, self.map_frame, root)]))

    def status(self) -> SimStatus:
        """Mapping, how fast, and whether the camera is tracked."""
        frame_ms, p99_ms = (float(v) for v in np.percentile(list(self._map_ms) or [0.0], (50, 99)))
        rate_hz = float(sum(time.monotonic() - 1.0 < at for at in list(self._mapped_s)))
        return SimStatus(
            mode=SimStatus.MAPPING, model="", frames=self._frames, frame_ms=frame_ms, frame_ms_p99=p99_ms, rate_hz=rate_hz,
            tracking=self._tracking, frames_lost=self._lost, loops=self._loops,
        )  # fmt: skip

    def concern(self) -> str:
        """That the camera is lost."""
        return "lost: nothing is mapped until the camera sees a place it knows" if self._tracking == "lost" else ""

    def _frame(self, motion: Motion) -> bool:  # noqa: ARG002
        return False  # a mapper is not commanded
