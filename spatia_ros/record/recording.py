"""Frames of a world node out of a recording of its topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.record.shot import Shot
from spatia_ros.sequence import open_sequence
from spatia_ros.sequence.bag_file import BagFile
from spatia_ros.types import SpatiaError, UInt8

FIGURES = ("render_ms", "generate_ms", "total_ms", "remembered_ratio", "mean_confidence")
"""Fields of ``spatia_ros/GeneratedFrame`` that a shot keeps."""


def read_shots(path: Path, camera: str = "camera") -> list[Shot]:
    """What a world node published, frame by frame: colour, depth and provenance of one stamp, and its pose by TF.

    Args:
        path: a bag with the topics of one camera. camera: its name.

    Raises:
        SpatiaError: when topics are missing or malformed, or not a single frame is whole.
    """
    sequence, bag = open_sequence(path), BagFile(path)
    provenance = {stamp: _mono8(m) for stamp, m in _by_stamp(bag, f"/{camera}/provenance").items()}
    metadata = _by_stamp(bag, f"/{camera}/color/metadata")
    shots = []
    for index, stamp_ns in enumerate(sequence.stamps_ns.tolist()):
        if stamp_ns in provenance and stamp_ns in metadata:
            frame = sequence.frame(index)
            figures = {name: float(getattr(metadata[stamp_ns], name)) for name in FIGURES}
            shots.append(Shot(stamp_ns, frame.T_world_cam, frame.rgb, frame.depth, provenance[stamp_ns], figures))
    if not shots:
        raise SpatiaError(f"{path}: expected frames with colour, depth, provenance and metadata of one stamp, found none")
    return shots


def _by_stamp(bag: BagFile, topic: str) -> dict[int, Any]:
    return {m.header.stamp.sec * 10**9 + m.header.stamp.nanosec: m for _, m in bag.messages(topic)}


def _mono8(message: Any) -> UInt8:
    if message.encoding != "mono8" or len(message.data) != message.height * message.step or message.step < message.width:
        got = f"{message.encoding} {message.width}x{message.height}, step {message.step}, {len(message.data)} bytes"
        raise SpatiaError(f"provenance: expected mono8 with step x height bytes, got {got}")
    rows = np.frombuffer(memoryview(message.data), np.uint8).reshape(message.height, message.step)
    return np.ascontiguousarray(rows[:, : message.width])
