"""Where a camera can stand in a place known only by its points, and a walk through it.

Points become a grid of cells, the grid a distance to the nearest surface. Standing room is where a
floor lies eye height below, nothing between, and a body's width is free around. Its largest connected part
is walked: viewpoints spread evenly over it, joined by the shortest ways that keep clear of walls.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter1d
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, dijkstra, minimum_spanning_tree

from spatia_ros.geometry import look_at
from spatia_ros.types import Bool, Float32, Float64, SpatiaError

MAX_CELLS = 24_000_000
LARGEST_STEP_M = 0.3
"""Higher than this the floor is not stepped up or down between neighbouring cells."""
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """Distance to the nearest surface on a grid, z up.

    Args:
        low: float64 [3], lowest corner of the grid, metres. cell_m: side of a cell.
        occupied: bool [X, Y, Z]. clearance_m: float32 [X, Y, Z], from each cell's centre.
    """

    low: Float64
    cell_m: float
    occupied: Bool
    clearance_m: Float32

    @classmethod
    def of(cls, xyz: Float32, cell_m: float = 0.1, margin_m: float = 2.0) -> FreeSpace:
        """Of points float32 [N, 3] (z up); cells grow where the place is too large for small ones.

        Raises:
            SpatiaError: when there are no points.
        """
        if not len(xyz):
            raise SpatiaError("free space: expected points, got none")
        # Stray points far out would make every cell coarse.
        low, high = (np.percentile(xyz[:: max(len(xyz) // 200_000, 1)], q, 0) for q in (0.1, 99.9))
        low, high = low.astype(np.float64) - 0.3, high.astype(np.float64) + 0.3
        high[2] += margin_m
        while np.prod(np.ceil((high - low) / cell_m)) > MAX_CELLS:
            cell_m *= 1.25
        shape = np.maximum(np.ceil((high - low) / cell_m).astype(int), 1)
        at = np.floor((xyz - low.astype(np.float32)) / np.float32(cell_m)).astype(np.int32)
        at = at[((at >= 0) & (at < shape)).all(1)]
        occupied = np.zeros(shape, bool)
        occupied[at[:, 0], at[:, 1], at[:, 2]] = True
        clearance = distance_transform_edt(~occupied).astype(np.float32) * np.float32(cell_m)
        return cls(low, float(cell_m), occupied, clearance)

    def points(self, cells: np.ndarray) -> Float64:
        """Centres float64 [N, 3] of cells int [N, 3]."""
        return self.low + (cells + 0.5) * self.cell_m

    def standing(self, eye_m: float, clearance_m: float) -> np.ndarray:
        """Cells int [N, 3] where an eye can be: in each column the lowest one fit for it."""
        rise = max(round(eye_m / self.cell_m), 1)
        if rise >= self.occupied.shape[2]:
            return np.zeros((0, 3), int)
        above = np.cumsum(self.occupied, 2, dtype=np.int32)
        # Between floor and eye nothing, at the floor something.
        floor = self.occupied[:, :, :-rise]
        free = (above[:, :, rise:] == above[:, :, :-rise]) & floor
        fit = free & (self.clearance_m[:, :, rise:] >= clearance_m)
        x, y = np.nonzero(fit.any(2))
        return np.stack([x, y, fit[x, y].argmax(1) + rise], 1)

    def largest_part(self, cells: np.ndarray) -> tuple[np.ndarray, csr_matrix]:
        """The largest connected part of standing cells, and the cost of stepping between its cells."""
        index = np.full(self.occupied.shape[:2], -1)
        index[cells[:, 0], cells[:, 1]] = np.arange(len(cells))
        starts, ends, costs = [], [], []
        for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
            there = cells[:, :2] + (dx, dy)
            inside = ((there >= 0) & (there < index.shape)).all(1)
            other = np.full(len(cells), -1)
            other[inside] = index[there[inside, 0], there[inside, 1]]
            a = np.flatnonzero(other >= 0)
            b = other[a]
            level = np.abs(cells[a, 2] - cells[b, 2]) * self.cell_m <= max(LARGEST_STEP_M, self.cell_m)
            a, b = a[level], b[level]
            near = self.clearance_m[tuple(cells[a].T)]
            starts.append(a)
            ends.append(b)
            # Close to a wall a metre counts more, so ways keep to the middle.
            costs.append(np.hypot(dx, dy) * self.cell_m * (1.0 + 0.5 / np.maximum(near, 0.1)))
        size = (len(cells), len(cells))
        graph = csr_matrix((np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))), size)
        _, part = connected_components(graph, directed=False)
        kept = np.flatnonzero(part == np.bincount(part).argmax())
        graph = graph[kept][:, kept]
        return cells[kept], (graph + graph.T).tocsr()


def spread(points: Float64, first: int, spacing_m: float, most: int) -> list[int]:
    """Indices of points [N, 3] chosen one by one farthest from those before, until none is farther than ``spacing_m``."""
    chosen = [first]
    distance = np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < most and distance.max() > spacing_m:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen


@dataclass(frozen=True, slots=True)
class Walk:
    """A way through a place.

    Args:
        viewpoints: float64 [K, 3], spread over all standing room, in the order the way visits them.
        way: float64 [N, 3], eye positions from the first viewpoint through all the others.
    """

    viewpoints: Float64
    way: Float64

    def poses(self, spacing_m: float = 0.1) -> Float64:
        """``T_world_cam`` [M, 4, 4] along the way at an even pace, looking where it leads, z up."""
        step = np.linalg.norm(np.diff(self.way, axis=0), axis=1)
        at = np.concatenate([[0.0], np.cumsum(step)])
        if at[-1] < spacing_m:
            return look_at(self.way[0], self.way[0] + (1.0, 0.0, 0.0), UP)[None]
        s = np.linspace(0.0, at[-1], max(int(at[-1] / spacing_m), 2))
        eye = np.stack([np.interp(s, at, self.way[:, k]) for k in range(3)], -1)
        eye = gaussian_filter1d(eye, 2.0, axis=0, mode="nearest")
        ahead = np.stack([np.interp(np.minimum(s + 1.0, at[-1]), at, self.way[:, k]) for k in range(3)], -1) - eye
        ahead[:, 2] = 0.0
        # At the end there is no way ahead: the last direction is kept.
        for i in range(len(ahead)):
            if np.linalg.norm(ahead[i]) < 0.2:
                ahead[i] = ahead[i - 1] if i else (1.0, 0.0, 0.0)
        turns = np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))
        yaw = gaussian_filter1d(turns, 4.0, mode="nearest")
        direction = np.stack([np.cos(yaw), np.sin(yaw), np.full(len(yaw), -0.12)], -1)
        return np.stack([look_at(e, e + d, UP) for e, d in zip(eye, direction, strict=True)])


def begun_at(walk: Walk, eye: Float64) -> Walk:
    """The longer part of a walk from the place nearest to ``eye`` [3]."""
    at = int(np.linalg.norm(walk.way - eye, axis=1).argmin())
    way = walk.way[at:] if at < len(walk.way) / 2 else walk.way[at::-1]
    return Walk(walk.viewpoints, way)


def find_walk(
    space: FreeSpace, eye_m: float = 1.4, clearance_m: float = 0.3, spacing_m: float = 2.0, most: int = 64
) -> Walk | None:
    """A walk over the largest standing room; None where there is none of a square metre."""
    cells = space.standing(eye_m, clearance_m)
    if not len(cells):
        return None
    cells, graph = space.largest_part(cells)
    if len(cells) * space.cell_m**2 < 1.0:
        return None
    points = space.points(cells)
    openest = int(space.clearance_m[tuple(cells.T)].argmax())
    chosen = spread(points, openest, spacing_m, most)
    return _joined(points, chosen, graph)


def _joined(points: Float64, chosen: list[int], graph: csr_matrix) -> Walk:
    """Visit the chosen points in the order of a tree over their mutual distances, along shortest ways."""
    distance, before = dijkstra(graph, directed=False, indices=chosen, return_predecessors=True)
    between = distance[:, chosen]
    order = _depth_first(minimum_spanning_tree(csr_matrix(between)), len(chosen))
    way = [chosen[order[0]]]
    for a, b in pairwise(order):
        leg, at = [], chosen[b]
        while at != chosen[a]:
            leg.append(at)
            at = int(before[a, at])
        way += leg[::-1]
    return Walk(points[[chosen[i] for i in order]], points[way])


def _depth_first(tree: csr_matrix, n: int) -> list[int]:
    """Nodes of a tree from 0 on, branch by branch, the shortest branch first so that little way is walked twice."""
    both = (tree + tree.T).tocsr()
    _, parent = breadth_first_order(both, 0, directed=False)
    children: list[list[int]] = [[] for _ in range(n)]
    for node in range(n):
        if parent[node] >= 0:
            children[parent[node]].append(node)
    size = np.ones(n, int)
    ordered = breadth_first_order(both, 0, directed=False, return_predecessors=False)
    for node in ordered[::-1]:
        if parent[node] >= 0:
            size[parent[node]] += size[node]
    out, stack = [], [0]
    while stack:
        node = stack.pop()
        out.append(node)
        stack += sorted(children[node], key=lambda c: -size[c])
    return out
