"""Pictures out of ROS image messages: Image and CompressedImage, colour and depth.

The functions read the messages' fields by name, so messages of any ROS library will do.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from spatia_ros.sequence.image_file import decode_depth, decode_rgb
from spatia_ros.types import MAX_IMAGE_SIDE_PX, Float32, SpatiaError, UInt8

COLOUR_ENCODINGS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
DEPTH_ENCODINGS = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}
_TO_RGB = {"bgr8": cv2.COLOR_BGR2RGB, "rgba8": cv2.COLOR_RGBA2RGB, "bgra8": cv2.COLOR_BGRA2RGB, "mono8": cv2.COLOR_GRAY2RGB}
_QUANTISED_HEADER = struct.Struct("<iff")


def is_compressed(message: Any) -> bool:
    """Whether this is a CompressedImage (which has a format) and not an Image (which has an encoding)."""
    return hasattr(message, "format")


def holds_depth(message: Any) -> bool:
    """Whether the message's own encoding says that it holds depth."""
    if not is_compressed(message):
        return message.encoding in DEPTH_ENCODINGS
    return "compressedDepth" in message.format or message.format.startswith(("16UC1", "32FC1", "mono16"))


def rgb_of(message: Any, name: str, width: int, height: int) -> UInt8:
    """uint8 [height, width, 3] of a colour or grey image.

    Raises:
        SpatiaError: on another encoding, another size, or bytes that do not fit the size.
    """
    if is_compressed(message):
        return decode_rgb(bytes(message.data), name, width, height)
    if message.encoding not in COLOUR_ENCODINGS:
        raise SpatiaError(f"{name}: expected an encoding of {', '.join(COLOUR_ENCODINGS)}, got {message.encoding!r}")
    channels = COLOUR_ENCODINGS[message.encoding]
    pixels = _rows(message, name, width, height, channels).reshape(height, width, channels)
    return pixels if message.encoding == "rgb8" else np.asarray(cv2.cvtColor(pixels, _TO_RGB[message.encoding]), np.uint8)


def depth_of(message: Any, name: str, width: int, height: int) -> Float32:
    """float32 [height, width] metres, 0 = unknown (NaN, infinity, and below 0 become 0; REP-118).

    Raises:
        SpatiaError: on another encoding, another size, or bytes that do not fit the size.
    """
    if is_compressed(message):
        return _compressed_depth(message, name, width, height)
    if message.encoding not in DEPTH_ENCODINGS:
        raise SpatiaError(f"{name}: expected an encoding of {', '.join(DEPTH_ENCODINGS)}, got {message.encoding!r}")
    dtype = np.dtype(DEPTH_ENCODINGS[message.encoding]).newbyteorder(">" if message.is_bigendian else "<")
    values = _rows(message, name, width, height, dtype.itemsize).view(dtype)
    return _metres(values, name)


def _rows(message: Any, name: str, width: int, height: int, bytes_per_pixel: int) -> UInt8:
    """The picture's bytes [height, width * bytes_per_pixel] without the padding of its rows."""
    if (message.width, message.height) != (width, height):
        raise SpatiaError(f"{name}: expected {width}x{height} px as its calibration says, got {message.width}x{message.height}")
    if max(width, height) > MAX_IMAGE_SIDE_PX:
        raise SpatiaError(f"{name}: expected image sides of at most {MAX_IMAGE_SIDE_PX} px, got {width}x{height}")
    data = np.frombuffer(memoryview(message.data), np.uint8)
    row = width * bytes_per_pixel
    if message.step < row or len(data) != message.step * height:
        got = f"step {message.step} and {len(data)} bytes"
        raise SpatiaError(f"{name}: expected {height} rows of at least {row} bytes, got {got}")
    return data.reshape(height, message.step)[:, :row].copy()


def _metres(values: np.ndarray, name: str) -> Float32:
    if values.dtype.kind == "u":
        return values.astype(np.float32) / np.float32(1000)
    if values.dtype.kind != "f":
        raise SpatiaError(f"{name}: expected millimetres (16 bit) or metres (float), got {values.dtype}")
    metres = values.astype(np.float32)
    return np.where(np.isfinite(metres) & (metres > 0), metres, np.float32(0))


def _compressed_depth(message: Any, name: str, width: int, height: int) -> Float32:
    """A 16-bit PNG of millimetres, or compressed_depth_image_transport's PNG after its 12-byte header."""
    data = bytes(message.data)
    if "compressedDepth" not in message.format:
        return _metres(decode_depth(data, name, width, height), name)
    if "rvl" in message.format or len(data) < _QUANTISED_HEADER.size:
        raise SpatiaError(f"{name}: expected compressedDepth as PNG, got format {message.format!r} of {len(data)} bytes")
    _, a, b = _QUANTISED_HEADER.unpack_from(data)
    stored = decode_depth(data[_QUANTISED_HEADER.size :], name, width, height)
    if not message.format.startswith("32FC1"):
        return _metres(stored, name)
    with np.errstate(divide="ignore"):
        # The transport stores a / z + b, and 0 where z is unknown.
        return _metres(np.where(stored > 0, np.float32(a) / (stored.astype(np.float32) - np.float32(b)), np.float32(0)), name)
