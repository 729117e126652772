"""Bodies: what a moving thing looks like and where it is, as functions of animation time alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spatia_ros.actors.track import PoseTrack
from spatia_ros.types import MAX_POSITION_M, Float32, Float64, SpatiaError, UInt8, check_array

MAX_POINTS = 5_000_000
"""Points of one body at most."""
MAX_SPACING_M = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class BodyPoints:
    """Coloured points on a surface.

    Args:
        xyz: float32 [N, 3], m. rgb: uint8 [N, 3].
        spacing_m: how far neighbours lie apart at most; whoever draws them makes them that large.
    """

    xyz: Float32
    rgb: UInt8
    spacing_m: float

    def __post_init__(self) -> None:
        check_array("points.xyz", self.xyz, (None, 3), np.float32)
        check_array("points.rgb", self.rgb, (len(self.xyz), 3), np.uint8)
        if len(self.xyz) > MAX_POINTS:
            raise SpatiaError(f"points: expected at most {MAX_POINTS}, got {len(self.xyz)}")
        if not (0.0 < self.spacing_m <= MAX_SPACING_M):
            raise SpatiaError(f"points.spacing_m: expected 0..{MAX_SPACING_M:g} m, got {self.spacing_m}")
        # One comparison refuses NaN, infinity and what overflows.
        if len(self.xyz) and not float(np.abs(self.xyz).max()) <= MAX_POSITION_M:
            raise SpatiaError("points.xyz: expected finite metres, got NaN, infinity or more than a billion")

    def __len__(self) -> int:
        return len(self.xyz)

    def moved(self, T_dst_src: Float64) -> BodyPoints:
        """The same points seen from another frame."""
        if np.array_equal(T_dst_src, np.eye(4)):
            return self
        xyz = self.xyz @ T_dst_src[:3, :3].T.astype(np.float32) + T_dst_src[:3, 3].astype(np.float32)
        return BodyPoints(xyz, self.rgb, self.spacing_m)

    def bounds(self) -> tuple[Float64, Float64]:
        """Low and high corner [3] of the box along the axes, m.

        Raises:
            SpatiaError: when there is no point.
        """
        if not len(self.xyz):
            raise SpatiaError("points: expected at least one to bound, got none")
        rows = np.ascontiguousarray(self.xyz.T)  # along rows of numbers minima take less time than across them
        return rows.min(1).astype(np.float64), rows.max(1).astype(np.float64)


def joined(parts: list[BodyPoints]) -> BodyPoints:
    """Several sets of points as one, as coarse as the coarsest."""
    xyz, rgb = np.concatenate([p.xyz for p in parts]), np.concatenate([p.rgb for p in parts])
    return BodyPoints(xyz, rgb, max(p.spacing_m for p in parts))


class Body(Protocol):
    """A thing over animation time, placed in the world. All times are animation time in seconds."""

    @property
    def span_s(self) -> tuple[float, float]:
        """First and last time something is known of it."""

    @property
    def complete(self) -> bool:
        """Whether its points close its surface from all sides; if not, what is missing is the generator's."""

    @property
    def size(self) -> int:
        """Points it keeps in all, over all times."""

    def present(self, tau_s: float) -> bool:
        """Whether it is there at all at a time."""

    def points(self, tau_s: float) -> BodyPoints:
        """Its points in the world."""

    def pose(self, tau_s: float) -> Float64:
        """``T_world_actor`` [4, 4]."""

    def box(self, tau_s: float) -> tuple[Float64, Float64]:
        """Low and high corner [3] of its world-axis box, m."""

    def velocity(self, tau_s: float) -> Float64:
        """float64 [3], of its origin in the world, m per second of animation."""


class OnTrack:
    """What all bodies on a track have in common; each says for itself which points it has.

    ``outside`` is what happens before and after the track: "hold" (it stands at the nearer end) or "absent".
    """

    __slots__ = ()
    track: PoseTrack
    outside: str

    @property
    def span_s(self) -> tuple[float, float]:
        """First and last time of the track, s."""
        return self.track.span_s

    def present(self, tau_s: float) -> bool:
        """True, unless it is absent outside its track."""
        return self.outside == "hold" or self.track.covers(tau_s)

    def points(self, tau_s: float) -> BodyPoints:
        """Its points in the world."""
        raise NotImplementedError

    def pose(self, tau_s: float) -> Float64:
        """``T_world_actor`` [4, 4]."""
        return self.track.at(tau_s)

    def box(self, tau_s: float) -> tuple[Float64, Float64]:
        """Low and high corner [3] of its world-axis box, m."""
        return self.points(tau_s).bounds()

    def velocity(self, tau_s: float) -> Float64:
        """float64 [3], of its origin in the world, m per second of animation."""
        return self.track.velocity(tau_s)


@dataclass(frozen=True, slots=True, eq=False)
class RigidBody(OnTrack):
    """One shape on a track.

    Args:
        shape: points in the actor's frame, at least one.
        track: ``T_world_actor`` over time.
        complete: whether the points close the surface from all sides.
        outside: before and after the track, "hold" (it stands at the nearer end) or "absent".
    """

    shape: BodyPoints
    track: PoseTrack
    complete: bool = True
    outside: str = "hold"

    def __post_init__(self) -> None:
        check_shape("rigid body", self.shape)
        check_outside("rigid body", self.outside)

    @property
    def size(self) -> int:
        """Number of points."""
        return len(self.shape)

    def points(self, tau_s: float) -> BodyPoints:
        """Its points in the world."""
        return self.shape.moved(self.track.at(tau_s))


def check_shape(name: str, shape: BodyPoints) -> None:
    """Raise unless there is something to see."""
    if not len(shape):
        raise SpatiaError(f"{name}: expected at least one point, got none")


def check_outside(name: str, outside: str) -> None:
    """Raise unless it is said what happens outside the known time."""
    if outside not in ("hold", "absent"):
        raise SpatiaError(f"{name}.outside: expected hold or absent, got {outside!r}")
