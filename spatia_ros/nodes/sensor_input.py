"""A real camera or another simulator: RGB-D topics and poses become posed frames for the memory.

Colour, registered depth and camera_info come on ``color/image_raw`` (or ``color/image_raw/compressed``),
``depth/image_rect`` and ``color/camera_info``; the pose of the colour image's frame comes from tf, or from
tf's static part and the ``odom`` topic, at the colour image's stamp. Where poses are to be tracked, tf only says
how the camera hangs below the root of its frames (``odom``, or what it is mounted on).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.health import Health
from spatia_ros.nodes.settings import SensorSettings
from spatia_ros.nodes.sync import Pair, Pairing
from spatia_ros.nodes.transforms import NoTransform, TransformBuffer
from spatia_ros.types import Camera, Float32, Float64, Frame, UInt8

MAX_WAITING = 10
"""Frames that may wait for their pose."""


class Colour(NamedTuple):
    """A decoded colour image and the frame it was taken in."""

    frame_id: str
    rgb: UInt8


class Depth(NamedTuple):
    """A decoded depth image and its frame."""

    frame_id: str
    depth: Float32


class SensorInput:
    """Subscribes to RGB-D topics and hands over posed frames, at most a few of them waiting.

    Args:
        on_frame: takes a frame and the name of the frame that its pose is in: ``settings.world``, or, where poses are
            tracked, the root above the camera (the camera's own frame when nothing is above it, "" when tf did not
            say in time); may refuse it with a SpatiaError, which is counted.
    """

    def __init__(
        self, endpoints: Endpoints, settings: SensorSettings, health: Health, on_frame: Callable[[Frame, str], None]
    ) -> None:
        self._endpoints, self._settings, self._health, self._on_frame = endpoints, settings, health, on_frame
        self._pairing: Pairing[Colour, Depth] = Pairing(round(settings.max_skew_s * 1e9))
        self._buffer = TransformBuffer()
        self._camera: Camera | None = None
        self._waiting: deque[tuple[float, Pair[Colour, Depth]]] = deque()
        colour, topic = (CompressedImage, "color/image_raw/compressed") if settings.compressed else (Image, "color/image_raw")
        topics: list[tuple[type, str, Callable[[Any], None], Any]] = [
            (colour, topic, self._on_colour, qos.SENSOR_IN),
            (Image, "depth/image_rect", self._on_depth, qos.SENSOR_IN),
            (CameraInfo, "color/camera_info", self._on_camera_info, qos.SENSOR_IN),
            (TFMessage, "/tf_static", self._on_tf_static, qos.TF_STATIC_IN),
        ]
        if settings.pose_source == "odom":
            topics.append((Odometry, "odom", self._on_odom, qos.SENSOR_IN))
        else:
            topics.append((TFMessage, "/tf", self._on_tf, qos.TF))
        self._subscriptions = [
            qos.subscription(endpoints, kind, name, health.guard(name, callback), profile)
            for kind, name, callback, profile in topics
        ]

    def close(self) -> None:
        """Stop listening; what waits is let go."""
        for subscription in self._subscriptions:
            self._endpoints.destroy(subscription)
        self._waiting.clear()

    def _on_colour(self, msg: Image | CompressedImage) -> None:
        stamp_ns = convert.time_ns(msg.header.stamp, "colour.header.stamp")
        rgb = convert.from_image(msg, "colour") if isinstance(msg, Image) else convert.from_compressed(msg, "colour")
        self._paired(self._pairing.add_first(stamp_ns, Colour(msg.header.frame_id, rgb)))

    def _on_depth(self, msg: Image) -> None:
        stamp_ns = convert.time_ns(msg.header.stamp, "depth.header.stamp")
        self._paired(self._pairing.add_second(stamp_ns, Depth(msg.header.frame_id, convert.from_depth(msg, "depth"))))

    def _on_camera_info(self, msg: CameraInfo) -> None:
        self._camera = convert.from_camera_info(msg)

    def _on_tf(self, msg: TFMessage) -> None:
        self._insert(msg.transforms, static=False)

    def _on_tf_static(self, msg: TFMessage) -> None:
        self._insert(msg.transforms, static=True)

    def _on_odom(self, msg: Odometry) -> None:
        p, tf = msg.pose.pose.position, TransformStamped(header=msg.header, child_frame_id=msg.child_frame_id)
        tf.transform.translation.x, tf.transform.translation.y, tf.transform.translation.z = p.x, p.y, p.z
        tf.transform.rotation = msg.pose.pose.orientation
        self._insert([tf], static=False)

    def _insert(self, transforms: list[TransformStamped], static: bool) -> None:
        tracked, world = self._settings.pose_source == "tracked", self._settings.world
        for transform in transforms:
            if not (tracked and transform.header.frame_id == world):  # where that is, is what tracking finds
                self._buffer.insert(transform, static)
        self._settle()

    def _paired(self, pair: Pair[Colour, Depth] | None) -> None:
        if pair is None:
            return
        (frame, rgb), (depth_frame, depth) = pair.first, pair.second
        if frame != depth_frame or rgb.shape[:2] != depth.shape:
            got = f"{depth_frame} {list(depth.shape)} with {frame} {list(rgb.shape[:2])}"
            raise convert.Malformed("registration", f"depth: expected it registered to colour (same frame and size), got {got}")
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._health.refuse("sensor", convert.Malformed("no_pose", f"sensor: {MAX_WAITING} frames wait for their pose"))
        self._waiting.append((time.monotonic(), pair))
        self._settle()

    def _settle(self) -> None:
        """Hand over the frames whose pose is known now; give up on those that waited too long."""
        for _ in range(len(self._waiting)):
            since_s, pair = self._waiting.popleft()
            try:
                root, T = self._pose_of(pair)
            except NoTransform as error:
                if time.monotonic() - since_s < self._settings.max_wait_s:
                    self._waiting.append((since_s, pair))
                    continue
                self._health.refuse("sensor", convert.Malformed("no_pose", f"sensor: no pose for a frame: {error}"))
                if self._settings.pose_source != "tracked":
                    continue
                root, T = "", np.eye(4)
            self._on_frame(self._framed(pair, T), root)

    def _pose_of(self, pair: Pair[Colour, Depth]) -> tuple[str, Float64]:
        """The camera's pose, and the frame it is in."""
        world, camera = self._settings.world, pair.first.frame_id
        if self._settings.pose_source != "tracked":
            return world, self._buffer.lookup(world, camera, pair.stamp_ns)
        return self._buffer.to_root(camera, pair.stamp_ns)

    def _framed(self, pair: Pair[Colour, Depth], T_world_cam: Float64) -> Frame:
        rgb, depth, camera = pair.first.rgb, pair.second.depth, self._camera
        if camera is None:
            raise convert.Malformed("calibration", "sensor: expected color/camera_info before the images, got none yet")
        if (camera.height, camera.width) != depth.shape:
            got = f"{camera.width}x{camera.height} for images of {depth.shape[1]}x{depth.shape[0]}"
            raise convert.Malformed("calibration", f"camera_info: expected the size of the images, got {got}")
        return Frame(rgb, depth, camera, T_world_cam, pair.stamp_ns)
