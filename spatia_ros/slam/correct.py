"""A map that agrees with corrected poses: bent to them, or made anew.

Made anew (:meth:`.mapper.Mapper.finish`) where the frames can be read again: as good as having had the right poses from
the start, since what drifted frames carved away or blurred is seen afresh. Bent (:func:`deform`) where they cannot (a live
camera), and until then: each point moves with the keyframes before and after the time it was last seen, blended between
them; keyframes move rigidly. It costs a pass over the points and keeps their provenance, labels, features and weights,
but cannot undo carving, and a point that two visits merged moves with the later one. `spatia evaluate loop` measures both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.memory import Memory
from spatia_ros.memory.memory import Points
from spatia_ros.types import Float64, Int64, SpatiaError, check_array

CHUNK = 1 << 18
"""Points moved at once."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Where keyframes were thought to be, and where they are.

    Args:
        stamps_ns: int64 [K], strictly increasing, K >= 1.
        T_old, T_new: float64 [K, 4, 4], T_world_node.
    """

    stamps_ns: Int64
    T_old: Float64
    T_new: Float64

    def __post_init__(self) -> None:
        check_array("correction.stamps_ns", self.stamps_ns, (None,), np.int64)
        n = len(self.stamps_ns)
        check_array("correction.T_old", self.T_old, (n, 4, 4), np.float64)
        check_array("correction.T_new", self.T_new, (n, 4, 4), np.float64)
        if n == 0 or (np.diff(self.stamps_ns) <= 0).any():
            raise SpatiaError(f"correction: expected at least one keyframe at strictly increasing times, got {n}")

    def largest_m(self) -> float:
        """How far the keyframe that moves most moves, metres."""
        return float(np.linalg.norm(self.T_new[:, :3, 3] - self.T_old[:, :3, 3], axis=1).max())

    def between(self, stamps_ns: Int64) -> tuple[Int64, Int64, Float64]:
        """The keyframes before and after each time, and the share 0..1 of the later one (held beyond either end)."""
        last = len(self.stamps_ns) - 1
        after = np.searchsorted(self.stamps_ns, stamps_ns, side="right").clip(0, last)
        before = (after - 1).clip(0)
        span = np.maximum(self.stamps_ns[after] - self.stamps_ns[before], 1)
        return before, after, ((stamps_ns - self.stamps_ns[before]) / span).clip(0.0, 1.0)

    def poses(self, stamps_ns: Int64, T_world_cam: Float64) -> Float64:
        """Camera poses [N, 4, 4] at times [N], corrected: carried along by the keyframes before and after, and blended."""
        before, after, share = self.between(stamps_ns)
        C = self.T_new @ geometry.inverse(self.T_old)
        out = C[before] @ T_world_cam
        late = C[after] @ T_world_cam
        turn = Rotation.from_matrix(np.swapaxes(out[:, :3, :3], 1, 2) @ late[:, :3, :3]).as_rotvec()
        out[:, :3, 3] += share[:, None] * (late[:, :3, 3] - out[:, :3, 3])
        out[:, :3, :3] = out[:, :3, :3] @ Rotation.from_rotvec(share[:, None] * turn).as_matrix()
        return out

    def points(self, xyz: np.ndarray, stamps_ns: Int64) -> np.ndarray:
        """World points [N, 3] last seen at times [N], moved with the keyframes before and after."""
        before, after, share = self.between(stamps_ns)
        C = self.T_new @ geometry.inverse(self.T_old)
        T = (1 - share)[:, None, None] * C[before, :3] + share[:, None, None] * C[after, :3]
        return (np.einsum("nij,nj->ni", T[:, :, :3], xyz) + T[:, :, 3]).astype(xyz.dtype)


def deform(memory: Memory, correction: Correction) -> Memory:
    """A memory bent to agree with the corrected keyframes; the given one is left as it is."""
    bent = Memory(memory.config)
    bent.epoch_ns, bent.names = memory.epoch_ns, dict(memory.names)
    points = memory.points()
    for start in range(0, len(points.xyz), CHUNK):
        bent.add_points(_moved(points, slice(start, start + CHUNK), correction))
    kept = memory.keyframes.keyframes
    stamps, poses = np.array([k.stamp_ns for k in kept], np.int64), np.array([k.T_world_cam for k in kept]).reshape(-1, 4, 4)
    for keyframe, T in zip(kept, correction.poses(stamps, poses), strict=True):
        bent.keyframes.append(replace(keyframe, T_world_cam=T))
    return bent


def _moved(points: Points, rows: slice, correction: Correction) -> Points:
    stamps = points.last_seen_ns[rows]
    features = None if points.features is None else points.features[rows]
    return Points(
        correction.points(points.xyz[rows], stamps), points.rgb[rows], points.confidence[rows], points.sensed[rows], stamps,
        points.label[rows], features,
    )
