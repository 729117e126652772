"""What frames of a stream showed of things that move, as it comes; a cast at any moment.

An actor's frame has the world's axes and its origin in the middle of the tracked box: its place is
estimated, its turning is not. Points of one observation are those pixels of one frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from spatia_ros import geometry
from spatia_ros.actors.actor import MAX_ID, Actor
from spatia_ros.actors.body import MAX_SPACING_M, BodyPoints
from spatia_ros.actors.cast import MAX_ACTORS, MAX_POINTS, Cast
from spatia_ros.actors.mover import Mover
from spatia_ros.actors.observed import Observation, ObservedBody
from spatia_ros.config import ActorsConfig
from spatia_ros.types import Frame, SpatiaError


class MoverLog:
    """Time-indexed points of every moving thing; bounded, oldest out first."""

    def __init__(self, config: ActorsConfig) -> None:
        self.config = config
        self._seen: dict[int, deque[tuple[int, Observation]]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def observe(self, frame: Frame, movers: Sequence[Mover]) -> None:
        """Keep what a frame shows of those movers that are known to move.

        Raises:
            SpatiaError: when a mover's mask is not of the frame's size, or time runs backwards for one.
        """
        for mover in movers:
            if mover.mask.shape != frame.depth.shape:
                raise SpatiaError(f"mover: expected masks {list(frame.depth.shape)}, got {list(mover.mask.shape)}")
            if mover.state == "moving" and (mover.mask & (frame.depth > 0)).any():
                self._keep(frame, mover)

    def _keep(self, frame: Frame, mover: Mover) -> None:
        seen = self._seen.setdefault(mover.id, deque())
        if seen and seen[-1][0] >= frame.stamp_ns:
            raise SpatiaError(f"mover {mover.id}: expected a time after {seen[-1][0]} ns, got {frame.stamp_ns}")
        observation = Observation(0.0, geometry.pose(np.eye(3), mover.centre), _points(frame, mover, self.config.points))
        seen.append((frame.stamp_ns, observation))
        while len(seen) > self.config.observations:
            seen.popleft()
        while len(self._seen) > self.config.actors:
            del self._seen[min(self._seen, key=lambda each: self._seen[each][-1][0])]

    def cast(self, origin_ns: int, reach_s: float = 0.5) -> Cast:
        """What was kept, as actors: ``mover_1`` and so on.

        Args:
            origin_ns: the time that is 0 of their animation.
            reach_s: farther than this from every observation an actor is absent, s.
        """
        kept = sum(len(o.points) for seen in self._seen.values() for _, o in seen)
        cast = Cast(max_actors=max(MAX_ACTORS, len(self._seen)), max_points=max(MAX_POINTS, kept))
        for number, seen in sorted(self._seen.items()):
            observations = tuple(o._replace(tau_s=(stamp_ns - origin_ns) * 1e-9) for stamp_ns, o in seen)
            body = ObservedBody(observations, None, reach_s)
            cast.add(Actor(f"mover_{number}", "mover", body, number if number <= MAX_ID else 0))
        return cast


def _points(frame: Frame, mover: Mover, most: int) -> BodyPoints:
    """What a frame shows of a mover, at most so many points, from the middle of its box."""
    points, known = geometry.backproject(np.where(mover.mask, frame.depth, np.float32(0)), frame.camera, frame.T_world_cam)
    step = max(1, -(-len(points) // most))
    depth = float(np.median(frame.depth[known]))
    spacing_m = depth / min(frame.camera.fx, frame.camera.fy) * np.sqrt(step)
    xyz = (points[::step] - mover.centre).astype(np.float32)
    return BodyPoints(xyz, frame.rgb[known][::step], float(np.clip(spacing_m, 1e-4, MAX_SPACING_M)))
