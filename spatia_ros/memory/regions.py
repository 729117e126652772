"""Parts of a place, by which it is edited: shapes, the side of a plane, what hangs together, what has a name.

Shapes know their points by themselves. Objects and components are looked up in a memory first
(:meth:`Region.found_in`) and become :class:`Remembered`: the points found, and which of any other points
belong to them. Every region says itself in one sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from spatia_ros.memory.rows import take_within
from spatia_ros.types import MAX_POSITION_M, Bool, Float32, Float64, SpatiaError, check_array, check_pose

if TYPE_CHECKING:
    from spatia_ros.memory.memory import Memory

MAX_COMPONENT_POINTS = 3_000_000
"""More points than this around a seed are refused: name a smaller part."""
SIDE_SHARE = 0.97
"""A plane with at least this share of the points on one side (or on it) bounds the place: floor, wall, table top."""
PLANE_SHARE = 0.05
"""Planes of fewer points than this share of those around the seed are part of things."""
RIM, RIM_SHARE = 0.7, 0.2
"""And it goes on: at least RIM_SHARE of its points are farther from the seed than RIM of the radius."""
PLANES = 5
"""Planes looked at, largest first."""


class Region(Protocol):
    """A part of space."""

    def bounds(self) -> tuple[Float64, Float64]:
        """Low and high corner [3] of a box that holds it, metres; may be infinite."""

    def contains(self, points: np.ndarray, slack_m: float = 0.0) -> Bool:
        """Which world points [N, 3] (metres) belong to it, or lie within ``slack_m`` of it: bool [N]."""

    def found_in(self, memory: Memory) -> Region:
        """The same region with what it needs of a memory; a shape is found as it is."""


def _vector(name: str, values: object) -> Float64:
    vector = np.asarray(values, np.float64)
    check_array(name, vector, (3,), np.float64)
    if not (np.abs(vector) <= MAX_POSITION_M).all():
        raise SpatiaError(f"{name}: expected finite metres, at most {MAX_POSITION_M:g}, got {vector.tolist()}")
    return vector


def _said(values: Float64) -> str:
    return "(" + ", ".join(f"{v:.4g}" for v in values) + ")"


class Box:
    """A box: corners in metres, in the world's axes or in those of ``T_world_box``."""

    def __init__(self, low: object, high: object, T_world_box: Float64 | None = None) -> None:
        self.low, self.high = _vector("box.low", low), _vector("box.high", high)
        if (self.low > self.high).any():
            raise SpatiaError(f"box: expected low <= high, got {_said(self.low)} and {_said(self.high)}")
        self.T_world_box = np.eye(4) if T_world_box is None else T_world_box
        check_pose("box.T_world_box", self.T_world_box)

    def __str__(self) -> str:
        turned = "" if np.array_equal(self.T_world_box, np.eye(4)) else f" in axes at {_said(self.T_world_box[:3, 3])}"
        return f"the box from {_said(self.low)} to {_said(self.high)} m{turned}"

    def bounds(self) -> tuple[Float64, Float64]:
        """See :class:`Region`."""
        corners: Float64 = np.stack(np.meshgrid(*np.stack([self.low, self.high], 1)), -1).reshape(-1, 3)
        world = corners @ self.T_world_box[:3, :3].T + self.T_world_box[:3, 3]
        return world.min(0), world.max(0)

    def contains(self, points: np.ndarray, slack_m: float = 0.0) -> Bool:
        """See :class:`Region`."""
        local = (points - self.T_world_box[:3, 3]) @ self.T_world_box[:3, :3]
        return np.all((local >= self.low - slack_m) & (local <= self.high + slack_m), axis=1)

    def found_in(self, memory: Memory) -> Region:  # noqa: ARG002  (a shape needs nothing of it)
        """See :class:`Region`."""
        return self


class Sphere:
    """A ball: centre and radius in metres."""

    def __init__(self, centre: object, radius_m: float) -> None:
        self.centre, self.radius_m = _vector("sphere.centre", centre), float(radius_m)
        if not 0 < self.radius_m <= MAX_POSITION_M:
            raise SpatiaError(f"sphere.radius_m: expected positive metres, at most {MAX_POSITION_M:g}, got {radius_m}")

    def __str__(self) -> str:
        return f"the ball of {self.radius_m:.4g} m around {_said(self.centre)} m"

    def bounds(self) -> tuple[Float64, Float64]:
        """See :class:`Region`."""
        return self.centre - self.radius_m, self.centre + self.radius_m

    def contains(self, points: np.ndarray, slack_m: float = 0.0) -> Bool:
        """See :class:`Region`."""
        return ((points - self.centre) ** 2).sum(1) <= (self.radius_m + slack_m) ** 2

    def found_in(self, memory: Memory) -> Region:  # noqa: ARG002  (a shape needs nothing of it)
        """See :class:`Region`."""
        return self


class HalfSpace:
    """The side of a plane that its normal points to: a point on the plane, metres, and the normal."""

    def __init__(self, point: object, normal: object) -> None:
        self.point, normal = _vector("half_space.point", point), _vector("half_space.normal", normal)
        length = float(np.linalg.norm(normal))
        if length < 1e-9:
            raise SpatiaError(f"half_space.normal: expected a direction, got {normal.tolist()}")
        self.normal: Float64 = normal / length

    def __str__(self) -> str:
        return f"the side towards {_said(self.normal)} of the plane through {_said(self.point)} m"

    def bounds(self) -> tuple[Float64, Float64]:
        """See :class:`Region`."""
        return np.full(3, -np.inf), np.full(3, np.inf)

    def contains(self, points: np.ndarray, slack_m: float = 0.0) -> Bool:
        """See :class:`Region`."""
        return (points - self.point) @ self.normal >= -slack_m

    def found_in(self, memory: Memory) -> Region:  # noqa: ARG002  (a shape needs nothing of it)
        """See :class:`Region`."""
        return self


class Both:
    """What lies in all of several regions."""

    def __init__(self, regions: Sequence[Region]) -> None:
        if not regions:
            raise SpatiaError("region: expected at least one, got none")
        self.regions = tuple(regions)

    def __str__(self) -> str:
        return " and ".join(str(region) for region in self.regions)

    def bounds(self) -> tuple[Float64, Float64]:
        """See :class:`Region`."""
        lows, highs = zip(*(region.bounds() for region in self.regions), strict=True)
        return np.max(lows, 0), np.min(highs, 0)

    def contains(self, points: np.ndarray, slack_m: float = 0.0) -> Bool:
        """See :class:`Region`."""
        return reduce(np.logical_and, (region.contains(points, slack_m) for region in self.regions))

    def found_in(self, memory: Memory) -> Region:
        """See :class:`Region`."""
        return Both([region.found_in(memory) for region in self.regions])


class Remembered:
    """Points of a memory, chosen out of all around them; another point belongs to them if the nearest remembered one does.

    Args:
        xyz: float32 [N, 3], metres, the chosen points and their neighbours. chosen: bool [N]. voxel_m: of the memory.
        said: the sentence.
    """

    def __init__(self, xyz: Float32, chosen: Bool, voxel_m: float, said: str) -> None:
        self._tree, self._chosen, self._voxel_m, self._said = cKDTree(xyz), chosen, voxel_m, said
        self._bounds = xyz[chosen].min(0).astype(np.float64), xyz[chosen].max(0).astype(np.float64)

    def __str__(self) -> str:
        return self._said

    def bounds(self) -> tuple[Float64, Float64]:
        """See :class:`Region`."""
        return self._bounds

    def contains(self, points: np.ndarray, slack_m: float = 0.0) -> Bool:
        """See :class:`Region`."""
        reach, low, high = self._voxel_m + slack_m, *self._bounds
        inside = np.zeros(len(points), bool)
        near = np.flatnonzero(((points >= low - reach) & (points <= high + reach)).all(1))
        distance, at = self._tree.query(points[near], distance_upper_bound=reach)
        found = np.isfinite(distance)
        inside[near[found]] = self._chosen[at[found]]
        return inside

    def found_in(self, memory: Memory) -> Region:  # noqa: ARG002  (found already)
        """See :class:`Region`."""
        return self


class Object:
    """All points that carry a name (see ``Memory.names``)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"the object {self.name!r}"

    def bounds(self) -> tuple[Float64, Float64]:
        """Everywhere, until it is found."""
        return np.full(3, -np.inf), np.full(3, np.inf)

    def contains(self, points: np.ndarray, slack_m: float = 0.0) -> Bool:
        """Refused: a name has no place of its own."""
        raise SpatiaError(f"{self}: expected to be looked up by found_in(memory) first; {len(points)} points, {slack_m} m asked")

    def found_in(self, memory: Memory) -> Region:
        """Its points in a memory.

        Raises:
            SpatiaError: listing the names there are, when it has no points there.
        """
        labels = [label for label, name in memory.names.items() if name == self.name]
        voxel_m, rows = memory.config.voxel_m, take_within(memory, *self.bounds())
        chosen = np.isin(rows.fields["label"], labels)
        if not chosen.any():
            known = sorted({name for label, name in memory.names.items() if (rows.fields["label"] == label).any()})
            raise SpatiaError(f"object {self.name!r}: expected one of {', '.join(known) or 'none: no point has a name'}")
        return _among_neighbours(rows.fields["xyz"], chosen, voxel_m, str(self))


class Component:
    """What hangs together around a seed point, without the planes that bound the place there (floor, walls, table top).

    Args:
        seed: a point on it (or near it), metres. within_m: nothing farther from the seed belongs to it; choose it
            a little larger than the thing, so that what it stands on is seen to be a plane that goes on.
        gap_m: points closer than this hang together; None: two voxels and a half.
        bound: another region to stay in. stop_at_planes: leave bounding planes out.
    """

    def __init__(
        self, seed: object, within_m: float, gap_m: float | None = None, bound: Region | None = None, stop_at_planes: bool = True
    ) -> None:
        self.around = Sphere(seed, within_m)
        self.gap_m, self.bound, self.stop_at_planes = gap_m, bound, stop_at_planes
        if gap_m is not None and not (np.isfinite(gap_m) and gap_m > 0):
            raise SpatiaError(f"component.gap_m: expected positive metres, got {gap_m}")

    def __str__(self) -> str:
        bound = f" in {self.bound}" if self.bound is not None else ""
        return f"what hangs together at {_said(self.around.centre)} within {self.around.radius_m:.4g} m{bound}"

    def bounds(self) -> tuple[Float64, Float64]:
        """See :class:`Region`."""
        return self.around.bounds()

    def contains(self, points: np.ndarray, slack_m: float = 0.0) -> Bool:
        """Refused: what hangs together is a matter of a memory."""
        raise SpatiaError(f"{self}: expected to be looked up by found_in(memory) first; {len(points)} points, {slack_m} m asked")

    def found_in(self, memory: Memory) -> Region:
        """Its points in a memory.

        Raises:
            SpatiaError: when nothing is there, when the seed lies on a bounding plane, or when too much is around it.
        """
        voxel_m, xyz = memory.config.voxel_m, take_within(memory, *self.bounds()).fields["xyz"]
        inside = self.around.contains(xyz)
        if self.bound is not None:
            inside &= self.bound.found_in(memory).contains(xyz)
        at = np.flatnonzero(inside)
        if not 0 < len(at) <= MAX_COMPONENT_POINTS:
            raise SpatiaError(f"{self}: expected 1..{MAX_COMPONENT_POINTS} points around the seed, got {len(at)}")
        rim = ~Sphere(self.around.centre, RIM * self.around.radius_m).contains(xyz[at])
        free = ~_on_bounding_planes(xyz[at], rim, 1.5 * voxel_m) if self.stop_at_planes else np.ones(len(at), bool)
        gap_m = self.gap_m or 2.5 * voxel_m
        chosen = np.zeros(len(xyz), bool)
        chosen[at[free][_connected(xyz[at[free]], self.around.centre, gap_m, self)]] = True
        return _among_neighbours(xyz, chosen, voxel_m, str(self))


def _among_neighbours(xyz: Float32, chosen: Bool, voxel_m: float, said: str) -> Remembered:
    """The chosen points, with all others in their bounds and a few voxels around."""
    low, high = xyz[chosen].min(0) - 8 * voxel_m, xyz[chosen].max(0) + 8 * voxel_m
    near = ((xyz >= low) & (xyz <= high)).all(1)
    return Remembered(xyz[near], chosen[near], voxel_m, said)


def _connected(xyz: Float32, seed: Float64, gap_m: float, asked: Component) -> Bool:
    """Which points [N, 3] hang together with the one nearest to the seed."""
    distance, first = cKDTree(xyz).query(seed) if len(xyz) else (np.inf, 0)
    if distance > max(4 * gap_m, 0.05):
        raise SpatiaError(f"{asked}: expected a point there that is on no bounding plane, the nearest is {distance:.3g} m off")
    pairs = cKDTree(xyz).query_pairs(gap_m, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (len(xyz), len(xyz)))
    _, part = connected_components(graph, directed=False)
    return part == part[first]


def _on_bounding_planes(xyz: Float32, rim: Bool, margin_m: float) -> Bool:
    """Which points [N, 3] lie on a plane that has nearly all others on one side and goes on to the rim (bool [N])."""
    from spatia_ros.o3d import o3d

    o3d.utility.random.seed(0)
    left = np.arange(len(xyz))
    on_plane = np.zeros(len(xyz), bool)
    for _ in range(PLANES):
        if len(left) < max(3, PLANE_SHARE * len(xyz)):
            break
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(xyz[left].astype(np.float64)))
        (a, b, c, d), inliers = cloud.segment_plane(margin_m, 3, 500)
        if len(inliers) < PLANE_SHARE * len(xyz):
            break
        away = xyz @ (a, b, c) + d
        on = np.abs(away) <= margin_m
        one_sided = max((away > -margin_m).mean(), (away < margin_m).mean()) >= SIDE_SHARE
        if one_sided and rim[on].mean() >= RIM_SHARE:
            on_plane |= on
        left = np.delete(left, inliers)
    return on_plane
