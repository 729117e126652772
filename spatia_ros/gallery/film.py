"""What a film is: a place, a way of the camera, a script of actors, and what is changed on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from spatia_ros.geometry import look_at
from spatia_ros.types import Float64, SpatiaError, Trajectory


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera is at a time.

    Args:
        at_s: seconds since the film began. eye, target: [3], world, m.
    """

    at_s: float
    eye: tuple[float, float, float]
    target: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the place while the film runs.

    Args:
        at_s: seconds since the film began. words: what ``spatia edit MEMORY`` is told.
    """

    at_s: float
    words: str


@dataclass(frozen=True, slots=True)
class Take:
    """One telling of a film's moments.

    Args:
        name: what is written over it; empty where there is but one. script: file in config/gallery, without its ending.
    """

    name: str
    script: str


@dataclass(frozen=True, slots=True)
class Film:
    """A film of the gallery.

    Args:
        name: of its folder. title: in a few words. sentence: what it shows.
        place: where; one of :data:`.places.PLACES`. up: [3], the place's.
        views: where the camera goes through; at rest at both ends.
        takes: one, or two of the same moments, which are then shown side by side with the pixels that differ.
        edits: changes of the place, in order of time.
        moments_s: what the strip shows; empty: six, evenly.
        returns_s: two times at which the camera is in the same place, to be compared; empty: none.
    """

    name: str
    title: str
    sentence: str
    place: str
    views: tuple[View, ...]
    takes: tuple[Take, ...]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    edits: tuple[Edit, ...] = ()
    moments_s: tuple[float, ...] = ()
    returns_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        times = [view.at_s for view in self.views]
        if len(times) < 2 or times[0] != 0.0 or sorted(set(times)) != times:
            raise SpatiaError(f"film {self.name}: expected two views or more at rising times from 0, got {times}")
        if len(self.returns_s) not in (0, 2):
            raise SpatiaError(f"film {self.name}: expected no times to compare or two, got {self.returns_s}")
        if not 1 <= len(self.takes) <= 2:
            raise SpatiaError(f"film {self.name}: expected one take or two, got {len(self.takes)}")

    @property
    def length_s(self) -> float:
        """Seconds."""
        return self.views[-1].at_s

    def moments(self, frames: int) -> list[int]:
        """Numbers of the frames on its strip, of so many."""
        shares = np.array(self.moments_s) / self.length_s if self.moments_s else np.linspace(0.04, 0.96, 6)
        return np.unique((shares * (frames - 1)).round().astype(int)).tolist()

    def trajectory(self, start_ns: int, rate_hz: float) -> Trajectory:
        """Its camera's way, the first frame a period after ``start_ns``."""
        at_s = np.arange(round(self.length_s * rate_hz) + 1) / rate_hz
        stamps = start_ns + np.round((at_s + 1.0 / rate_hz) * 1e9).astype(np.int64)
        return Trajectory(stamps, self.poses(np.minimum(at_s, self.length_s)))

    def poses(self, at_s: Float64) -> Float64:
        """``T_world_cam`` [T, 4, 4] at times [T]: smoothly through all views, at rest at both ends and between equal ones."""
        way, up = np.stack([self._between(float(t)) for t in at_s]), np.array(self.up, np.float64)
        return np.stack([look_at(row[:3], row[3:], up) for row in way])

    def _between(self, at_s: float) -> Float64:
        """Eye and target [6] at a time."""
        piece = next((p for p in self._pieces() if at_s <= p[-1].at_s), (self.views[-1],))
        through = np.array([(*view.eye, *view.target) for view in piece], np.float64)
        if len(piece) == 1 or (through == through[0]).all():
            return through[0]
        return np.asarray(CubicSpline([view.at_s for view in piece], through, bc_type="clamped")(at_s), np.float64)

    def _pieces(self) -> list[tuple[View, ...]]:
        """The views between which the camera does not rest."""
        pieces, begun = list[tuple[View, ...]](), 0
        for k in range(1, len(self.views)):
            before, now = self.views[k - 1], self.views[k]
            if (before.eye, before.target) == (now.eye, now.target):
                pieces += [self.views[begun:k], self.views[k - 1 : k + 1]]
                begun = k
        return [piece for piece in (*pieces, self.views[begun:]) if len(piece) > 1]
