"""ROS messages of RGB-D frames, made without ROS, in ROS's usual names and frames.

Frames: ``map -> odom -> base_link -> camera_link -> camera_color_optical_frame``; ``map``
is the sequence's world as it is, and base_link sits at the camera with REP-103's axes.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from rosbags.typesys import Stores, get_typestore

from spatia_ros.geometry import inverse, quat_xyzw
from spatia_ros.sequence.tf_tree import T_BODY_OPTICAL
from spatia_ros.types import Camera, Float64, Frame

DepthEncoding = Literal["32FC1", "16UC1"]
OPTICAL_FRAME = "camera_color_optical_frame"
TOPICS = {
    "/camera/color/image_raw": "sensor_msgs/msg/Image", "/camera/color/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/depth/image_rect": "sensor_msgs/msg/Image", "/camera/depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "/tf": "tf2_msgs/msg/TFMessage", "/tf_static": "tf2_msgs/msg/TFMessage", "/odom": "nav_msgs/msg/Odometry",
}


class Messages:
    """The messages of a frame, made from the definitions of ROS 2 Jazzy."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_JAZZY)

    def make(self, kind: str, *values: Any) -> Any:
        """A message of a type from its fields in order."""
        return self.store.types[kind](*values)

    def static(self) -> tuple[tuple[str, Any], ...]:
        """``(topic, message)`` of what is sent once."""
        links = (
            ("map", "odom", np.eye(4)), ("base_link", "camera_link", np.eye(4)), ("camera_link", OPTICAL_FRAME, T_BODY_OPTICAL),
        )
        return (("/tf_static", self.tf(0, *links)),)

    def of(self, frame: Frame, depth: DepthEncoding) -> tuple[tuple[str, Any], ...]:
        """``(topic, message)`` of everything about one frame."""
        T_odom_base = frame.T_world_cam @ inverse(T_BODY_OPTICAL)
        header = self.header(frame.stamp_ns, OPTICAL_FRAME)
        info = self.info(header, frame.camera)
        return (
            ("/tf", self.tf(frame.stamp_ns, ("odom", "base_link", T_odom_base))),
            ("/odom", self.odometry(frame.stamp_ns, T_odom_base)),
            ("/camera/color/camera_info", info),
            ("/camera/depth/camera_info", info),
            ("/camera/color/image_raw", self.image(header, frame.rgb, "rgb8")),
            ("/camera/depth/image_rect", self.image(header, _stored(frame.depth, depth), depth)),
        )

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """std_msgs/Header."""
        time = self.make("builtin_interfaces/msg/Time", stamp_ns // 1_000_000_000, stamp_ns % 1_000_000_000)
        return self.make("std_msgs/msg/Header", time, frame_id)

    def image(self, header: Any, pixels: np.ndarray, encoding: str) -> Any:
        """sensor_msgs/Image of [H, W] or [H, W, C], rows without padding."""
        data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
        height, width = pixels.shape[:2]
        return self.make("sensor_msgs/msg/Image", header, height, width, encoding, 0, len(data) // height, data)

    def info(self, header: Any, camera: Camera) -> Any:
        """sensor_msgs/CameraInfo without distortion."""
        fx, fy, cx, cy = camera.calibration()
        K = np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1], np.float64)
        P = np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0], np.float64)
        whole = self.make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
        return self.make(
            "sensor_msgs/msg/CameraInfo", header, camera.height, camera.width, "plumb_bob",
            np.zeros(5), K, np.eye(3).reshape(-1), P, 0, 0, whole,
        )

    def tf(self, stamp_ns: int, *links: tuple[str, str, Float64]) -> Any:
        """tf2_msgs/TFMessage of ``(parent, child, T_parent_child)``."""
        transforms = [
            self.make(
                "geometry_msgs/msg/TransformStamped", self.header(stamp_ns, parent), child,
                self.make("geometry_msgs/msg/Transform", self.make("geometry_msgs/msg/Vector3", *T[:3, 3]), self.rotation(T)),
            )
            for parent, child, T in links
        ]
        return self.make("tf2_msgs/msg/TFMessage", transforms)

    def rotation(self, T: Float64) -> Any:
        """geometry_msgs/Quaternion of a 4x4 transform."""
        return self.make("geometry_msgs/msg/Quaternion", *quat_xyzw(T))

    def odometry(self, stamp_ns: int, T_odom_base: Float64) -> Any:
        """nav_msgs/Odometry of base_link in odom, at rest."""
        still = [self.make("geometry_msgs/msg/Vector3", 0.0, 0.0, 0.0) for _ in range(2)]
        place = self.make("geometry_msgs/msg/Point", *T_odom_base[:3, 3])
        pose = self.make("geometry_msgs/msg/Pose", place, self.rotation(T_odom_base))
        return self.make(
            "nav_msgs/msg/Odometry", self.header(stamp_ns, "odom"), "base_link",
            self.make("geometry_msgs/msg/PoseWithCovariance", pose, np.zeros(36)),
            self.make("geometry_msgs/msg/TwistWithCovariance", self.make("geometry_msgs/msg/Twist", *still), np.zeros(36)),
        )


def _stored(depth: np.ndarray, encoding: DepthEncoding) -> np.ndarray:
    if encoding == "32FC1":
        return np.where(depth > 0, depth, np.float32(np.nan))
    units = np.round(depth * 1000)
    return np.where(units > np.iinfo(np.uint16).max, 0, units).astype(np.uint16)
