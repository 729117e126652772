"""ROS messages <-> arrays, continued: what belongs to one camera (see :mod:`.convert`)."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from spatia_ros import geometry
from spatia_ros.nodes.convert import _bytes, to_camera_info, to_labels
from spatia_ros.nodes.convert_cloud import to_cloud
from spatia_ros.rig import Lens
from spatia_ros.types import Camera, Float32, SpatiaError, UInt8, UInt16, check_array

INVERSE_DEPTH = 0
DEPTH_QUANTISATION = 100.0
DEPTH_MAX_M = 100.0
_HEADER = struct.Struct("<iff")


def to_lens_info(lens: Lens, header: Header) -> CameraInfo:
    """What a camera with a lens says: K and D of the raw image, R = I, P = [K | 0] of the straight one."""
    msg = to_camera_info(lens.camera, header)
    msg.distortion_model, msg.d = lens.model, [float(v) for v in lens.coefficients]
    return msg


def from_lens_info(msg: CameraInfo) -> Lens:
    """The lens that K and D describe.

    Raises:
        SpatiaError: on an unknown model or numbers that are none.
    """
    k = [float(v) for v in msg.k]
    return Lens(Camera.from_calibration(msg.width, msg.height, k[0], k[4], k[2], k[5]), msg.distortion_model, tuple(msg.d))


def to_frame_cloud(rgb: UInt8, depth: Float32, camera: Camera, header: Header) -> PointCloud2:
    """A frame as a cloud in its optical frame: a point a pixel, row by row (height and width are the image's), NaN unknown.

    The same fields as every cloud here: x y z rgb, FLOAT32 each, 16 bytes a point.
    """
    check_array("depth", depth, (camera.height, camera.width), np.float32)
    check_array("rgb", rgb, (camera.height, camera.width, 3), np.uint8)
    z = np.where(depth > 0, depth, np.float32(np.nan))
    xyz = geometry.pixel_rays(camera).astype(np.float32) * z[..., None]
    msg = to_cloud(np.ascontiguousarray(xyz.reshape(-1, 3)), np.ascontiguousarray(rgb).reshape(-1, 3), header)
    msg.height, msg.width, msg.row_step = camera.height, camera.width, camera.width * msg.point_step
    msg.is_dense = bool((depth > 0).all())
    return msg


def millimetres(depth: Float32) -> UInt16:
    """uint16 [H, W] of float32 [H, W] metres; 0 is unknown, and so is what is beyond 65.5 m (REP-118)."""
    check_array("depth", depth, (None, None), np.float32)
    mm = np.floor(depth.astype(np.float64) * 1000.0 + 0.5)
    return np.where(mm < 65536.0, mm, 0.0).astype(np.uint16)


def to_depth_mm(depth: Float32, header: Header) -> Image:
    """A 16UC1 message, millimetres, from float32 [H, W]."""
    return to_labels(millimetres(depth), header)


def to_compressed_depth_mm(depth: Float32, header: Header) -> CompressedImage:
    """A depth image of millimetres as compressed_depth_image_transport sends it: its header, empty, then a PNG."""
    return _packed("16UC1", millimetres(depth), 0.0, 0.0, header)


def to_compressed_depth(depth: Float32, header: Header) -> CompressedImage:
    """A depth image as compressed_depth_image_transport sends it: a header of 12 bytes, then a PNG of inverse depth.

    16 bits of ``A / depth + B``, A = q (q + 1), B = 1 - A / far, with q and far in the header's A and B: 1 mm at 3 m,
    1 cm at 10 m; 0 is unknown, as is what is nearer than 0.16 m or farther than :data:`DEPTH_MAX_M`.
    """
    check_array("depth", depth, (None, None), np.float32)
    a = DEPTH_QUANTISATION * (DEPTH_QUANTISATION + 1.0)
    b = 1.0 - a / DEPTH_MAX_M
    with np.errstate(divide="ignore"):
        inverse = a / depth.astype(np.float64) + b
    known = (depth > 0) & (depth < DEPTH_MAX_M) & (inverse < 65535.5)
    return _packed("32FC1", np.where(known, np.floor(inverse + 0.5), 0.0).astype(np.uint16), a, b, header)


def _packed(encoding: str, values: UInt16, a: float, b: float, header: Header) -> CompressedImage:
    done, png = cv2.imencode(".png", values, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise SpatiaError(f"compressedDepth: expected a PNG of {values.shape}, got none")
    data = np.frombuffer(_HEADER.pack(INVERSE_DEPTH, a, b) + png.tobytes(), np.uint8)
    return CompressedImage(header=header, format=f"{encoding}; compressedDepth png", data=_bytes(data))


def from_compressed_depth(msg: CompressedImage, name: str = "depth") -> Float32:
    """float32 [H, W], metres, 0 unknown, of a 32FC1 or 16UC1 image of compressed_depth_image_transport.

    Raises:
        SpatiaError: when it is something else.
    """
    data = bytes(msg.data)
    encoding, _, rest = msg.format.partition("; ")
    if encoding not in ("32FC1", "16UC1") or not rest.startswith("compressedDepth") or len(data) <= _HEADER.size:
        raise SpatiaError(f"{name}: expected 32FC1 or 16UC1; compressedDepth, got {msg.format!r} of {len(data)} bytes")
    _, a, b = _HEADER.unpack_from(data)
    packed = cv2.imdecode(np.frombuffer(data, np.uint8)[_HEADER.size :], cv2.IMREAD_UNCHANGED)
    if packed is None or packed.dtype != np.uint16 or packed.ndim != 2:
        raise SpatiaError(f"{name}: expected a PNG of 16 bits after the header, got none")
    if encoding == "16UC1":
        return packed.astype(np.float32) * np.float32(0.001)
    inverse = packed.astype(np.float32) - np.float32(b)
    return np.where(packed > 0, np.float32(a) / np.where(packed > 0, inverse, 1.0), np.float32(0.0)).astype(np.float32)
