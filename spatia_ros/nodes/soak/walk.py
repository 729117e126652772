"""The camera's way through a trial: along a walk through the place, there and back, never twice the same."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.nodes import convert
from spatia_ros.types import Float64

JITTER_M, JITTER_RAD = 0.03, 0.03


class Walk:
    """Goes through poses, float64 [N, 4, 4] ``T_map_base``, forward and then back, each a little off.

    Args:
        poses: of the walk. rng: how far off.
    """

    def __init__(self, poses: Float64, rng: np.random.Generator) -> None:
        self._poses, self._rng, self._at, self._step = poses, rng, 0, 1

    def next(self) -> Float64:
        """The next pose, ``T_map_base``."""
        if not 0 <= self._at + self._step < len(self._poses):
            self._step = -self._step
        self._at += self._step
        turned = Rotation.from_rotvec(self._rng.normal(0, JITTER_RAD, 3)).as_matrix()
        T = self._poses[self._at] @ geometry.pose(turned, self._rng.normal(0, JITTER_M, 3))
        return geometry.made_rigid(T)

    def path(self, length: int) -> Path:
        """So many poses as a command, in the map."""
        out = Path(header=convert.to_header(0, "map"))
        out.poses = [PoseStamped(pose=convert.to_pose(self.next())) for _ in range(length)]
        return out
