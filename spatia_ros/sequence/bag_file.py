"""One recorded bag: its topics, when each message was, and any message again when asked for."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from spatia_ros.sequence import bag_limits
from spatia_ros.types import SpatiaError

bag_limits.bound()
MAX_MESSAGE_BYTES = 1 << 29
MAX_FRAME_ID_BYTES = 4096


class Stamp(NamedTuple):
    """When a message was stamped (its header) and logged (the bag), and its frame."""

    stamp_ns: int
    log_ns: int
    frame_id: str


class BagFile:
    """A rosbag2 folder, .mcap or .db3 file; safe to read from several threads (each opens it for itself).

    Raises:
        SpatiaError: here and in every method, when the bag is missing, truncated or corrupt.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._of_thread = threading.local()
        with self.told():
            self.types = {c.topic: c.msgtype for c in self._reader().connections if c.msgcount}

    def topics(self, *msgtypes: str) -> list[str]:
        """Topics that have messages of these types, sorted."""
        return sorted(topic for topic, msgtype in self.types.items() if msgtype in msgtypes)

    def stamps(self, topic: str) -> list[Stamp]:
        """The header of every message of a topic whose type begins with one."""
        with self.told():
            return [_header(data, log_ns) for log_ns, data in self._raw(topic)]

    def messages(self, topic: str) -> Iterator[tuple[int, Any]]:
        """``(log time in ns, message)`` of a topic, in the order logged."""
        with self.told():
            for log_ns, data in self._raw(topic):
                yield log_ns, self._reader().deserialize(data, self.types[topic])

    def first(self, topic: str) -> Any:
        """The first message of a topic."""
        for _, message in self.messages(topic):
            return message
        raise SpatiaError(f"{self.path}: {topic}: expected at least one message, found none")

    def message(self, topic: str, stamp: Stamp) -> Any:
        """The message with this stamp."""
        with self.told():
            for log_ns, data in self._raw(topic, stamp.log_ns):
                if _header(data, log_ns) == stamp:
                    return self._reader().deserialize(data, self.types[topic])
        raise SpatiaError(f"{self.path}: expected a message of {topic} logged at {stamp.log_ns} ns, found none")

    def _raw(self, topic: str, log_ns: int | None = None) -> Iterator[tuple[int, bytes]]:
        reader = self._reader()
        chosen = [c for c in reader.connections if c.topic == topic]
        if not chosen:
            raise SpatiaError(f"{self.path}: expected the topic {topic}, got {sorted(self.types)}")
        for _, time, data in reader.messages(chosen, start=log_ns, stop=None if log_ns is None else log_ns + 1):
            if len(data) > MAX_MESSAGE_BYTES:
                raise SpatiaError(f"{topic}: expected messages of at most {MAX_MESSAGE_BYTES} bytes, got {len(data)}")
            yield time, data

    def _reader(self) -> AnyReader:
        reader = getattr(self._of_thread, "reader", None)
        if reader is None:
            reader = AnyReader([self.path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
            reader.open()
            self._of_thread.reader = reader
        return reader

    @contextmanager
    def told(self) -> Iterator[None]:
        """Whatever goes wrong inside becomes a SpatiaError that names the bag.

        Storage and message parsers raise whatever their parts raise, and a damaged bag's own
        message definitions may leave out fields.
        """
        try:
            yield
        except (SpatiaError, GeneratorExit):
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}".rstrip(": ")
            raise SpatiaError(f"{self.path}: expected a readable rosbag2 recording, got {what}") from error


def _header(data: bytes, log_ns: int) -> Stamp:
    """The std_msgs/Header at the start of a CDR message, without reading the rest."""
    order = "<" if data[1] & 1 else ">"
    seconds, nanoseconds, length = struct.unpack_from(order + "iII", data, 4)
    if seconds < 0 or nanoseconds >= 1_000_000_000 or not 1 <= length <= min(MAX_FRAME_ID_BYTES, len(data) - 16):
        raise SpatiaError(f"expected a header, got sec {seconds}, nanosec {nanoseconds} and a frame name of {length} bytes")
    return Stamp(seconds * 1_000_000_000 + nanoseconds, log_ns, data[16 : 16 + length - 1].decode().lstrip("/"))
