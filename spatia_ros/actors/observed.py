"""Bodies from recordings: what was seen of a thing at some times, shown at any."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from spatia_ros.actors.bending import bent
from spatia_ros.actors.body import BodyPoints, check_shape, joined
from spatia_ros.actors.track import PoseTrack
from spatia_ros.types import Float64, SpatiaError

MAX_OBSERVATIONS = 100_000
BENT_S = 0.5
"""Sights farther apart in time say too little of what was between them."""


class Observation(NamedTuple):
    """What one moment showed.

    Args:
        tau_s: animation time, s. T_world_actor: float64 [4, 4].
        points: in the actor's frame, at least one.
    """

    tau_s: float
    T_world_actor: Float64
    points: BodyPoints


@dataclass(frozen=True, slots=True, eq=False)
class ObservedBody:
    """A thing as it was recorded.

    At a time it shows the observation nearest in time, moved to where the thing was then (and bent towards the one on the
    other side of that time, if it is not rigid), and with it the shape that was put together from all of them.

    Args:
        observations: in order of time.
        shape: points in the actor's frame that belong to it at all times, or None.
        reach_s: farther than this from every observation it is absent, s.
        complete: whether the points close its surface from all sides.
        rigid: whether it moves as one; if not, it is bent between observations at most ``BENT_S`` apart.
    """

    observations: tuple[Observation, ...]
    shape: BodyPoints | None = None
    reach_s: float = 0.5
    complete: bool = False
    rigid: bool = True
    track: PoseTrack = field(init=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.observations) <= MAX_OBSERVATIONS:
            raise SpatiaError(f"observed body: expected 1..{MAX_OBSERVATIONS} observations, got {len(self.observations)}")
        for k, seen in enumerate(self.observations):
            check_shape(f"observed body, observation {k}", seen.points)
        if not self.reach_s > 0:
            raise SpatiaError(f"observed body: expected reach_s > 0, got {self.reach_s}")
        times = np.array([seen.tau_s for seen in self.observations], np.float64)
        poses = np.stack([np.asarray(seen.T_world_actor, np.float64) for seen in self.observations])
        object.__setattr__(self, "track", PoseTrack(times, poses))

    @property
    def span_s(self) -> tuple[float, float]:
        """First and last observation, s."""
        return self.track.span_s

    @property
    def size(self) -> int:
        """Points of all observations and the shape."""
        return sum(len(seen.points) for seen in self.observations) + (len(self.shape) if self.shape is not None else 0)

    def nearest(self, tau_s: float) -> int:
        """Number of the observation nearest in time (the earlier of two as near)."""
        times = self.track.times_s
        k = min(bisect_left(times, tau_s), len(times) - 1)
        return k - 1 if k > 0 and tau_s - times[k - 1] <= times[k] - tau_s else k

    def present(self, tau_s: float) -> bool:
        """Whether it was seen near that time."""
        return abs(float(self.track.times_s[self.nearest(tau_s)]) - tau_s) <= self.reach_s

    def points(self, tau_s: float) -> BodyPoints:
        """Its points in the world."""
        seen = self._seen(tau_s)
        points = seen if self.shape is None else joined([seen, self.shape])
        return points.moved(self.track.at(tau_s))

    def _seen(self, tau_s: float) -> BodyPoints:
        """The nearest sight in the actor's frame, as it was at a time."""
        k, times = self.nearest(tau_s), self.track.times_s
        other = k + (1 if tau_s > times[k] else -1)
        if self.rigid or not 0 <= other < len(times) or abs(times[other] - times[k]) > BENT_S:
            return self.observations[k].points
        share = (tau_s - times[k]) / (times[other] - times[k])
        return bent(self.observations[k].points, self.observations[other].points, float(share))

    def pose(self, tau_s: float) -> Float64:
        """``T_world_actor`` [4, 4]."""
        return self.track.at(tau_s)

    def box(self, tau_s: float) -> tuple[Float64, Float64]:
        """Low and high corner [3] of its world-axis box, m."""
        return self.points(tau_s).bounds()

    def velocity(self, tau_s: float) -> Float64:
        """float64 [3], of its origin in the world, m per second of animation."""
        return self.track.velocity(tau_s)
