"""Which depth image belongs to which colour image, and where the camera was: matching by time."""

from __future__ import annotations

import numpy as np

from spatia_ros.geometry import interpolate
from spatia_ros.types import Bool, Float64, Int64, Trajectory

MAX_SKEW_NS = 20_000_000
"""Colour and depth farther apart than this are different moments (the TUM tool's default)."""

MAX_POSE_GAP_NS = 1_000_000_000
"""No pose is made up between tracked poses farther apart than this."""


def associate(first_ns: Int64, second_ns: Int64, max_skew_ns: int = MAX_SKEW_NS) -> Int64:
    """Index pairs [M, 2] of a one-to-one match of two sorted lists of times, in order of time.

    The closest pairs are matched first, as the TUM benchmark's associate tool does.
    """
    low = np.searchsorted(second_ns, first_ns - max_skew_ns, "left")
    high = np.searchsorted(second_ns, first_ns + max_skew_ns, "right")
    candidates = [(abs(int(first_ns[i] - second_ns[j])), i, j) for i in range(len(first_ns)) for j in range(low[i], high[i])]
    used_first: set[int] = set()
    used_second: set[int] = set()
    pairs = []
    for _, i, j in sorted(candidates):
        if i not in used_first and j not in used_second:
            used_first.add(i)
            used_second.add(j)
            pairs.append((i, j))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def poses_at(poses: Trajectory, stamps_ns: Int64, max_gap_ns: int = MAX_POSE_GAP_NS) -> tuple[Float64, Bool]:
    """Interpolated poses [M, 4, 4] at the stamps that have one, and the mask [N] of those stamps.

    A stamp has a pose when it lies inside the trajectory and between poses no farther apart
    than ``max_gap_ns`` (or exactly on one).
    """
    known = poses.stamps_ns
    after = np.searchsorted(known, stamps_ns, "left")
    inside = (stamps_ns >= known[0]) & (stamps_ns <= known[-1])
    upper = np.clip(after, 0, len(known) - 1)
    lower = np.clip(after - 1, 0, len(known) - 1)
    tracked = inside & ((known[upper] == stamps_ns) | (known[upper] - known[lower] <= max_gap_ns))
    return interpolate(poses, stamps_ns[tracked]), tracked
