"""Writing RGB-D sequences as rosbag2 recordings that ROS tools play, in ROS's usual names and frames.

Frames: ``map -> odom -> base_link -> camera_link -> camera_color_optical_frame``; ``map``
is the sequence's world as it is, and base_link sits at the camera with REP-103's axes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from spatia_ros.geometry import inverse, quat_xyzw
from spatia_ros.sequence.draft import draft_of
from spatia_ros.sequence.sequence import Sequence
from spatia_ros.sequence.tf_tree import T_BODY_OPTICAL
from spatia_ros.types import Camera, Float64, Frame, SpatiaError

DepthEncoding = Literal["32FC1", "16UC1"]
OPTICAL_FRAME = "camera_color_optical_frame"
_TOPICS = {
    "/camera/color/image_raw": "sensor_msgs/msg/Image", "/camera/color/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/depth/image_rect": "sensor_msgs/msg/Image", "/camera/depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "/tf": "tf2_msgs/msg/TFMessage", "/tf_static": "tf2_msgs/msg/TFMessage", "/odom": "nav_msgs/msg/Odometry",
}


def write_bag(frames: Sequence | Iterable[Frame], path: Path | str, *, depth: DepthEncoding = "32FC1") -> Path:
    """Frames as one .mcap file, or as a rosbag2 folder when ``path`` has no .mcap suffix; returns the path.

    Args:
        depth: "32FC1" (metres, NaN = unknown) or "16UC1" (millimetres, 0 = unknown; 65.5 m at most).

    Raises:
        SpatiaError: when the path exists, there are no frames, or their times do not increase.
            Nothing is left behind then.
    """
    path = Path(path)
    source = frames.frames() if isinstance(frames, Sequence) else frames
    with draft_of(path) as draft:
        if path.suffix != ".mcap":
            _write(source, draft, depth)
        else:
            folder = draft.parent / "bag"
            _write(source, folder, depth)
            (folder / "bag.mcap").rename(draft)
    return path


def _write(frames: Iterable[Frame], folder: Path, depth: DepthEncoding) -> None:
    messages = _Messages()
    last_ns = -1
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    writer.set_custom_data("written_by", "spatia_ros")
    with writer:
        topics = {
            topic: writer.add_connection(topic, kind, typestore=messages.store, offered_qos_profiles=[_qos(topic)])
            for topic, kind in _TOPICS.items()
        }
        for frame in frames:
            if frame.stamp_ns <= last_ns:
                raise SpatiaError(f"write_bag: expected times from 0 that increase, got {frame.stamp_ns} ns after {last_ns} ns")
            for topic, message in (() if last_ns >= 0 else messages.static()) + messages.of(frame, depth):
                data = messages.store.serialize_cdr(message, _TOPICS[topic])
                writer.write(topics[topic], frame.stamp_ns, data)
            last_ns = frame.stamp_ns
    if last_ns < 0:
        raise SpatiaError("write_bag: expected at least one frame, got none")


def _qos(topic: str) -> Qos:
    """Reliable; latched where a late subscriber still needs it."""
    kept = QosDurability.TRANSIENT_LOCAL if topic == "/tf_static" else QosDurability.VOLATILE
    never = QosTime(9_223_372_036, 854_775_807)
    return Qos(
        QosHistory.KEEP_LAST, 1 if topic == "/tf_static" else 10, QosReliability.RELIABLE, kept, never, never,
        QosLiveliness.AUTOMATIC, never, False,
    )


class _Messages:
    """The messages of a frame, made from the definitions of ROS 2 Jazzy."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_JAZZY)

    def make(self, kind: str, *values: Any) -> Any:
        return self.store.types[kind](*values)

    def static(self) -> tuple[tuple[str, Any], ...]:
        links = (
            ("map", "odom", np.eye(4)), ("base_link", "camera_link", np.eye(4)), ("camera_link", OPTICAL_FRAME, T_BODY_OPTICAL),
        )
        return (("/tf_static", self._tf(0, *links)),)

    def of(self, frame: Frame, depth: DepthEncoding) -> tuple[tuple[str, Any], ...]:
        T_odom_base = frame.T_world_cam @ inverse(T_BODY_OPTICAL)
        header = self._header(frame.stamp_ns, OPTICAL_FRAME)
        info = self._info(header, frame.camera)
        return (
            ("/tf", self._tf(frame.stamp_ns, ("odom", "base_link", T_odom_base))),
            ("/odom", self._odometry(frame.stamp_ns, T_odom_base)),
            ("/camera/color/camera_info", info),
            ("/camera/depth/camera_info", info),
            ("/camera/color/image_raw", self._image(header, frame.rgb, "rgb8")),
            ("/camera/depth/image_rect", self._image(header, _stored(frame.depth, depth), depth)),
        )

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        time = self.make("builtin_interfaces/msg/Time", stamp_ns // 1_000_000_000, stamp_ns % 1_000_000_000)
        return self.make("std_msgs/msg/Header", time, frame_id)

    def _image(self, header: Any, pixels: np.ndarray, encoding: str) -> Any:
        data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
        height, width = pixels.shape[:2]
        return self.make("sensor_msgs/msg/Image", header, height, width, encoding, 0, len(data) // height, data)

    def _info(self, header: Any, camera: Camera) -> Any:
        fx, fy, cx, cy = camera.calibration()
        K = np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1], np.float64)
        P = np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0], np.float64)
        whole = self.make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
        return self.make(
            "sensor_msgs/msg/CameraInfo", header, camera.height, camera.width, "plumb_bob",
            np.zeros(5), K, np.eye(3).reshape(-1), P, 0, 0, whole,
        )

    def _tf(self, stamp_ns: int, *links: tuple[str, str, Float64]) -> Any:
        transforms = [
            self.make(
                "geometry_msgs/msg/TransformStamped", self._header(stamp_ns, parent), child,
                self.make("geometry_msgs/msg/Transform", self.make("geometry_msgs/msg/Vector3", *T[:3, 3]), self._rotation(T)),
            )
            for parent, child, T in links
        ]
        return self.make("tf2_msgs/msg/TFMessage", transforms)

    def _rotation(self, T: Float64) -> Any:
        return self.make("geometry_msgs/msg/Quaternion", *quat_xyzw(T))

    def _odometry(self, stamp_ns: int, T_odom_base: Float64) -> Any:
        still = [self.make("geometry_msgs/msg/Vector3", 0.0, 0.0, 0.0) for _ in range(2)]
        place = self.make("geometry_msgs/msg/Point", *T_odom_base[:3, 3])
        pose = self.make("geometry_msgs/msg/Pose", place, self._rotation(T_odom_base))
        return self.make(
            "nav_msgs/msg/Odometry", self._header(stamp_ns, "odom"), "base_link",
            self.make("geometry_msgs/msg/PoseWithCovariance", pose, np.zeros(36)),
            self.make("geometry_msgs/msg/TwistWithCovariance", self.make("geometry_msgs/msg/Twist", *still), np.zeros(36)),
        )


def _stored(depth: np.ndarray, encoding: DepthEncoding) -> np.ndarray:
    if encoding == "32FC1":
        return np.where(depth > 0, depth, np.float32(np.nan))
    units = np.round(depth * 1000)
    return np.where(units > np.iinfo(np.uint16).max, 0, units).astype(np.uint16)
