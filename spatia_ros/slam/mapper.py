"""From a camera's frames to a memory: poses found or taken, movers kept out, loops closed, the map corrected.

One frame at a time: :meth:`Mapper.observe` finds the pose (or takes the given one), makes the frame a keyframe when it
is news, looks for loops, corrects the map when one is believed, splits what moves from what stays, and integrates.
:meth:`Mapper.finish` integrates once more from the frames where they can be read again. The command line and the ROS
node are coats over these two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from spatia_ros.actors import Cast
from spatia_ros.config import WorldConfig
from spatia_ros.memory import Memory
from spatia_ros.slam.features import describe
from spatia_ros.slam.keyframe_graph import KeyframeGraph
from spatia_ros.slam.live_map import LiveMap
from spatia_ros.slam.loops import MIN_AGREEMENT, Loop, LoopCloser, Place, apart_m, apart_rad, cautious
from spatia_ros.slam.odometry import register
from spatia_ros.slam.pyramid import RgbdPyramid, build_pyramid
from spatia_ros.slam.tracker import Tracker
from spatia_ros.types import Camera, Float32, Float64, Frame, SpatiaError, Trajectory, UInt8

Poses = Literal["given", "tracked"]
Images = Callable[[int], tuple[UInt8, Float32]]
"""Number of an observed frame, from 0 -> its rgb and depth."""
Each = Callable[[Sequence[int]], Iterable[int]]
"""Something that goes through frame numbers, and may show how far it is."""

LOOK_WIDTH_PX = 160
"""Width at which keyframes are kept for dense registration."""
NEIGHBOUR_M, NEIGHBOUR_RAD = 0.1, 0.05
"""A dense registration of neighbours may differ this much from the motion they came with."""


@dataclass(frozen=True, slots=True)
class MapStep:
    """What became of one frame.

    Args:
        T_world_cam: float64 [4, 4], as believed now; the last known one when lost.
        state: "given", or what the tracker says: "started", "tracked", "lost" (nothing was integrated), "relocalised".
        counts: of :meth:`Memory.integrate`, and ``held``, pixels kept out because they move; empty when lost.
        loops: those believed since the last frame.
        corrected_m: how far the keyframe that moved most was moved in the map, 0 without a correction.
    """

    T_world_cam: Float64
    state: str
    counts: dict[str, int] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)
    corrected_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a mapper leaves.

    Args:
        memory: the map. cast: what moved; its animation time 0 is the first pose's.
        trajectory: of every frame that has a pose.
        loops: (time, time) of the keyframes each loop ties together, ns.
        figures: frames, lost, relocalised, keyframes, loops, false_loops, corrections, corrected_m, held, points, reintegrated.
    """

    memory: Memory
    cast: Cast
    trajectory: Trajectory
    loops: list[tuple[int, int]]
    figures: dict[str, float]


class Mapper:
    """Builds a memory from frames, one by one, in order of time.

    Args:
        config: its memory, tracking, dynamics, actors and loops sections.
        camera: intrinsics of every frame.
        poses: "given" with each frame, or "tracked" here. Given poses are taken as they are, unless
            ``loops.correct_given`` lets loops take their drift out.
    """

    def __init__(self, config: WorldConfig, camera: Camera, *, poses: Poses = "tracked") -> None:
        if poses not in ("given", "tracked"):
            raise SpatiaError(f"mapper: expected poses given or tracked, got {poses!r}")
        self.config, self.camera, self.poses = config, camera, poses
        self.map = LiveMap(config)
        self.graph = KeyframeGraph(config.loops)
        self.closer = LoopCloser(config.loops, config.tracking)
        self._looks_for_loops = config.loops.enabled if poses == "tracked" else config.loops.correct_given
        self._tracker: Tracker | None = None
        self._last: RgbdPyramid | None = None
        self._numbers: list[int] = []
        self._counts = dict.fromkeys(("frames", "lost", "relocalised", "corrections"), 0)
        self._corrected_m = 0.0

    def observe(self, rgb: UInt8, depth: Float32, stamp_ns: int, T_world_cam: Float64 | None = None) -> MapStep:
        """Take the next frame in.

        Args:
            rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 = unknown.
            stamp_ns: its time, later than the last.
            T_world_cam: float64 [4, 4]. When poses are tracked only the first one is used, as the place to start from.

        Raises:
            SpatiaError: on images of another size, a missing pose, or time that does not go forward.
        """
        if self._numbers and stamp_ns <= self.graph.last_ns():
            raise SpatiaError(f"mapper: expected a time after {self.graph.last_ns()} ns, got {stamp_ns}")
        T_source, state = self._posed(rgb, depth, stamp_ns, T_world_cam)
        # Images and pose are checked here, before anything is changed.
        frame = Frame(rgb, depth, self.camera, self.graph.place(T_source), stamp_ns)
        self._counts["frames"] += 1
        if state == "lost":
            self._counts["lost"] += 1
            return MapStep(frame.T_world_cam, state)
        if state == "relocalised":
            self._counts["relocalised"] += 1
            self.graph.relocate(T_source)
        loops, corrected_m = self._keyframe(frame, T_source, found_again=state == "relocalised")
        self.graph.follow(stamp_ns, self._source_pose(T_source))
        self._numbers.append(self._counts["frames"] - 1)
        T = self.graph.last_pose()
        counts = self.map.integrate(Frame(rgb, depth, self.camera, T, stamp_ns))
        return MapStep(T, state, counts, loops, corrected_m)

    @property
    def memory(self) -> Memory:
        """The map so far (another one after a correction)."""
        return self.map.memory

    def finish(self, frames: Images | None = None, each: Each = iter) -> Mapped:
        """The map, and the path through it.

        Args:
            frames: reads an observed frame again, by its number; after a correction the memory is then made anew from
                the frames at their corrected poses (better than the bent one, see :mod:`.correct`).
            each: goes through frame numbers, for a progress bar.

        Raises:
            SpatiaError: when no frame was observed.
        """
        if not self._numbers:
            raise SpatiaError("mapper: expected at least one frame with a pose, got none")
        trajectory = self.graph.trajectory()
        again = frames is not None and self._counts["corrections"] > 0
        if frames is not None and again:
            self._reintegrate(frames, each, trajectory)
        stamps = [node.stamp_ns for node in self.graph.nodes]
        figures = {
            **self._counts, "keyframes": len(self.graph), "loops": len(self.graph.loops), "false_loops": self.graph.false_loops,
            "corrected_m": round(self._corrected_m, 4), "reintegrated": int(again), "held": self.map.held,
            "points": len(self.memory),
        }  # fmt: skip
        loops = [(stamps[loop.i], stamps[loop.j]) for loop in self.graph.loops]
        return Mapped(self.map.memory, self.map.movers.cast(int(trajectory.stamps_ns[0])), trajectory, loops, figures)

    def _posed(self, rgb: UInt8, depth: Float32, stamp_ns: int, T_world_cam: Float64 | None) -> tuple[Float64, str]:
        if self.poses == "given":
            if T_world_cam is None:
                raise SpatiaError("mapper: expected a pose with every frame (poses are given), got none")
            return T_world_cam, "given"
        if self._tracker is None:
            self._tracker = Tracker(self.config.tracking, self.camera, T_world_cam)
        tracked = self._tracker.track(rgb, depth, stamp_ns)
        return tracked.T_world_cam, tracked.state

    def _source_pose(self, T_source: Float64) -> Float64:
        """The pose of the present frame as its source has it now (a correction moves a tracker's)."""
        return T_source if self._tracker is None else self._tracker.T_world_cam

    def _keyframe(self, frame: Frame, T_source: Float64, *, found_again: bool) -> tuple[list[Loop], float]:
        """Make the frame a keyframe if it is one, and close what loops it closes."""
        if not (found_again or self.graph.is_news(frame.depth, self.camera, T_source)):
            return [], 0.0
        before = self.graph.anchor
        self.graph.add(frame.stamp_ns, frame.depth, self.camera, T_source)
        if not self._looks_for_loops:
            return [], 0.0
        pyramid = build_pyramid(frame.rgb, frame.depth, self.camera, width_px=LOOK_WIDTH_PX)
        if self._last is not None and before == len(self.graph) - 2:
            self._measure(pyramid, self._last)
        self._last = pyramid
        features = describe(frame.rgb, frame.depth, self.camera, self.config.loops.features)
        loops = self.closer.add(Place(features, pyramid), self.graph.nodes[-1].way, self.graph.poses())
        return loops, self._close(loops) if loops else 0.0

    def _measure(self, pyramid: RgbdPyramid, last: RgbdPyramid) -> None:
        """Register a keyframe to the one before. A tracker's pose may have been drawn to an old keyframe by then, so this
        stands in for its motion; a given motion is only joined by it."""
        T_came = self.graph.nodes[-1].T_parent_node
        found = register(pyramid, last, T_came, self.config.tracking)
        T = found.T_target_source
        if found.agreement >= MIN_AGREEMENT and apart_m(T, T_came) < NEIGHBOUR_M and apart_rad(T, T_came) < NEIGHBOUR_RAD:
            self.graph.measured(T, cautious(found.information), instead=self.poses == "tracked")

    def _close(self, loops: list[Loop]) -> float:
        """Settle the keyframes; bend the map once one of them is clearly elsewhere. Returns how far it moved, metres."""
        correction = self.graph.close(loops)
        moved_m = correction.largest_m()
        if moved_m < self.config.loops.correct_m:
            return 0.0
        self._counts["corrections"] += 1
        self._corrected_m = max(self._corrected_m, moved_m)
        self.map.correct(correction)
        self.graph.map_corrected()
        if self._tracker is not None:
            kept = self._tracker.keyframes
            stamps = np.array([k.stamp_ns for k in kept], np.int64)
            corrected = correction.poses(stamps, np.stack([k.T_world_cam for k in kept]))
            self._tracker.correct(dict(zip(stamps.tolist(), corrected, strict=True)))
            self.graph.source_corrected(self._tracker.T_world_cam)
        return moved_m

    def _reintegrate(self, frames: Images, each: Each, trajectory: Trajectory) -> None:
        """Make memory and movers anew from the frames at their corrected poses."""
        self.map = LiveMap(self.config)
        for k in each(range(len(self._numbers))):
            rgb, depth = frames(self._numbers[k])
            self.map.integrate(Frame(rgb, depth, self.camera, trajectory.T_world_cam[k], int(trajectory.stamps_ns[k])))
