"""Frames of a world node out of a recording of its topics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.record.shot import Shot
from spatia_ros.sequence import BagTopics, open_sequence
from spatia_ros.sequence.bag_file import BagFile
from spatia_ros.types import SpatiaError, UInt8

FIGURES = ("render_ms", "generate_ms", "total_ms", "remembered_ratio", "mean_confidence")
"""Fields of ``spatia_ros/GeneratedFrame`` that a shot keeps."""


class Recording(Sequence[Shot]):
    """What a world node published, frame by frame: colour, depth, provenance and metadata of one stamp, and its pose by TF.

    Shots are read when asked for. Frames of which a part did not arrive are left out.

    Args:
        path: a bag with the topics of a camera. camera: its name.

    Raises:
        SpatiaError: when topics are missing or malformed, or not a single frame is whole.
    """

    def __init__(self, path: Path, camera: str = "camera") -> None:
        self._bag = BagFile(path)
        own = {"colour": "color/image_raw", "depth": "depth/image_rect", "info": "color/camera_info"}
        topics = {field: f"/{camera}/{topic}" for field, topic in own.items()}
        there = {field: topic for field, topic in topics.items() if topic in self._bag.types}
        self._sequence = open_sequence(path, BagTopics(**there))
        self._topic = f"/{camera}/provenance"
        self._provenance = {stamp.stamp_ns: stamp for stamp in self._bag.stamps(self._topic)}
        self._figures = {_stamp_ns(m): _figures(m) for _, m in self._bag.messages(f"/{camera}/color/metadata")}
        whole = self._provenance.keys() & self._figures.keys()
        self._indices = [i for i, stamp_ns in enumerate(self._sequence.stamps_ns.tolist()) if stamp_ns in whole]
        if not self._indices:
            raise SpatiaError(f"{path}: expected frames with colour, depth, provenance and metadata of one stamp, found none")

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        frame = self._sequence.frame(self._indices[index])
        provenance = _mono8(self._bag.message(self._topic, self._provenance[frame.stamp_ns]))
        return Shot(frame.stamp_ns, frame.T_world_cam, frame.rgb, frame.depth, provenance, self._figures[frame.stamp_ns])


def _stamp_ns(message: Any) -> int:
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)


def _figures(message: Any) -> dict[str, float]:
    return {name: float(getattr(message, name)) for name in FIGURES}


def _mono8(message: Any) -> UInt8:
    if message.encoding != "mono8" or len(message.data) != message.height * message.step or message.step < message.width:
        got = f"{message.encoding} {message.width}x{message.height}, step {message.step}, {len(message.data)} bytes"
        raise SpatiaError(f"provenance: expected mono8 with step x height bytes, got {got}")
    rows = np.frombuffer(memoryview(message.data), np.uint8).reshape(message.height, message.step)
    return np.ascontiguousarray(rows[:, : message.width])
