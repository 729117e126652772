"""How a thing moved between the sights of it: rigid registration by shape and colour together.

Iterated closest points where "close" is in space and in colour at once, so that a pattern holds what a plain side would let
slide; plane distances with a little of the points' own (Rusinkiewicz and Levoy, 3DIM 2001; Park, Zhou and Koltun, ICCV 2017,
for colour). Open3D's coloured ICP was tried first: it drifts on things seen from a camera that goes round them, and raises
where they are small. What stands on the ground turns about the vertical alone, which keeps limbs from tilting the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.types import Bool, Float64, Frame

MOST = 900
"""Points registered of one sight."""
GATES = (0.16, 0.1, 0.06, 0.04, 0.03, 0.03)
"""How far matches may lie apart, in the thing's size, from the first round to the last; STEPS iterations each."""
STEPS = 4
COLOUR = 24.0
"""A difference in Lab that weighs as much as a gate's distance."""
OWN_SHARE = 0.15
"""Weight of the distance between points beside that to the plane."""
WELL, BETTER, TURNED_RAD = 0.93, 0.03, (0.4, -0.4, 0.85, -0.85)
"""A share of matches that needs no second try; how much better one must be; and the turns that are tried."""
DAMPING = 0.02
"""Of a turn and of a shift, in the share of matches that pull: what nothing holds stays."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Points [N, 3] of a surface, m, with normals [N, 3] and colours [N, 3] (Lab), float64."""

    xyz: Float64
    normal: Float64
    lab: Float64

    def moved(self, T: Float64) -> Surface:
        """Seen from another frame."""
        return Surface(self.xyz @ T[:3, :3].T + T[:3, 3], self.normal @ T[:3, :3].T, self.lab)

    @classmethod
    def joined(cls, parts: list[Surface]) -> Surface:
        """Several as one."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("xyz", "normal", "lab")))


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a registration ended.

    Args:
        T_target_source: float64 [4, 4]. fitting: share of the source's points with a match within the last gate.
        off_m: median distance of matches to their planes.
    """

    T_target_source: Float64
    fitting: float
    off_m: float


def surface_of(frame: Frame, mask: Bool, most: int = MOST) -> Surface:
    """What a frame shows in a mask, in the world; without the mask's rim, whose colour is mixed, where enough is left."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    chosen = inner if np.count_nonzero(inner) >= 60 else mask & (frame.depth > 0)
    rows, columns = np.nonzero(chosen)
    every = max(1, len(rows) // most)
    rows, columns = rows[::every], columns[::every]
    T = frame.T_world_cam
    points = (geometry.pixel_rays(frame.camera) * frame.depth[..., None]).astype(np.float32)
    right, down = (np.asarray(cv2.Scharr(points, cv2.CV_32F, *way), np.float64) for way in ((1, 0), (0, 1)))
    normal = np.cross(down[rows, columns], right[rows, columns])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    lab = cv2.cvtColor(cv2.GaussianBlur(frame.rgb, (3, 3), 0), cv2.COLOR_RGB2LAB)[rows, columns].astype(np.float64)
    return Surface(points[rows, columns].astype(np.float64) @ T[:3, :3].T + T[:3, 3], normal @ T[:3, :3].T, lab)


def register(source: Surface, target: Surface, T_target_source: Float64, size_m: float, up: Float64 | None) -> Registered:
    """Move one surface onto another.

    Args:
        T_target_source: float64 [4, 4], to start from. size_m: of the thing: gates scale with it.
        up: float64 [3], unit, in the target's frame: turn about it alone; None: turn freely.
    """
    T = T_target_source
    fitting, off_m = 0.0, np.inf
    for gate in (share * size_m for share in GATES):
        tree = cKDTree(np.hstack([target.xyz, target.lab * (gate / COLOUR)]))
        for _ in range(STEPS):
            moved = source.moved(T)
            gap, at = tree.query(np.hstack([moved.xyz, moved.lab * (gate / COLOUR)]), distance_upper_bound=1.6 * gate)
            near = np.isfinite(gap)
            if np.count_nonzero(near) < 12:
                return Registered(T, 0.0, np.inf)
            matched = Surface(target.xyz[at[near]], target.normal[at[near]], target.lab[at[near]])
            step, off_m = _step(moved.xyz[near], matched, gate, size_m, up)
            T, fitting = step @ T, float(near.mean())
            if np.abs(step - np.eye(4)).max() < 1e-4 * size_m:
                break
    return Registered(T, fitting, off_m)


def _step(points: Float64, matched: Surface, gate: float, size_m: float, up: Float64 | None) -> tuple[Float64, float]:
    """One Gauss-Newton step, as a transform in the target's frame, and the median distance to planes, m."""
    centre = points.mean(0)
    arm, apart = points - centre, matched.xyz - points
    plane = np.einsum("ij,ij->i", apart, matched.normal)
    weight = 1.0 / (1.0 + (np.linalg.norm(apart, axis=1) / (0.5 * gate)) ** 2)
    axes = np.eye(3) if up is None else up[None]
    turns = np.cross(axes[None], arm[:, None])  # [N, A, 3], how points move with a unit turn about each axis
    J = np.concatenate([turns, np.broadcast_to(np.eye(3), (len(arm), 3, 3))], 1)  # [N, A + 3, 3]
    Jn = np.einsum("naj,nj->na", J, matched.normal)
    H = (Jn * weight[:, None]).T @ Jn + OWN_SHARE * np.einsum("naj,nbj,n->ab", J, J, weight)
    b = (Jn * weight[:, None]).T @ plane + OWN_SHARE * np.einsum("naj,nj,n->a", J, apart, weight)
    lever = (0.3 * size_m) ** 2
    H += np.diag(np.concatenate([np.full(len(axes), lever), np.ones(3)]) * DAMPING * weight.sum())
    x = np.linalg.solve(H, b)
    R = Rotation.from_rotvec(axes.T @ x[: len(axes)]).as_matrix()
    return geometry.pose(R, centre + x[len(axes) :] - R @ centre), float(np.median(np.abs(plane)))


def motion_of(surfaces: list[Surface], times_s: list[float], size_m: float, up: Float64 | None) -> tuple[list[Float64], float]:
    """Poses of a thing at the times it was seen, its frame being the world's axes in its middle at the first.

    Each sight is registered to what some earlier ones showed together, from where constant motion would have it.

    Returns:
        ``T_world_actor`` [4, 4] of each, and the mean share of points that found a match.
    """
    first = geometry.pose(np.eye(3), np.median(surfaces[0].xyz, 0))
    poses, fits = [first], []
    for k in range(1, len(surfaces)):
        known = [j for j in (k - 1, k - 2, k - 4, k - 8) if j >= 0]
        model = Surface.joined([surfaces[j].moved(geometry.inverse(poses[j])) for j in known])
        expected = _expected(poses, times_s, k)
        found = _best(surfaces[k], model, expected, size_m, up)
        poses.append(geometry.inverse(found.T_target_source) if found.fitting > 0.3 else expected)
        fits.append(found.fitting)
    return poses, float(np.mean(fits)) if fits else 1.0


def _best(source: Surface, target: Surface, expected: Float64, size_m: float, up: Float64 | None) -> Registered:
    """Registered from where a thing is expected, and, where that does not fit well, from there turned some ways."""
    best = register(source, target, geometry.inverse(expected), size_m, up)
    if best.fitting >= WELL:
        return best
    axis = np.array([0.0, 0.0, 1.0]) if up is None else up
    for angle in TURNED_RAD:
        R = Rotation.from_rotvec(angle * axis).as_matrix() @ expected[:3, :3]
        found = register(source, target, geometry.inverse(geometry.pose(R, expected[:3, 3])), size_m, up)
        if found.fitting > best.fitting + BETTER:
            best = found
    return best


def _expected(poses: list[Float64], times_s: list[float], k: int) -> Float64:
    """Where constant motion has a thing at sight k."""
    if k < 2:
        return poses[-1]
    share = min((times_s[k] - times_s[k - 1]) / (times_s[k - 1] - times_s[k - 2]), 4.0)
    before, last = poses[k - 2], poses[k - 1]
    turn = Rotation.from_matrix(last[:3, :3] @ before[:3, :3].T).as_rotvec()
    R = Rotation.from_rotvec(share * turn).as_matrix() @ last[:3, :3]
    return geometry.pose(R, last[:3, 3] + share * (last[:3, 3] - before[:3, 3]))
