"""Where something is over time: poses at some times, rigidly interpolated between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.types import Float64, SpatiaError, check_array, check_pose

MAX_POSES = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class PoseTrack:
    """A timed sequence of poses: position linear and rotation along the shortest arc between them.

    Args:
        times_s: float64 [K], strictly rising.
        T: float64 [K, 4, 4], ``T_dst_src`` at each.
        loop: begin again after the last time (which should show what the first does); else the outermost poses are held.
    """

    times_s: Float64
    T: Float64
    loop: bool = False

    def __post_init__(self) -> None:
        check_array("track.times_s", self.times_s, (None,), np.float64)
        check_array("track.T", self.T, (len(self.times_s), 4, 4), np.float64)
        if not 1 <= len(self.times_s) <= MAX_POSES:
            raise SpatiaError(f"track: expected 1..{MAX_POSES} poses, got {len(self.times_s)}")
        if not np.isfinite(self.times_s).all() or (np.diff(self.times_s) <= 0).any():
            raise SpatiaError("track.times_s: expected finite, strictly rising seconds")
        if self.loop and len(self.times_s) < 2:
            raise SpatiaError("track: expected at least two poses to loop, got one")
        for k, T in enumerate(self.T):
            check_pose(f"track.T[{k}]", T)
        for name in ("times_s", "T"):
            kept = getattr(self, name).copy()
            kept.flags.writeable = False
            object.__setattr__(self, name, kept)

    @classmethod
    def still(cls, T: Float64) -> PoseTrack:
        """Always at one pose [4, 4]."""
        return cls(np.zeros(1), np.asarray(T, np.float64)[None])

    @classmethod
    def path(cls, waypoints: Sequence[Sequence[float]]) -> PoseTrack:
        """From rows (t_s, x, y, z, yaw_deg): metres, z up, yaw about z from x to y.

        Between two rows the thing turns the shorter way.
        """
        rows = np.asarray(waypoints, np.float64)
        check_array("path", rows, (None, 5), np.float64)
        if not np.isfinite(rows).all():
            raise SpatiaError("path: expected finite numbers, got NaN or infinity")
        yaw = Rotation.from_euler("z", rows[:, 4], degrees=True).as_matrix() if len(rows) else np.zeros((0, 3, 3))
        T = np.stack([geometry.pose(R, t) for R, t in zip(yaw, rows[:, 1:4], strict=True)]) if len(rows) else np.zeros((0, 4, 4))
        return cls(np.ascontiguousarray(rows[:, 0]), T)

    @property
    def span_s(self) -> tuple[float, float]:
        """First and last time, s."""
        return float(self.times_s[0]), float(self.times_s[-1])

    def covers(self, tau_s: float) -> bool:
        """Whether it says where the thing is at a time, rather than holding an end."""
        return self.loop or self.span_s[0] <= tau_s <= self.span_s[1]

    def at(self, tau_s: float) -> Float64:
        """``T_dst_src`` [4, 4] at a time, s."""
        k, share = self._piece(tau_s)
        if share == 0.0:
            return self.T[k].copy()
        a, b = self.T[k], self.T[k + 1]
        turn = Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).as_rotvec()
        R = a[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
        return geometry.pose(R, (1.0 - share) * a[:3, 3] + share * b[:3, 3])

    def velocity(self, tau_s: float) -> Float64:
        """float64 [3], m per second of animation, of the origin just after a time; 0 where the pose is held."""
        first, last = self.span_s
        if len(self.times_s) == 1 or (not self.loop and not first <= tau_s < last):
            return np.zeros(3)
        k, _ = self._piece(tau_s)
        return np.asarray((self.T[k + 1, :3, 3] - self.T[k, :3, 3]) / (self.times_s[k + 1] - self.times_s[k]))

    def travelled_m(self) -> Float64:
        """float64 [K], the way the origin has gone by each time."""
        return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.T[:, :3, 3], axis=0), axis=1))])

    def _piece(self, tau_s: float) -> tuple[int, float]:
        """The pose before a time, and the share of the way to the next one."""
        first, last = self.span_s
        tau = first + (tau_s - first) % (last - first) if self.loop else min(max(tau_s, first), last)
        k = int(np.searchsorted(self.times_s, tau, side="right")) - 1
        if k >= len(self.times_s) - 1:
            return len(self.times_s) - 1, 0.0
        return k, float((tau - self.times_s[k]) / (self.times_s[k + 1] - self.times_s[k]))
