"""Bags whose compressed parts stand for more than they say, or than anybody has room for."""

from __future__ import annotations

import resource
from pathlib import Path

import lz4.frame
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, storage_mcap
from test_sequence_bag import assert_same, camera_messages, frames, made, odometry

from spatia_ros.sequence import bag_limits, open_sequence
from spatia_ros.types import SpatiaError

zstd = bag_limits.ZSTD
MB = 1 << 20


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_a_chunk_becomes_what_it_says_and_no_more(name):
    data = bytes(range(256)) * 100
    pack = zstd.compress if name == "zstd" else lz4.frame.compress
    unpack = storage_mcap.DECOMPRESSORS[name]
    assert unpack(pack(data), len(data)) == data
    assert unpack(pack(data[:100]) + pack(data[100:]), len(data)) == data, "frame after frame"
    assert unpack(pack(b""), 0) == b""
    for said in (0, 10, len(data) - 1):
        with pytest.raises(SpatiaError, match="got more"):
            unpack(pack(data), said)
    with pytest.raises(SpatiaError, match="cut short"):
        unpack(pack(data)[:-5], len(data))
    with pytest.raises(SpatiaError, match="at most"):
        unpack(pack(data), bag_limits.MAX_CHUNK_BYTES + 1)


def test_a_bomb_is_not_unpacked():
    """Half a gigabyte of zeros in a few kilobytes: refused without room for it."""
    bomb = zstd.compress(bytes(512 * MB))
    assert len(bomb) < MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SpatiaError, match="got more"):
        storage_mcap.DECOMPRESSORS["zstd"](bomb, 1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize(
    ("mode", "plugin"), [(CompressionMode.MESSAGE, StoragePlugin.SQLITE3), (CompressionMode.FILE, StoragePlugin.SQLITE3)]
)
def test_compressed_bags_are_read_within_bounds(tmp_path: Path, monkeypatch, mode, plugin):
    path = tmp_path / "bag"
    writer = Writer(path, version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        topics = {}
        for frame in frames():
            for topic, kind, time, message in [*camera_messages(frame), odometry(frame.stamp_ns, frame.T_world_cam, "optical")]:
                if topic not in topics:
                    topics[topic] = writer.add_connection(topic, kind, typestore=made.store)
                writer.write(topics[topic], time, made.store.serialize_cdr(message, kind))
    assert_same(open_sequence(path), frames())
    monkeypatch.setattr(bag_limits, "MAX_CHUNK_BYTES" if mode is CompressionMode.MESSAGE else "MAX_FILE_BYTES", 500)
    with pytest.raises(SpatiaError, match=r"expected .* at most 500 bytes"):
        open_sequence(path).frame(0)
