"""Where one frame is in another at a time: what /tf and /tf_static said lately (tf2's listener is not on PyPI)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
from geometry_msgs.msg import TransformStamped

from spatia_ros import geometry
from spatia_ros.nodes import convert
from spatia_ros.types import Float64, SpatiaError, Trajectory

KEEP_NS = 10_000_000_000
MAX_SAMPLES = 10_000
MAX_FRAMES = 1000


class NoTransform(SpatiaError):
    """Frames that are not connected, or not at that time (yet)."""


@dataclass
class _Edge:
    """How a frame moved in its parent."""

    parent: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)
    T_parent_child: list[Float64] = field(default_factory=list)

    def add(self, stamp_ns: int, T: Float64) -> None:
        if self.static:
            self.stamps_ns, self.T_parent_child = [stamp_ns], [T]
            return
        at = bisect_left(self.stamps_ns, stamp_ns)
        if at < len(self.stamps_ns) and self.stamps_ns[at] == stamp_ns:
            self.T_parent_child[at] = T
            return
        self.stamps_ns.insert(at, stamp_ns)
        self.T_parent_child.insert(at, T)
        old = max(bisect_left(self.stamps_ns, self.stamps_ns[-1] - KEEP_NS), len(self.stamps_ns) - MAX_SAMPLES)
        del self.stamps_ns[:old], self.T_parent_child[:old]

    def at(self, stamp_ns: int, child: str) -> Float64:
        if self.static:
            return self.T_parent_child[0]
        first, last = self.stamps_ns[0], self.stamps_ns[-1]
        if not first <= stamp_ns <= last:
            got = f"{self.parent} -> {child} is known from {first} to {last} ns"
            raise NoTransform(f"transform: expected one at {stamp_ns} ns, {got}")
        after = bisect_left(self.stamps_ns, stamp_ns)
        if self.stamps_ns[after] == stamp_ns:
            return self.T_parent_child[after]
        pair = slice(after - 1, after + 1)
        between = Trajectory(np.array(self.stamps_ns[pair], np.int64), np.stack(self.T_parent_child[pair]))
        return geometry.interpolate(between, np.array([stamp_ns]))[0]


class TransformBuffer:
    """The tree of frames over the last ten seconds of what was inserted."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def insert(self, msg: TransformStamped, static: bool = False) -> None:
        """Remember one transform; a frame that changes its parent is forgotten under the old one.

        Raises:
            SpatiaError: on a malformed transform, or more frames than a robot has.
        """
        parent, child = msg.header.frame_id, msg.child_frame_id
        name = f"transform {parent} -> {child}"
        if not parent or not child or parent == child:
            raise convert.Malformed("frame", f"{name}: expected two frames")
        stamp_ns, T = convert.time_ns(msg.header.stamp, name), convert.from_transform(msg.transform, name)
        edge = self._edges.get(child)
        if edge is None or (edge.parent, edge.static) != (parent, static):
            if edge is None and len(self._edges) >= MAX_FRAMES:
                raise convert.Malformed("frame", f"{name}: expected at most {MAX_FRAMES} frames")
            edge = self._edges[child] = _Edge(parent, static)
        edge.add(stamp_ns, T)

    def to_root(self, frame: str, stamp_ns: int) -> tuple[str, Float64]:
        """The root above a frame, itself where nothing is, and ``T_root_frame``.

        Raises:
            NoTransform: when a transform on the way is not known at that time.
        """
        T, child = np.eye(4), frame
        for _ in range(MAX_FRAMES):
            edge = self._edges.get(child)
            if edge is None:
                return child, T
            T, child = edge.at(stamp_ns, child) @ T, edge.parent
        raise NoTransform(f"transform: expected a tree, {frame} is its own ancestor")

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float64:
        """``T_target_source`` at a time, interpolated and never extrapolated.

        Raises:
            NoTransform: when the frames are not connected, or not known at that time.
        """
        root_a, T_root_target = self.to_root(target, stamp_ns)
        root_b, T_root_source = self.to_root(source, stamp_ns)
        if root_a != root_b:
            raise NoTransform(f"transform: expected {target} and {source} in one tree, got roots {root_a} and {root_b}")
        return geometry.inverse(T_root_target) @ T_root_source
