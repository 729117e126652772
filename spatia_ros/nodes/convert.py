"""ROS messages <-> arrays: the only place that knows both.

It is also the only place with REP-103 axes and NaN depth. The core has OpenCV camera axes (x right,
y down, z forward), which are ROS's *optical* frame; a ROS body (``base_link``, ``<camera>_link``) has
x forward, y left, z up. The core's unknown depth is 0, ROS's is NaN (REP-118). ROS puts pixel centres
at integers, the core at +0.5.

Every function that reads a message refuses a malformed one with a :class:`SpatiaError` that names what
was expected and what came; nothing is trusted to be finite, normalised or as long as it says.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Transform, TransformStamped, Twist
from nav_msgs.msg import Path
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from spatia_ros import geometry
from spatia_ros.sequence.image_file import decode_rgb, image_size
from spatia_ros.sequence.ros_image import depth_of, rgb_of
from spatia_ros.types import (
    MAX_IMAGE_SIDE_PX,
    Camera,
    Float32,
    Float64,
    Int64,
    SpatiaError,
    UInt8,
    UInt16,
    check_array,
    check_pose,
)

UNIT_TOLERANCE = 1e-4
"""How far ``|q|^2`` may be from 1."""
MAX_PATH_POSES = 100_000
MAX_SPEED = 1e4
"""m/s and rad/s: faster, and a frame later a pose has lost its digits."""
NS = 1_000_000_000

T_LINK_OPTICAL = geometry.pose(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.zeros(3))
"""Optical axes in the body axes of the camera's link: z forward is x, x right is -y, y down is -z (REP-103)."""

_UP = {
    "z": np.eye(3),
    "y": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
    "-y": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
}
_COLOUR, _DEPTH = ("rgb8", "bgr8", "mono8"), ("32FC1", "16UC1")


class Malformed(SpatiaError):
    """A refused message; ``reason`` is a short name to count it by."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def map_from_world(up: str) -> Float64:
    """``T_map_world`` (4x4) that turns the recording's axis ``up`` ("z", "y" or "-y") into the map's z."""
    if up not in _UP:
        raise SpatiaError(f"map_up: expected one of {', '.join(_UP)}, got {up!r}")
    return geometry.pose(_UP[up], np.zeros(3))


# Time and headers


def time_ns(stamp: Time, name: str = "stamp") -> int:
    """Nanoseconds of a message's time, refused when negative or when ``nanosec`` is a second or more."""
    if stamp.sec < 0 or not 0 <= stamp.nanosec < NS:
        raise Malformed("stamp", f"{name}: expected sec >= 0 and nanosec below 1e9, got sec {stamp.sec} nanosec {stamp.nanosec}")
    return stamp.sec * NS + stamp.nanosec


def to_time(stamp_ns: int) -> Time:
    """A message's time from nanoseconds."""
    return Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)


def to_header(stamp_ns: int, frame_id: str) -> Header:
    """A header of a time in nanoseconds and a frame."""
    return Header(stamp=to_time(stamp_ns), frame_id=frame_id)


# Poses


def _rigid(t: Any, q: Any, name: str) -> Float64:
    position, quat_xyzw = [t.x, t.y, t.z], [q.x, q.y, q.z, q.w]
    if not all(map(math.isfinite, position + quat_xyzw)):
        raise Malformed("not_finite", f"{name}: expected finite numbers, got position {position} quaternion {quat_xyzw}")
    if abs(sum(v * v for v in quat_xyzw) - 1.0) >= UNIT_TOLERANCE:
        raise Malformed("quaternion", f"{name}: expected a unit quaternion, got x y z w = {quat_xyzw}")
    return geometry.pose_from_quat(np.array(position), np.array(quat_xyzw), name)


def from_pose(msg: Pose, name: str = "pose") -> Float64:
    """float64 [4, 4] of a pose: finite, and with a quaternion of unit length, or refused."""
    return _rigid(msg.position, msg.orientation, name)


def from_transform(msg: Transform, name: str = "transform") -> Float64:
    """float64 [4, 4] of a transform (``T_parent_child``), checked like :func:`from_pose`."""
    return _rigid(msg.translation, msg.rotation, name)


def to_pose(T: Float64) -> Pose:
    """A pose message from a 4x4 transform."""
    check_pose("pose", T)
    msg = Pose()
    msg.position.x, msg.position.y, msg.position.z = T[:3, 3].tolist()
    q = msg.orientation
    q.x, q.y, q.z, q.w = geometry.quat_xyzw(T).tolist()
    return msg


def to_transform(T_parent_child: Float64, stamp_ns: int, parent: str, child: str) -> TransformStamped:
    """A stamped transform for tf."""
    pose = to_pose(T_parent_child)
    msg = TransformStamped(header=to_header(stamp_ns, parent), child_frame_id=child)
    msg.transform.translation.x = pose.position.x
    msg.transform.translation.y = pose.position.y
    msg.transform.translation.z = pose.position.z
    msg.transform.rotation = pose.orientation
    return msg


def from_twist(msg: Twist, name: str = "twist") -> Float64:
    """float64 [6]: linear (m/s) then angular (rad/s) velocity, finite and at most ``MAX_SPEED``."""
    v, w = msg.linear, msg.angular
    twist = np.array([v.x, v.y, v.z, w.x, w.y, w.z], np.float64)
    if not np.isfinite(twist).all():
        raise Malformed("not_finite", f"{name}: expected finite velocities, got {twist.tolist()}")
    if np.abs(twist).max() > MAX_SPEED:
        raise Malformed("too_fast", f"{name}: expected velocities of at most {MAX_SPEED:g} m/s or rad/s, got {twist.tolist()}")
    return twist


def to_twist(twist: Float64) -> Twist:
    """A twist message from linear and angular velocity [6]."""
    msg = Twist()
    msg.linear.x, msg.linear.y, msg.linear.z = twist[:3].tolist()
    msg.angular.x, msg.angular.y, msg.angular.z = twist[3:].tolist()
    return msg


def from_path(msg: Path, period_ns: int, name: str = "path") -> tuple[Int64, Float64]:
    """A path's timing and poses.

    Args:
        period_ns: time between poses when the path has no timing of its own (all stamps zero).

    Returns:
        int64 [N] nanoseconds since the first pose, strictly increasing; float64 [N, 4, 4].

    Raises:
        SpatiaError: on no poses or too many, a malformed pose, a pose in another frame than the
            path's, or stamps that do not increase.
    """
    if not 1 <= len(msg.poses) <= MAX_PATH_POSES:
        raise Malformed("size", f"{name}: expected 1..{MAX_PATH_POSES} poses, got {len(msg.poses)}")
    for i, p in enumerate(msg.poses):
        if p.header.frame_id not in ("", msg.header.frame_id):
            got = p.header.frame_id
            raise Malformed("frame", f"{name}.poses[{i}]: expected the path's frame {msg.header.frame_id!r}, got {got!r}")
    T = np.stack([from_pose(p.pose, f"{name}.poses[{i}]") for i, p in enumerate(msg.poses)])
    stamps = np.array([time_ns(p.header.stamp, f"{name}.poses[{i}].header.stamp") for i, p in enumerate(msg.poses)], np.int64)
    if not stamps.any():
        stamps = np.arange(len(T), dtype=np.int64) * period_ns
    if (np.diff(stamps) <= 0).any():
        i = int(np.argmax(np.diff(stamps) <= 0)) + 1
        got = f"{stamps[i]} ns after {stamps[i - 1]} ns"
        raise Malformed("stamp", f"{name}.poses[{i}]: expected a stamp after the one before it (or all stamps zero), got {got}")
    return stamps - stamps[0], T


# Images


def _read(reader: Callable[[Image, str, int, int], np.ndarray], msg: Image, name: str) -> np.ndarray:
    """The pixels of an image in a native encoding; any byte order, rows with or without padding."""
    if not (1 <= msg.width <= MAX_IMAGE_SIDE_PX and 1 <= msg.height <= MAX_IMAGE_SIDE_PX):
        raise Malformed("size", f"{name}: expected sides of 1..{MAX_IMAGE_SIDE_PX} px, got {msg.width}x{msg.height}")
    try:
        return reader(msg, name, msg.width, msg.height)
    except SpatiaError as error:
        raise Malformed("size", str(error)) from None


def _by_cv_bridge(msg: Image, encoding: str, name: str) -> np.ndarray:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError:
        raise Malformed(
            "encoding",
            f"{name}: expected encoding {', '.join(_COLOUR + _DEPTH)}, got {msg.encoding!r}, which needs ROS 2's cv_bridge "
            "(sudo apt install ros-$ROS_DISTRO-cv-bridge); it is not installed",
        ) from None
    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(msg, desired_encoding=encoding))
    except (CvBridgeError, ValueError, TypeError, cv2.error) as error:
        got = f"{msg.encoding!r} {msg.width}x{msg.height}"
        raise Malformed("encoding", f"{name}: cv_bridge cannot make {encoding} of {got}: {error}") from None


def from_image(msg: Image, name: str = "image") -> UInt8:
    """uint8 [H, W, 3], RGB, of a colour or grey image.

    Raises:
        SpatiaError: when the array's size disagrees with its description, when the image is depth, or
            when the encoding is not native and cv_bridge is missing or cannot read it.
    """
    if msg.encoding in _DEPTH:
        raise Malformed("encoding", f"{name}: expected a colour image, got depth ({msg.encoding})")
    if msg.encoding not in _COLOUR:
        return _by_cv_bridge(msg, "rgb8", name)
    return _read(rgb_of, msg, name)


def from_depth(msg: Image, name: str = "depth") -> Float32:
    """float32 [H, W], metres, 0 = unknown, of a depth image (32FC1 in metres or 16UC1 in millimetres, REP-118)."""
    if msg.encoding in _COLOUR:
        raise Malformed("encoding", f"{name}: expected a depth image (32FC1 or 16UC1), got {msg.encoding}")
    if msg.encoding in _DEPTH:
        return _read(depth_of, msg, name)
    return _by_cv_bridge(msg, "16UC1", name).astype(np.float32) * np.float32(0.001)


def from_compressed(msg: CompressedImage, name: str = "image") -> UInt8:
    """uint8 [H, W, 3], RGB, of a JPEG or PNG; its size is checked before it is decoded."""
    data = bytes(msg.data)
    width, height = image_size(data, name)
    if not (1 <= width <= MAX_IMAGE_SIDE_PX and 1 <= height <= MAX_IMAGE_SIDE_PX):
        raise Malformed("size", f"{name}: expected sides of 1..{MAX_IMAGE_SIDE_PX} px, got {width}x{height}")
    return decode_rgb(data, name, width, height)


def _to_image(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    height, width = pixels.shape[:2]
    msg = Image(header=header, height=height, width=width, encoding=encoding, step=pixels[0].nbytes)
    msg.is_bigendian = int(sys.byteorder == "big")
    msg.data = _bytes(pixels)
    return msg


def _bytes(values: np.ndarray) -> array:
    """The memory of an array as ``array('B')``: rclpy takes it as it is, anything else byte by byte."""
    out = array("B")
    out.frombytes(np.ascontiguousarray(values).data.cast("B") if values.size else b"")
    return out


def to_image(rgb: UInt8, header: Header) -> Image:
    """An rgb8 message from uint8 [H, W, 3], or a mono8 message from uint8 [H, W]."""
    check_array("image", rgb, (None, None, 3) if rgb.ndim == 3 else (None, None), np.uint8)
    return _to_image(rgb, "rgb8" if rgb.ndim == 3 else "mono8", header)


def to_labels(labels: UInt16, header: Header) -> Image:
    """A 16UC1 message from uint16 [H, W]: a number a pixel, 0 for none."""
    check_array("labels", labels, (None, None), np.uint16)
    return _to_image(labels, "16UC1", header)


def to_depth(depth: Float32, header: Header) -> Image:
    """A 32FC1 message, metres, from float32 [H, W]; the core's unknown 0 becomes NaN."""
    check_array("depth", depth, (None, None), np.float32)
    return _to_image(np.where(depth > 0, depth, np.float32(np.nan)), "32FC1", header)


def to_compressed(rgb: UInt8, header: Header, quality: int = 90) -> CompressedImage:
    """A JPEG message from uint8 [H, W, 3]."""
    check_array("image", rgb, (None, None, 3), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=_bytes(data))


def to_camera_info(camera: Camera, header: Header) -> CameraInfo:
    """Intrinsics without distortion: D = 0, R = I, P = [K | 0], pixel centres at integers."""
    fx, fy, cx, cy = camera.calibration()
    msg = CameraInfo(header=header, width=camera.width, height=camera.height, distortion_model="plumb_bob")
    msg.d = [0.0] * 5
    msg.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    msg.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    msg.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return msg


def from_camera_info(msg: CameraInfo, name: str = "camera_info") -> Camera:
    """The camera of an undistorted image.

    Raises:
        SpatiaError: on distortion (feed rectified images), binning or a region of interest, skew, or
            an uncalibrated K.
    """
    if any(value != 0.0 for value in msg.d):
        raise Malformed("calibration", f"{name}: expected rectified images (all distortion 0), got d = {list(msg.d)}")
    if max(msg.binning_x, msg.binning_y) > 1 or msg.roi.width or msg.roi.height:
        got = f"binning {msg.binning_x}x{msg.binning_y}, roi {msg.roi.width}x{msg.roi.height}"
        raise Malformed("calibration", f"{name}: expected the full image, got {got}")
    k = [float(v) for v in msg.k]
    if k[1] or k[3] or k[6:] != [0.0, 0.0, 1.0]:
        raise Malformed("calibration", f"{name}: expected K = [fx 0 cx; 0 fy cy; 0 0 1], got {k}")
    return Camera.from_calibration(msg.width, msg.height, k[0], k[4], k[2], k[5])
