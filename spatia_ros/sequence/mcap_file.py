"""MCAP files written so that what was flushed survives anything: a file whose writer was killed is mended, or gone on with.

The format is https://mcap.dev/spec with the conventions of rosbag2's MCAP storage: profile ``ros2``, schemas ``ros2msg``, the
offered quality of service in each channel's metadata. Each flush makes one chunk; schemas and channels lie in the chunk of
the first message that needs them, so every file of a bag, and every beginning of a file, can be read by itself.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from spatia_ros.sequence.mcap_records import (
    CHANNEL,
    CHUNK,
    CHUNK_INDEX,
    DATA_END,
    FOOTER,
    HEADER,
    INDEX,
    MAGIC,
    MESSAGE,
    METADATA,
    METADATA_INDEX,
    SCHEMA,
    STATISTICS,
    SUMMARY_OFFSET,
    Topic,
    channel_of,
    pairs,
    pairs_at,
    record,
    records,
    schema_of,
    text,
    text_at,
    unpacked,
    zstd,
)
from spatia_ros.types import SpatiaError

CHUNK_BYTES = 1 << 20
"""A chunk that has grown to this is written."""
LATEST = (1 << 64) - 1


@dataclass
class _Chunk:
    """Records that are not on disk yet."""

    data: bytearray = field(default_factory=bytearray)
    begin_ns: int = LATEST
    end_ns: int = 0
    messages: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


class Lies(NamedTuple):
    """Where a chunk lies in its file."""

    start: int
    end: int
    name: str  # of its compression
    packed: int  # bytes
    size: int  # bytes once unpacked


@dataclass
class _Known:
    """What the records so far have told."""

    schemas: dict[str, int] = field(default_factory=dict)
    topics: dict[int, Topic] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    last_ns: dict[int, int] = field(default_factory=dict)
    schema_records: list[bytes] = field(default_factory=list)
    channel_records: list[bytes] = field(default_factory=list)
    chunk_records: list[bytes] = field(default_factory=list)
    begin_ns: int = LATEST
    end_ns: int = 0


class McapFile:
    """An MCAP file being written.

    Args:
        path: made new, or, with ``go_on``, taken up after its last whole chunk; what comes after that is cut off.
        compressed: chunks by Zstandard, as rosbag2 with ``--storage-preset-profile zstd_fast``.

    Raises:
        SpatiaError: when a file to go on with is none. OSError: as the disk says.
    """

    def __init__(self, path: Path, *, compressed: bool = True, go_on: bool = False) -> None:
        self.path, self._compressed = path, compressed
        self._chunk, self._known = _Chunk(), _Known()
        self._file: BinaryIO = path.open("r+b" if go_on else "xb")
        try:
            if go_on:
                self._taken_up()
            else:
                self._file.write(MAGIC + record(HEADER, text("ros2") + text("spatia_ros")))
                self._file.flush()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> McapFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    @property
    def topics(self) -> dict[int, Topic]:
        """What there is, by number."""
        return dict(self._known.topics)

    @property
    def counts(self) -> dict[int, int]:
        """Messages by number of their topic, those not flushed included."""
        return dict(self._known.counts)

    @property
    def last_ns(self) -> dict[int, int]:
        """Log time of the last message by number of its topic."""
        return dict(self._known.last_ns)

    @property
    def span_ns(self) -> tuple[int, int]:
        """Log time of the first and of the last message; (0, 0) without any."""
        return (self._known.begin_ns, self._known.end_ns) if any(self._known.counts.values()) else (0, 0)

    @property
    def size(self) -> int:
        """Bytes on disk, and waiting."""
        return self._file.tell() + len(self._chunk.data)

    def add(self, topic: Topic) -> int:
        """The number of a topic, made known to the file where it is new."""
        for number, known in self._known.topics.items():
            if known.name == topic.name and known.kind == topic.kind:
                return number
        if topic.kind not in self._known.schemas:
            number = len(self._known.schemas) + 1
            self._chunk.data += record(SCHEMA, schema_of(number, topic))
            self._note_schema(topic.kind, number, schema_of(number, topic))
        number = max(self._known.topics, default=0) + 1
        content = channel_of(number, self._known.schemas[topic.kind], topic)
        self._chunk.data += record(CHANNEL, content)
        self._note_channel(number, topic, content)
        return number

    def write(self, number: int, log_ns: int, data: bytes | memoryview, publish_ns: int | None = None) -> None:
        """Add a serialised message; it is on disk once its chunk is full, or flushed."""
        at = len(self._chunk.data)
        count = self._known.counts[number]
        head = struct.pack("<HIQQ", number, count & 0xFFFFFFFF, log_ns, log_ns if publish_ns is None else publish_ns)
        self._chunk.data += struct.pack("<BQ", MESSAGE, len(head) + len(data)) + head
        self._chunk.data += data
        self._note_message(number, log_ns, at)
        if len(self._chunk.data) >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the chunk: from here on its messages survive the death of this process."""
        if not self._chunk.data:
            return
        data = bytes(self._chunk.data)
        name, packed = ("zstd", zstd.compress(data, 1)) if self._compressed else ("", data)
        begin_ns = self._chunk.begin_ns if self._chunk.messages else 0
        head = struct.pack("<QQQI", begin_ns, self._chunk.end_ns, len(data), zlib.crc32(data))
        start = self._file.tell()
        self._file.write(record(CHUNK, head + text(name) + struct.pack("<Q", len(packed)) + packed))
        self._finish_chunk(start, name, len(packed), len(data))

    def close(self, metadata: str = "") -> None:
        """Write the summary, and the bag's metadata where there is any (YAML, as rosbag2 keeps it in the file)."""
        self.flush()
        known, indices = self._known, b""
        if metadata:
            content = text("rosbag2") + pairs({"serialized_metadata": metadata})
            start = self._file.tell()
            self._file.write(record(METADATA, content))
            indices = record(METADATA_INDEX, struct.pack("<QQ", start, self._file.tell() - start) + text("rosbag2"))
        self._file.write(record(DATA_END, struct.pack("<I", 0)))
        start = self._file.tell()
        offsets = b""
        statistics = self._statistics(bool(metadata))
        groups = (
            (SCHEMA, b"".join(known.schema_records)), (CHANNEL, b"".join(known.channel_records)),
            (CHUNK_INDEX, b"".join(known.chunk_records)), (METADATA_INDEX, indices), (STATISTICS, statistics),
        )  # fmt: skip
        for opcode, content in groups:
            if content:
                offsets += record(SUMMARY_OFFSET, struct.pack("<BQQ", opcode, self._file.tell(), len(content)))
                self._file.write(content)
        at = self._file.tell()
        self._file.write(offsets + record(FOOTER, struct.pack("<QQI", start, at, 0)) + MAGIC)
        self._file.close()

    def abandon(self) -> None:
        """Let go of the file as it is on disk."""
        self._file.close()

    def _statistics(self, has_metadata: bool) -> bytes:
        known, counts = self._known, self._known.counts
        numbers = struct.pack("<QHIIII", sum(counts.values()), len(known.schemas), len(known.topics), 0, int(has_metadata),
                              len(known.chunk_records))  # fmt: skip
        each = b"".join(struct.pack("<HQ", number, count) for number, count in sorted(counts.items()))
        return record(STATISTICS, numbers + struct.pack("<QQ", *self.span_ns) + struct.pack("<I", len(each)) + each)

    def _note_schema(self, kind: str, number: int, content: bytes) -> None:
        if kind not in self._known.schemas:
            self._known.schemas[kind] = number
            self._known.schema_records.append(record(SCHEMA, content))

    def _note_channel(self, number: int, topic: Topic, content: bytes) -> None:
        if number not in self._known.topics:
            self._known.topics[number], self._known.counts[number] = topic, 0
            self._known.channel_records.append(record(CHANNEL, content))

    def _note_message(self, number: int, log_ns: int, at: int) -> None:
        self._chunk.messages.setdefault(number, []).append((log_ns, at))
        self._known.counts[number] += 1
        self._known.last_ns[number] = max(self._known.last_ns.get(number, 0), log_ns)
        for each in (self._chunk, self._known):
            each.begin_ns, each.end_ns = min(each.begin_ns, log_ns), max(each.end_ns, log_ns)

    def _finish_chunk(self, start: int, name: str, packed: int, size: int) -> None:
        """Write the indices after a chunk, and note where it lies."""
        end, offsets = self._file.tell(), []
        for number, messages in self._chunk.messages.items():
            offsets.append((number, self._file.tell()))
            entries = b"".join(struct.pack("<QQ", *each) for each in messages)
            self._file.write(record(INDEX, struct.pack("<HI", number, len(entries)) + entries))
        self._note_chunk(Lies(start, end, name, packed, size), offsets, self._file.tell())
        self._file.flush()

    def _note_chunk(self, lies: Lies, offsets: list[tuple[int, int]], end: int) -> None:
        """Note a chunk that is on disk, and its indices, which end at ``end``."""
        begin_ns = self._chunk.begin_ns if self._chunk.messages else 0
        each = b"".join(struct.pack("<HQ", *offset) for offset in offsets)
        content = struct.pack("<QQQQI", begin_ns, self._chunk.end_ns, lies.start, lies.end - lies.start, len(each)) + each
        content += struct.pack("<Q", end - lies.end) + text(lies.name) + struct.pack("<QQ", lies.packed, lies.size)
        self._known.chunk_records.append(record(CHUNK_INDEX, content))
        self._chunk = _Chunk()

    def _taken_up(self) -> None:
        """Take up a file, whoever made it.

        Raises:
            SpatiaError: when what is in it fits no bag.
        """
        try:
            self._take_up()
        except (struct.error, ValueError, LookupError, OverflowError, StopIteration) as error:
            raise SpatiaError(f"{self.path}: expected the records of a bag, got {type(error).__name__}: {error!s:.200}") from None

    def _take_up(self) -> None:
        """Read what is whole, cut off the rest, and write the indices of the last chunk anew."""
        if self._file.read(len(MAGIC)) != MAGIC:
            raise SpatiaError(f"{self.path}: expected an MCAP file, got something else")
        end, last, offsets, indexed = len(MAGIC), None, list[tuple[int, int]](), 0
        for opcode, start, content in records(self._file):
            here = self._file.tell()
            if opcode == INDEX:
                offsets.append((*struct.unpack_from("<H", content), start))
                indexed = here
            elif opcode == CHUNK:
                try:
                    name, packed, data = unpacked(content)
                except SpatiaError:
                    break
                if last:
                    self._note_chunk(last, offsets, indexed)
                self._read_chunk(data)
                last, offsets, indexed, end = Lies(start, here, name, packed, len(data)), [], here, here
            elif opcode == HEADER:
                end = here
            elif opcode in (SCHEMA, CHANNEL, MESSAGE):  # cutting them off would lose what is whole
                raise SpatiaError(f"{self.path}: expected messages in chunks, as we write them; try 'mcap recover'")
            else:
                break
        self._file.seek(end)
        self._file.truncate()
        if last:
            self._finish_chunk(last.start, last.name, last.packed, last.size)

    def _read_chunk(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            opcode, length = struct.unpack_from("<BQ", data, at)
            content = data[at + 9 : at + 9 + length]
            if opcode == SCHEMA:
                (number,), (kind, _) = struct.unpack_from("<H", content), text_at(content, 2)
                self._note_schema(kind, number, content)
            elif opcode == CHANNEL:
                self._note_channel(*self._channel_in(content), content)
            elif opcode == MESSAGE:
                number, _, log_ns, _ = struct.unpack_from("<HIQQ", content)
                self._note_message(number, log_ns, at)
            at += 9 + length

    def _channel_in(self, content: bytes) -> tuple[int, Topic]:
        number, schema = struct.unpack_from("<HH", content)
        name, at = text_at(content, 4)
        _, at = text_at(content, at)
        metadata = pairs_at(content, at)
        kind = next(kind for kind, each in self._known.schemas.items() if each == schema)
        return number, Topic(name, kind, "", metadata.get("offered_qos_profiles", ""), metadata.get("topic_type_hash", ""))


def mend(path: Path) -> dict[str, int]:
    """Close a file whose writer could not; returns the messages in it by topic.

    Raises:
        SpatiaError: when it is no MCAP file.
    """
    file = McapFile(path, go_on=True)
    counts = {file.topics[number].name: count for number, count in file.counts.items()}
    file.close()
    with path.open("rb") as written:
        os.fsync(written.fileno())
    return counts
