"""Has the camera been here before? Loops between keyframes, found by look and by position, and believed late.

A false loop ruins a map, a missed one leaves it as it was; so a loop has to pass, in this order:

1. candidates: keyframes whose features the new one's vote for, and those it should see by the poses so far;
2. :func:`.features.align`: enough features agree on one motion, and the depth maps agree under it;
3. plausibility: the drift the loop means is no more than such a path can have gathered;
4. :func:`.odometry.register`: dense registration from there stays there, and the surfaces agree;
5. confirmation: another keyframe nearby finds the same correction, and none finds another one (look-alike places);
6. the pose graph, which leaves out loops the others speak against (:mod:`.pose_graph`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from spatia_ros import geometry
from spatia_ros.config import LoopsConfig, TrackingConfig
from spatia_ros.slam.features import Alignment, Features, agrees, align, depth_overlap
from spatia_ros.slam.odometry import register
from spatia_ros.slam.pose_graph import information
from spatia_ros.slam.pyramid import RgbdPyramid
from spatia_ros.types import Float32, Float64

VOTERS = 100
"""Strongest features of each keyframe that vote for places by look."""
VOTE_COSINE = 0.88
"""Least product of two unit descriptors for a vote."""
LEAST_VOTES = 6
MIN_AGREEMENT = 0.6
"""Of the pixels both see, the share that must lie on the same surface after dense registration."""
SLACK_M, SLACK_RAD = 0.15, 0.05
"""Error of a loop and of the path across it that is no drift."""
CORRELATED = 100.0
"""Neighbouring pixels err alike: so many count as one in a registration's information."""
FLOOR_M, FLOOR_RAD = 0.004, 0.0015
"""A registration is never surer than this (calibration, rolling shutter, late depth)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A keyframe as the loop closer sees it.

    Args:
        features: its description. pyramid: its image, small.
    """

    features: Features
    pyramid: RgbdPyramid


@dataclass(frozen=True, slots=True)
class Loop:
    """Two keyframes that show the same place.

    Args:
        i, j: their numbers, i < j. T_i_j: float64 [4, 4], pose of j seen from i.
        information: float64 [6, 6] of (translation, rotation) in the axes of j.
        inliers: features that agree.
    """

    i: int
    j: int
    T_i_j: Float64
    information: Float64
    inliers: int


@dataclass(slots=True)
class LoopCounts:
    """What became of candidates."""

    candidates: int = 0
    unlike: int = 0
    implausible: int = 0
    unregistered: int = 0
    ambiguous: int = 0
    unconfirmed: int = 0
    believed: int = 0


@dataclass(slots=True)
class LoopCloser:
    """Keyframes added one by one; each answers with the loops that are now believed.

    Args:
        config: thresholds. tracking: of the dense registration.
    """

    config: LoopsConfig
    tracking: TrackingConfig
    places: dict[int, Place] = field(default_factory=dict)
    ways: list[float] = field(default_factory=list)
    counts: LoopCounts = field(default_factory=LoopCounts)
    _voters: dict[int, Float32] = field(default_factory=dict)
    _believed: list[Loop] = field(default_factory=list)
    _pending: list[Loop] = field(default_factory=list)

    def add(self, place: Place, way: float, T_world_node: Float64) -> list[Loop]:
        """Add a keyframe; returns the loops believed from now on, most often none.

        Args:
            way: how far along the path it lies, metres plus radians.
            T_world_node: float64 [N, 4, 4], current poses of all keyframes, the new one last.
        """
        self.places[len(self.ways)] = place
        self._voters[len(self.ways)] = voters_of(place.features)
        self.ways.append(way)
        self._thin()
        passed = [loop for i in self._candidates(T_world_node) if (loop := self._closed(i, T_world_node))]
        return self._confirmed(self._unambiguous(passed, T_world_node), T_world_node)

    def _thin(self) -> None:
        """Forget the looks of every second keyframe once there are too many; the newest stays."""
        if len(self.places) > self.config.keyframes:
            for i in list(self.places)[-2::-2]:
                del self.places[i], self._voters[i]

    def _candidates(self, T_world_node: Float64) -> list[int]:
        """Earlier keyframes worth a closer look, by votes and by position."""
        c, ways = self.config, np.array(self.ways)
        far = [i for i in self.places if ways[-1] - ways[i] >= c.gap]
        if not far:
            return []
        votes = self._votes(far)
        looks = [far[k] for k in np.argsort(-votes, kind="stable")[: c.candidates] if votes[k] >= LEAST_VOTES]
        away = np.linalg.norm(T_world_node[far, :3, 3] - T_world_node[-1, :3, 3], axis=1)
        turned = np.arccos(np.clip(T_world_node[far, :3, 2] @ T_world_node[-1, :3, 2], -1, 1))
        # The nearest in position that look about the same way, within what drift may have done.
        reach = SLACK_M + 1.0 + 0.5 * c.max_drift_ratio * (ways[-1] - ways[far])
        nearest = np.argsort(away + turned, kind="stable")[: c.candidates]
        return list(dict.fromkeys(looks + [far[k] for k in nearest if away[k] < reach[k] and turned[k] < 1.0]))

    def _votes(self, far: Sequence[int]) -> np.ndarray:
        """How many of the new keyframe's strongest features find a like one in each earlier keyframe."""
        new = self._voters[len(self.ways) - 1]
        alike = new @ np.concatenate([self._voters[i] for i in far]).T
        return (alike.reshape(VOTERS, len(far), VOTERS).max(2) > VOTE_COSINE).sum(0)

    def _closed(self, i: int, T_world_node: Float64) -> Loop | None:
        """The loop from keyframe ``i`` to the newest, if the pair passes on its own."""
        a, b, counts = self.places[i], self.places[len(self.ways) - 1], self.counts
        counts.candidates += 1
        found = align(a.features, b.features, min_inliers=self.config.min_inliers)
        if found is None:
            counts.unlike += 1
            return None
        T_expected = geometry.inverse(T_world_node[i]) @ T_world_node[-1]
        if not self._plausible(found.T_a_b, T_expected, self.ways[-1] - self.ways[i]):
            counts.implausible += 1
            return None
        loop = self._registered(i, found)
        counts.unregistered += loop is None
        return loop

    def _plausible(self, T_a_b: Float64, T_expected: Float64, way: float) -> bool:
        """Whether the difference of two motions is a drift that ``way`` can have gathered."""
        drift = self.config.max_drift_ratio * way
        return apart_m(T_a_b, T_expected) < SLACK_M + drift and apart_rad(T_a_b, T_expected) < SLACK_RAD + drift

    def _registered(self, i: int, found: Alignment) -> Loop | None:
        j = len(self.ways) - 1
        a, b = self.places[i], self.places[j]
        dense = register(b.pyramid, a.pyramid, found.T_a_b, self.tracking)
        T = dense.T_target_source
        stayed = apart_m(T, found.T_a_b) < SLACK_M and apart_rad(T, found.T_a_b) < SLACK_RAD
        if not stayed or dense.agreement < MIN_AGREEMENT or not agrees(depth_overlap(a.features, b.features, T), 0.15):
            return None
        return Loop(i, j, T, cautious(dense.information), found.inliers)

    def _unambiguous(self, loops: list[Loop], T_world_node: Float64) -> list[Loop]:
        """All loops of one keyframe if they mean the same correction, none if two of them do not."""
        for k, a in enumerate(loops):
            if not all(self._same(a, b, T_world_node) for b in loops[:k]):
                self.counts.ambiguous += len(loops)
                return []
        return loops

    def _confirmed(self, found: list[Loop], T_world_node: Float64) -> list[Loop]:
        """Loops, new and waiting, that enough keyframes agree on."""
        believed: list[Loop] = []
        self._pending += found
        for loop in found:
            agreeing = [o for o in (*self._pending, *self._believed) if o is not loop and self._same(loop, o, T_world_node)]
            if len({o.j for o in agreeing} | {loop.j}) >= self.config.confirmations:
                believed += [loop, *(o for o in agreeing if o in self._pending)]
        chosen = [o for o in self._pending if any(o is b for b in believed)]
        self._pending = [o for o in self._pending if not any(o is b for b in chosen)]
        self._believed += chosen
        self.counts.believed, self.counts.unconfirmed = len(self._believed), len(self._pending)
        return chosen

    def _same(self, a: Loop, b: Loop, T_world_node: Float64) -> bool:
        """Whether two loops are near each other on the path, at both ends, and mean the same correction.

        Going round the four keyframes comes back to the start, but for the drift of the short ways between them.
        """
        ways = [abs(self.ways[p] - self.ways[q]) for p, q in ((a.i, b.i), (a.j, b.j))]
        if a.j != b.j and max(ways) > self.config.gap:
            return False
        inverse = geometry.inverse(T_world_node)
        round_trip = a.T_i_j @ inverse[a.j] @ T_world_node[b.j] @ geometry.inverse(b.T_i_j) @ inverse[b.i] @ T_world_node[a.i]
        slack = 0.05 + 2.0 * self.config.drift_ratio * sum(ways)
        return apart_m(round_trip, np.eye(4)) < slack and apart_rad(round_trip, np.eye(4)) < slack


def voters_of(features: Features) -> Float32:
    """Unit descriptors of the strongest features, float32 [VOTERS, 128]; zeros where there are fewer."""
    out = np.zeros((VOTERS, 128), np.float32)
    strongest = features.descriptors[:VOTERS].astype(np.float32)
    out[: len(strongest)] = strongest / np.maximum(np.linalg.norm(strongest, axis=1, keepdims=True), 1.0)
    return out


def apart_m(A: Float64, B: Float64) -> float:
    """Distance of two poses' positions, metres."""
    return float(np.linalg.norm(A[:3, 3] - B[:3, 3]))


def apart_rad(A: Float64, B: Float64) -> float:
    """Angle between two poses, radians."""
    return float(np.radians(geometry.rotation_error_deg(A[:3, :3], B[:3, :3])))


def cautious(registered: Float64) -> Float64:
    """A registration's information as that of what it can really know: pixels err together, and never less than a floor."""
    covariance = CORRELATED * np.linalg.inv(registered + 1e-3 * np.eye(6)) + np.linalg.inv(information(FLOOR_M, FLOOR_RAD))
    made = np.linalg.inv(covariance)
    return 0.5 * (made + made.T)
