"""Writing RGB-D sequences as rosbag2 recordings that ROS tools play."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from spatia_ros.sequence.bag_messages import TOPICS, DepthEncoding, Messages
from spatia_ros.sequence.draft import draft_of
from spatia_ros.sequence.sequence import Sequence
from spatia_ros.types import Frame, SpatiaError


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
    messages = Messages()
    last_ns = -1
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    writer.set_custom_data("written_by", "spatia_ros")
    with writer:
        topics = {
            topic: writer.add_connection(topic, kind, typestore=messages.store, offered_qos_profiles=[_qos(topic)])
            for topic, kind in TOPICS.items()
        }
        for frame in frames:
            if frame.stamp_ns <= last_ns:
                raise SpatiaError(f"write_bag: expected times from 0 that increase, got {frame.stamp_ns} ns after {last_ns} ns")
            for topic, message in (() if last_ns >= 0 else messages.static()) + messages.of(frame, depth):
                data = messages.store.serialize_cdr(message, TOPICS[topic])
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
