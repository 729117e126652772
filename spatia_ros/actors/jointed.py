"""Bodies of rigid parts that move on joints: legs that walk, wheels that turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatia_ros.actors.body import BodyPoints, OnTrack, check_outside, check_shape, joined
from spatia_ros.actors.clock import Clock
from spatia_ros.actors.track import PoseTrack
from spatia_ros.types import Float64, SpatiaError

MAX_PARTS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A rigid part.

    Args:
        shape: points in the part's frame, at least one.
        track: ``T_actor_part`` over the gait's phase.
    """

    shape: BodyPoints
    track: PoseTrack

    def __post_init__(self) -> None:
        check_shape("part", self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class JointedBody(OnTrack):
    """Parts on a track.

    Args:
        parts: what it is made of.
        track: ``T_world_actor`` over animation time.
        gait: the phase its parts' tracks are read at, over animation time: the way gone for what walks or rolls, time for others.
        complete: whether the points close the surface from all sides.
        outside: before and after the track, "hold" (it stands at the nearer end) or "absent".
    """

    parts: tuple[Part, ...]
    track: PoseTrack
    gait: Clock = Clock.REAL
    complete: bool = True
    outside: str = "hold"

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= MAX_PARTS:
            raise SpatiaError(f"jointed body: expected 1..{MAX_PARTS} parts, got {len(self.parts)}")
        check_outside("jointed body", self.outside)

    @property
    def size(self) -> int:
        """Number of points."""
        return sum(len(part.shape) for part in self.parts)

    def points(self, tau_s: float) -> BodyPoints:
        """Its points in the world, part by part."""
        T, phase = self.track.at(tau_s), self.gait.at(tau_s)
        return joined([part.shape.moved(T @ part.track.at(phase)) for part in self.parts])


def rolling(track: PoseTrack) -> Clock:
    """A gait whose phase is the way gone along a track, m; it stands and begins again where the track does."""
    return paced(track, track.travelled_m())


def paced(track: PoseTrack, phases: Float64) -> Clock:
    """A gait of phases [K] at the times of a track."""
    end = "loop" if track.loop else "hold"
    return Clock(np.stack([track.times_s, phases], -1), end, end)
