"""How much the compressed parts of a bag may become: rosbags itself unpacks whatever a chunk of some bytes stands for.

A megabyte of zstd or LZ4 can stand for terabytes of zeros, and the size is compared only after it was unpacked.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2 import reader, storage_mcap

from spatia_ros.types import SpatiaError

MAX_CHUNK_BYTES = 1 << 30
MAX_FILE_BYTES = 64 << 30
ZSTD: Any = storage_mcap.zstd
"""Of the standard library where it has one (Python 3.14), else its backport."""


def bound() -> None:
    """Have rosbags unpack no more than a chunk, message or file says, or may be."""
    storage_mcap.DECOMPRESSORS["lz4"] = lambda data, size: unpacked(data, size, LZ4FrameDecompressor)
    storage_mcap.DECOMPRESSORS["zstd"] = lambda data, size: unpacked(data, size, ZSTD.ZstdDecompressor)
    reader.zstd = _Bounded  # type: ignore[assignment]


def unpacked(data: bytes, size: int, decompressor: Callable[[], Any]) -> bytes:
    """The bytes that packed data stands for, at most so many.

    Raises:
        SpatiaError: when they are more.
    """
    if size > MAX_CHUNK_BYTES:
        raise SpatiaError(f"bag: expected chunks of at most {MAX_CHUNK_BYTES} bytes, got one of {size}")
    parts, left, rest = [], size, data
    while rest:  # one frame after the other
        frame = decompressor()
        part = frame.decompress(rest, left + 1)
        left -= len(part)
        parts.append(part)
        if left < 0 or not frame.eof:
            what = "more" if left < 0 else "a part that is cut short"
            raise SpatiaError(f"bag: expected {size} bytes in a compressed part, got {what}")
        rest = frame.unused_data or b""
    return b"".join(parts)


class _Bounded:
    """What rosbags uses of the zstd module, bounded."""

    @staticmethod
    def decompress(data: bytes) -> bytes:
        """A message; its size is not said anywhere, so it is held to that of a chunk."""
        frame = ZSTD.ZstdDecompressor()
        out: bytes = frame.decompress(data, MAX_CHUNK_BYTES)
        if not frame.eof:
            most = f"compressed messages of at most {MAX_CHUNK_BYTES} bytes"
            raise SpatiaError(f"bag: expected {most}, got one that is larger, or cut short")
        return out

    @staticmethod
    def open(file: BinaryIO, mode: str) -> BinaryIO:
        """A whole file of a bag."""
        return io.BufferedReader(_Counted(ZSTD.open(file, mode)))


class _Counted(io.RawIOBase):
    """A stream that ends in an error when it becomes too long."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._read = stream, 0

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._read += len(data)
        if self._read > MAX_FILE_BYTES:
            raise SpatiaError(f"bag: expected a file of at most {MAX_FILE_BYTES} bytes when unpacked, got a larger one")
        return len(data)
