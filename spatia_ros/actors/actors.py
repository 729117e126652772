"""Moving things, kept beside the static memory: what each looked like, and where it was, over time.

An actor's frame has the world's axes and its origin in the middle of the tracked box: its place is
estimated, its turning is not. Points of one observation are those pixels of one frame.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from spatia_ros import geometry
from spatia_ros.actors.mover import Mover
from spatia_ros.config import ActorsConfig
from spatia_ros.types import Float32, Float64, Frame, SpatiaError, UInt8


class ActorPoints(NamedTuple):
    """An actor at one time."""

    xyz: Float32  # [N, 3], metres, world
    rgb: UInt8  # [N, 3]
    observed_ns: int  # when these points were seen


@dataclass(frozen=True, slots=True)
class Observation:
    """What one frame showed of an actor.

    Args:
        stamp_ns: time of the frame.
        position: float64 [3], origin of the actor's frame in the world, m.
        low, high: float64 [3], the box in the world, m.
        xyz: float32 [N, 3], m, in the actor's frame. rgb: uint8 [N, 3].
    """

    stamp_ns: int
    position: Float64
    low: Float64
    high: Float64
    xyz: Float32
    rgb: UInt8


@dataclass(slots=True)
class _Actor:
    seen: deque[Observation] = field(default_factory=deque)

    def nearest(self, stamp_ns: int) -> int:
        stamps = [o.stamp_ns for o in self.seen]
        i = min(bisect_left(stamps, stamp_ns), len(stamps) - 1)
        return i - 1 if i > 0 and stamp_ns - stamps[i - 1] <= stamps[i] - stamp_ns else i

    def between(self, stamp_ns: int, name: str) -> Float64:
        """A value of the observations at a time: linear between them, held before the first and after the last."""
        stamps = np.array([o.stamp_ns for o in self.seen], np.float64) - self.seen[0].stamp_ns
        values = np.array([getattr(o, name) for o in self.seen])
        at = float(stamp_ns - self.seen[0].stamp_ns)
        return np.array([np.interp(at, stamps, values[:, k]) for k in range(3)])


class Actors:
    """Time-indexed points of every moving thing; bounded, oldest out first."""

    def __init__(self, config: ActorsConfig) -> None:
        self.config = config
        self._actors: dict[int, _Actor] = {}

    def __len__(self) -> int:
        return len(self._actors)

    def observe(self, frame: Frame, movers: Sequence[Mover]) -> None:
        """Keep what a frame shows of those movers that are known to move.

        Raises:
            SpatiaError: when a mover's mask is not of the frame's size, or time runs backwards for an actor.
        """
        for mover in movers:
            if mover.mask.shape != frame.depth.shape:
                raise SpatiaError(f"actors.observe: expected masks {list(frame.depth.shape)}, got {list(mover.mask.shape)}")
            if mover.state == "moving":
                self._keep(frame, mover)

    def _keep(self, frame: Frame, mover: Mover) -> None:
        points, known = geometry.backproject(np.where(mover.mask, frame.depth, np.float32(0)), frame.camera, frame.T_world_cam)
        step = max(1, -(-len(points) // self.config.points))
        actor = self._actors.setdefault(mover.id, _Actor())
        if actor.seen and actor.seen[-1].stamp_ns >= frame.stamp_ns:
            raise SpatiaError(f"actor {mover.id}: expected a time after {actor.seen[-1].stamp_ns} ns, got {frame.stamp_ns}")
        xyz = (points[::step] - mover.centre).astype(np.float32)
        actor.seen.append(Observation(frame.stamp_ns, mover.centre, mover.low, mover.high, xyz, frame.rgb[known][::step]))
        while len(actor.seen) > self.config.observations:
            actor.seen.popleft()
        while len(self._actors) > self.config.actors:
            del self._actors[min(self._actors, key=lambda each: self._actors[each].seen[-1].stamp_ns)]

    def ids(self) -> list[int]:
        """Numbers of all actors, rising."""
        return sorted(self._actors)

    def span(self, actor: int) -> tuple[int, int]:
        """Times (ns) of the first and last observation kept."""
        seen = self._of(actor).seen
        return seen[0].stamp_ns, seen[-1].stamp_ns

    def at(self, actor: int, stamp_ns: int) -> ActorPoints:
        """The actor at a time: the points seen nearest in time, moved to where it was at that time.

        Raises:
            SpatiaError: for a number that is no actor's.
        """
        known = self._of(actor)
        seen = known.seen[known.nearest(stamp_ns)]
        return ActorPoints(seen.xyz + known.between(stamp_ns, "position").astype(np.float32), seen.rgb, seen.stamp_ns)

    def pose(self, actor: int, stamp_ns: int) -> Float64:
        """``T_world_actor`` [4, 4] at a time: linear between observations, held outside them."""
        return geometry.pose(np.eye(3), self._of(actor).between(stamp_ns, "position"))

    def box(self, actor: int, stamp_ns: int) -> tuple[Float64, Float64]:
        """Low and high corner [3] of the world-axis box at a time, m."""
        known = self._of(actor)
        return known.between(stamp_ns, "low"), known.between(stamp_ns, "high")

    def _of(self, actor: int) -> _Actor:
        if actor not in self._actors:
            raise SpatiaError(f"actor: expected one of {self.ids()}, got {actor}")
        return self._actors[actor]
