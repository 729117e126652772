"""The records of MCAP files (https://mcap.dev/spec), with the conventions of rosbag2's MCAP storage."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from backports import zstd

from spatia_ros.types import SpatiaError

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, INDEX, CHUNK_INDEX = 1, 2, 3, 4, 5, 6, 7, 8
STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
MOST_BYTES = 1 << 30
"""No record is longer: a length beyond it is damage."""


class Topic(NamedTuple):
    """What a channel carries.

    Args:
        name: of the topic. kind: ``package/msg/Name``. definition: the type's text with all it is made of.
        qos: offered_qos_profiles, as YAML. type_hash: RIHS01 of the type; empty: not known.
    """

    name: str
    kind: str
    definition: str
    qos: str
    type_hash: str = ""


def records(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """``(opcode, where it begins, content)`` of every whole record from here on."""
    while True:
        start = file.tell()
        head = file.read(9)
        if len(head) < 9:
            return
        opcode, length = struct.unpack("<BQ", head)
        if length > MOST_BYTES:
            return
        content = file.read(length)
        if len(content) < length:
            return
        yield opcode, start, content


def unpacked(content: bytes) -> tuple[str, int, bytes]:
    """Compression, packed size and records of a chunk.

    Raises:
        SpatiaError: when they are not what was written, or larger than any chunk of ours.
    """
    try:
        _, _, size, crc = struct.unpack_from("<QQQI", content)
        name, at = text_at(content, 28)
        packed = content[at + 8 :]
        if size > MOST_BYTES or name not in ("", "zstd"):
            raise SpatiaError(f"mcap chunk: expected at most {MOST_BYTES} bytes, plain or zstd, got {size} of {name!r:.80}")
        data = zstd.ZstdDecompressor().decompress(packed, size + 1) if name else packed
    except (zstd.ZstdError, struct.error, ValueError, EOFError) as error:
        raise SpatiaError(f"mcap chunk: {error!s:.200}") from None
    if len(data) != size or (crc and zlib.crc32(data) != crc):
        raise SpatiaError("mcap chunk: expected the bytes that were written, got others")
    return name, len(packed), data


def record(opcode: int, content: bytes) -> bytes:
    """A record."""
    return struct.pack("<BQ", opcode, len(content)) + content


def text(value: str) -> bytes:
    """A string with its length."""
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def pairs(values: dict[str, str]) -> bytes:
    """A map of strings."""
    data = b"".join(text(key) + text(value) for key, value in values.items())
    return struct.pack("<I", len(data)) + data


def text_at(data: bytes, at: int) -> tuple[str, int]:
    """A string and where the next field begins."""
    (length,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + length].decode(), at + 4 + length


def pairs_at(data: bytes, at: int) -> dict[str, str]:
    """A map of strings."""
    (length,) = struct.unpack_from("<I", data, at)
    at, end, out = at + 4, at + 4 + length, {}
    while at < end:
        key, at = text_at(data, at)
        out[key], at = text_at(data, at)
    return out


def schema_of(number: int, topic: Topic) -> bytes:
    """Content of a schema record."""
    return struct.pack("<H", number) + text(topic.kind) + text("ros2msg") + text(topic.definition)


def channel_of(number: int, schema: int, topic: Topic) -> bytes:
    """Content of a channel record."""
    told = {"offered_qos_profiles": topic.qos} | ({"topic_type_hash": topic.type_hash} if topic.type_hash else {})
    return struct.pack("<HH", number, schema) + text(topic.name) + text("cdr") + pairs(told)
