"""The path as a graph: keyframes chosen by news and motion, the motions between them, and what loops make of it.

Everything is kept relative to a keyframe: a frame to the keyframe it is anchored to, a keyframe to the one before. So the
poses that come in may start to drift, jump, or be corrected at their source, and what was measured stays valid.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.config import LoopsConfig
from spatia_ros.memory.keyframes import Samples, shown_in_each
from spatia_ros.slam.correct import Correction
from spatia_ros.slam.loops import Loop, apart_m, apart_rad
from spatia_ros.slam.pose_graph import Edge, information, optimise
from spatia_ros.types import Camera, Float32, Float64, Trajectory

SAME_DEPTH = 0.1
"""Relative difference in depth below which two keyframes see the same surface."""
STEADY_M, STEADY_RAD = 0.002, 0.001
"""Error of a motion between neighbours that does not grow with its length."""


@dataclass(slots=True)
class Node:
    """A keyframe.

    Args:
        stamp_ns: its time. way: how far along the path it lies, metres plus radians.
        parent: the keyframe it was reached from, itself for the first. T_parent_node: float64 [4, 4], how.
        T_source: its pose as its source now has it. T_world_node: as it is now believed. T_map: as the map has it.
    """

    stamp_ns: int
    way: float
    parent: int
    T_parent_node: Float64
    T_source: Float64
    T_world_node: Float64
    T_map: Float64


@dataclass(slots=True)
class KeyframeGraph:
    """Keyframes, frames anchored to them, and the edges between."""

    config: LoopsConfig
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    false_loops: int = 0
    anchor: int = 0
    _frames: list[tuple[int, int, Float64]] = field(default_factory=list)
    _samples: Samples | None = None

    def __len__(self) -> int:
        return len(self.nodes)

    def poses(self) -> Float64:
        """T_world_node, float64 [N, 4, 4]."""
        return np.stack([node.T_world_node for node in self.nodes])

    def last_ns(self) -> int:
        """Time of the last frame."""
        return self._frames[-1][0]

    def last_pose(self) -> Float64:
        """Where the last frame is now believed to be, float64 [4, 4]."""
        _, anchor, T_anchor_frame = self._frames[-1]
        return self.nodes[anchor].T_world_node @ T_anchor_frame

    def place(self, T_source: Float64) -> Float64:
        """A pose as it came, carried to where its keyframe now is."""
        if not self.nodes:
            return T_source
        node = self.nodes[self.anchor]
        return node.T_world_node @ geometry.inverse(node.T_source) @ T_source

    def relocate(self, T_source: Float64) -> None:
        """Anchor to the nearest keyframe: a camera found again has not come from the last one."""
        self.anchor = int(np.argmin([apart_m(n.T_source, T_source) + apart_rad(n.T_source, T_source) for n in self.nodes]))

    def is_news(self, depth: Float32, camera: Camera, T_source: Float64) -> bool:
        """Whether the anchor shows too little of this view, or lies too far behind."""
        if self._samples is None or self._step(T_source) >= self.config.keyframe_step:
            return True
        T_anchor_frame = geometry.inverse(self.nodes[self.anchor].T_source) @ T_source
        now, last = Samples.of(depth, camera, T_anchor_frame), self._samples
        known = now.reach > 0
        shown = shown_in_each(
            now.points[None], now.reach[None], last.grid[None], last.intrinsics[None], last.T_cam_world[None], SAME_DEPTH, 10.0
        )[0]
        return bool(known.any() and shown[known].mean() < self.config.keyframe_overlap)

    def follow(self, stamp_ns: int, T_source: Float64) -> None:
        """Remember a frame: it moves with its anchor."""
        T_anchor_frame = geometry.inverse(self.nodes[self.anchor].T_source) @ T_source
        self._frames.append((stamp_ns, self.anchor, T_anchor_frame))

    def add(self, stamp_ns: int, depth: Float32, camera: Camera, T_source: Float64) -> None:
        """Make a frame a keyframe, tied to its anchor by their motion; it is the anchor from now on."""
        n, T_world_node = len(self), self.place(T_source)
        if not n:
            self.nodes.append(Node(stamp_ns, 0.0, 0, np.eye(4), T_source, T_world_node, T_world_node))
        else:
            T_parent_node = geometry.inverse(self.nodes[self.anchor].T_source) @ T_source
            step = self._step(T_source)
            self.edges.append(Edge(self.anchor, n, T_parent_node, self._drifting(step)))
            way = self.nodes[-1].way + step
            self.nodes.append(Node(stamp_ns, way, self.anchor, T_parent_node, T_source, T_world_node, T_world_node))
        self._samples = Samples.of(depth, camera, np.eye(4))
        self.anchor = n

    def measured(self, T_parent_node: Float64, how_sure: Float64, *, instead: bool) -> None:
        """Another measurement of the motion to the last keyframe, beside the one it came with or instead of it."""
        edge = Edge(self.nodes[-1].parent, len(self) - 1, T_parent_node, how_sure)
        if instead:
            self.edges[-1] = edge
        else:
            self.edges.append(edge)

    def close(self, loops: list[Loop]) -> Correction:
        """Tie loops in and let all keyframes settle; says what must move for the map to agree."""
        self.loops += loops
        self.edges += [Edge(loop.i, loop.j, loop.T_i_j, loop.information, uncertain=True) for loop in loops]
        solution = optimise(self.poses(), self.edges, self.config.misfit_m)
        self.false_loops = int((~solution.believed).sum())
        for node, T in zip(self.nodes, solution.T_world_node, strict=True):
            node.T_world_node = T
        stamps = np.array([node.stamp_ns for node in self.nodes], np.int64)
        return Correction(stamps, np.stack([node.T_map for node in self.nodes]), self.poses())

    def map_corrected(self) -> None:
        """The map agrees with the keyframes as they are now believed."""
        for node in self.nodes:
            node.T_map = node.T_world_node

    def source_corrected(self, T_source: Float64) -> None:
        """The source of poses has taken the correction over; its pose of the last keyframe is ``T_source`` now."""
        for node in self.nodes:
            node.T_source = node.T_world_node
        self.nodes[-1].T_source = T_source

    def trajectory(self) -> Trajectory:
        """Every remembered frame where it is now believed: carried by its anchor, and ever more by the next keyframe."""
        stamps = np.array([frame[0] for frame in self._frames], np.int64)
        starts = np.array([node.stamp_ns for node in self.nodes], np.int64)
        following = np.searchsorted(starts, stamps, side="left")
        return Trajectory(stamps, np.stack([self._blended(*f, int(k)) for f, k in zip(self._frames, following, strict=True)]))

    def _blended(self, stamp_ns: int, anchor: int, T_anchor_frame: Float64, following: int) -> Float64:
        a = self.nodes[anchor]
        T = a.T_world_node @ T_anchor_frame
        if following == len(self) or self.nodes[following].parent != anchor or following == anchor:
            return T
        b = self.nodes[following]
        T_late = b.T_world_node @ geometry.inverse(b.T_parent_node) @ T_anchor_frame
        share = (stamp_ns - a.stamp_ns) / max(b.stamp_ns - a.stamp_ns, 1)
        turn = Rotation.from_matrix(T[:3, :3].T @ T_late[:3, :3]).as_rotvec()
        R = T[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
        return geometry.pose(R, (1 - share) * T[:3, 3] + share * T_late[:3, 3])

    def _step(self, T_source: Float64) -> float:
        """Way from the anchor, metres plus radians."""
        T = self.nodes[self.anchor].T_source
        return apart_m(T_source, T) + apart_rad(T_source, T)

    def _drifting(self, step: float) -> Float64:
        drift = self.config.drift_ratio * step
        return information(STEADY_M + drift, STEADY_RAD + 0.5 * drift)
