"""Decoding PNG and JPEG bytes from untrusted recordings: the size is checked before anything is decoded."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

from spatia_ros.types import SpatiaError, UInt8

MAX_IMAGE_BYTES = 1 << 27
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def decode_rgb(data: bytes, name: str, width: int, height: int) -> UInt8:
    """uint8 [height, width, 3] from an 8-bit PNG or JPEG (grey becomes colour).

    Raises:
        SpatiaError: on another format, another size, or broken data.
    """
    image = _decode(data, name, width, height, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def decode_depth(data: bytes, name: str, width: int, height: int) -> np.ndarray:
    """uint16 [height, width] from a one-channel 16-bit PNG, in the file's own units.

    Raises:
        SpatiaError: on another format, another size, another depth of bits, or broken data.
    """
    image = _decode(data, name, width, height, cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint16 or image.ndim != 2:
        raise SpatiaError(f"{name}: expected a one-channel 16-bit PNG, got {image.dtype} {list(image.shape)}")
    return image


def read_bytes(path: Path) -> bytes:
    """The whole file, when it exists and is of a sane size for an image."""
    try:
        there = path.is_file()
    except OSError as error:  # a name that is too long
        raise SpatiaError(f"{path!s:.300}: expected an image file, got {error.strerror}") from None
    if not there:
        raise SpatiaError(f"{path}: expected an image file, found none")
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise SpatiaError(f"{path}: expected an image of at most {MAX_IMAGE_BYTES} bytes, got {path.stat().st_size}")
    return path.read_bytes()


def _decode(data: bytes, name: str, width: int, height: int, flags: int) -> np.ndarray:
    size = image_size(data, name)
    if size != (width, height):
        raise SpatiaError(f"{name}: expected {width}x{height} px as its calibration says, got {size[0]}x{size[1]}")
    # Orientation tags would turn the image away from its calibration.
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION if flags >= 0 else flags)
    if image is None:
        raise SpatiaError(f"{name}: expected a complete PNG or JPEG, got {len(data)} bytes that do not decode")
    return image


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """``(width, height)`` px that the header of a PNG or JPEG declares, without decoding it."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:2] == b"\xff\xd8":
        return _jpeg_size(data, name)
    raise SpatiaError(f"{name}: expected a PNG or JPEG, got bytes that begin {data[:8].hex(' ')!r}")


def _jpeg_size(data: bytes, name: str) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_SIZES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        # Fill bytes and stand-alone markers carry no length.
        at += (
            1
            if marker == 0xFF
            else 2
            if marker == 0x01 or 0xD0 <= marker <= 0xD7
            else 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        )
    raise SpatiaError(f"{name}: expected a JPEG with a frame header, found none in {len(data)} bytes")
