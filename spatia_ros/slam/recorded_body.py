"""The body of a thing that a recording showed: its motion, and at each moment all that is known of its sides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.actors import BodyPoints, Observation, ObservedBody
from spatia_ros.slam.fuller import Side, fuller, side_of
from spatia_ros.slam.rigid import MOST, Surface, motion_of, surface_of
from spatia_ros.slam.sightings import Thing
from spatia_ros.types import Float64, Frame

RIGID = 0.06
"""Of what other sights say should be seen, share that is not, up to which a thing is taken for rigid."""
BRIDGE_S = 0.4
"""Where a thing was not seen for longer, moments between are put in, so that it goes on its way unseen."""
AHEAD_S = 1.0
"""Before it was first seen and after it was last, a thing goes on as it went for so long."""
PACE_S = 0.5
"""Over so long is told how it went."""
REACH_S, DOUBTFUL_S = 1e6, 0.22
"""Beyond that it stands where it is: nothing says it went. A doubtful thing is there so long before and after a sight of it."""


class Recorded(NamedTuple):
    """A body, whether it is rigid, and how much of each sight registration matched (0..1)."""

    body: ObservedBody
    rigid: bool
    fitting: float


def body_of(
    thing: Thing, frames: Sequence[Frame], up: Float64, span_s: tuple[float, float], most: int, doubtful: bool = False
) -> Recorded:
    """Register the sights of a thing to each other, and show each with what the others add.

    Args:
        frames: of the recording, read as needed. up: float64 [3], unit. span_s: first and last time of the recording.
        most: points kept of one sight, about; those drawn are more.
        doubtful: it may be another thing at other times: then it is there only when it was seen.
    """
    sides, surfaces = list[Side](), list[Surface]()
    for seen in thing.seen:
        frame = frames[seen.index]
        mask = seen.patch.whole(frame.depth.shape)
        sides.append(side_of(frame, mask, seen.tau_s, most))
        surfaces.append(surface_of(frame, mask, MOST))
    size_m = float(np.median([seen.size_m for seen in thing.seen]))
    times = [seen.tau_s for seen in thing.seen]
    poses, fitting = motion_of(surfaces, times, size_m, up)
    observations, denied = list[Observation](), list[float]()
    for k, seen in enumerate(thing.seen):
        frame = frames[seen.index]
        points, share = fuller(k, sides, poses, frame, seen.patch.whole(frame.depth.shape))
        observations.append(Observation(seen.tau_s, poses[k], mixed(points)))
        denied.append(share)
    rigid = len(denied) > 1 and float(np.mean(denied)) <= RIGID
    shown = _continued(observations, (times[0], times[-1]) if doubtful else span_s)
    return Recorded(ObservedBody(tuple(shown), None, DOUBTFUL_S if doubtful else REACH_S, rigid=rigid), rigid, fitting)


def mixed(points: BodyPoints) -> BodyPoints:
    """The same points in an order without structure, so that some of them stand for all."""
    order = np.random.default_rng(0).permutation(len(points))
    return BodyPoints(points.xyz[order], points.rgb[order], points.spacing_m)


def _continued(seen: list[Observation], span_s: tuple[float, float]) -> list[Observation]:
    """With moments in its absences, and before and after: the points of the nearest sight, on the way it went."""
    out = [seen[0]]
    for before, after in pairwise(seen):
        gap = after.tau_s - before.tau_s
        for s in np.arange(1, int(gap / BRIDGE_S) + 1) / (int(gap / BRIDGE_S) + 1) if gap > BRIDGE_S else ():
            T = _between(before.T_world_actor, after.T_world_actor, float(s))
            out.append(Observation(before.tau_s + float(s) * gap, T, (before if s < 0.5 else after).points))
        out.append(after)
    early, late = min(AHEAD_S, seen[0].tau_s - span_s[0]), min(AHEAD_S, span_s[1] - seen[-1].tau_s)
    if early > 1e-6:
        out.insert(0, Observation(seen[0].tau_s - early, _gone_on(seen[::-1], -early), seen[0].points))
    if late > 1e-6:
        out.append(Observation(seen[-1].tau_s + late, _gone_on(seen, late), seen[-1].points))
    return out


def _between(a: Float64, b: Float64, share: float) -> Float64:
    """A rigid pose a share of the way from one to another; beyond 0..1 it goes on the same way."""
    turn = Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).as_rotvec()
    return geometry.pose(a[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix(), (1 - share) * a[:3, 3] + share * b[:3, 3])


def _gone_on(seen: list[Observation], seconds: float) -> Float64:
    """Where the last of some sights would be after (or before) so long, at the pace of the latest ones."""
    last = seen[-1]
    known = [o for o in seen if abs(last.tau_s - o.tau_s) <= PACE_S]
    if len(known) < 3:
        return last.T_world_actor
    first = known[0]
    return _between(first.T_world_actor, last.T_world_actor, 1.0 + seconds / (last.tau_s - first.tau_s))
