"""Where a camera may be: occupied, free and unknown space of a memory as a grid, and the distance to what is not free.

Free is what some keyframe looked through; where memory holds all of a place (a mesh), whatever is not occupied. What was
never seen may hold anything, so no way leads through it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from spatia_ros.ground.thing import Thing
from spatia_ros.memory import Memory
from spatia_ros.memory.belief import seen_empty
from spatia_ros.types import Bool, Float32, Float64, SpatiaError

MAX_CELLS = 6_000_000
"""Cells grow where the part of the place that is looked at has more."""
HALF_DIAGONAL = 0.87
"""From the middle of a cell to its corner, in cells."""
STRAY_POINTS = 2
"""A cell of fewer points that has no occupied neighbour is a stray, and empty."""


@dataclass(frozen=True)
class Room:
    """A grid of a place, z up ("level" axes).

    Args:
        R_level_world: float64 [3, 3]. low: float64 [3], lowest corner, m. cell_m: side of a cell.
        occupied, known: bool [X, Y, Z], where a surface is, and where it is known what is.
        clearance_m: float32 [X, Y, Z], at least so far is the middle of each cell from any surface and anything unknown.
    """

    R_level_world: Float64
    low: Float64
    cell_m: float
    occupied: Bool
    known: Bool
    clearance_m: Float32

    @classmethod
    def of(
        cls, memory: Memory, R_level_world: Float64, low: Float64, high: Float64, cell_m: float, movers: Iterable[Thing] = (),
        eye: Float64 | None = None,
    ) -> Room:
        """The part of a place between two corners [3] in level axes.

        Args:
            movers: things (in level axes) that are in the way too. eye: level float64 [3], where the camera is: free around it.

        Raises:
            SpatiaError: when the corners leave nothing between them.
        """
        if not (high > low).all():
            raise SpatiaError(f"room: expected low < high, got {low.tolist()} and {high.tolist()}")
        while np.prod(np.ceil((high - low) / cell_m)) > MAX_CELLS:
            cell_m *= 1.2
        shape = np.maximum(np.ceil((high - low) / cell_m).astype(int), 1)
        count = np.zeros(shape, np.int32)
        corners = np.stack(np.meshgrid(*np.stack([low, high], 1)), -1).reshape(-1, 3) @ R_level_world
        for chunk in memory.chunks(corners.min(0), corners.max(0)):
            _count(count, chunk.xyz @ R_level_world.T.astype(np.float32), low, cell_m)
        occupied = _without_strays(count)
        for thing in movers:
            _count(moved := np.zeros(shape, np.int32), thing.xyz, low, cell_m)
            occupied |= moved > 0
        known = _known(memory, R_level_world, low, cell_m, occupied)
        if eye is not None:
            known |= _ball(shape, low, cell_m, eye, 0.3)
        open_ = known & ~occupied
        # Padded: what lies outside the grid is not known.
        away = distance_transform_edt(np.pad(open_, 1))[1:-1, 1:-1, 1:-1]
        clearance = np.maximum(away - HALF_DIAGONAL, 0.0).astype(np.float32) * np.float32(cell_m)
        return cls(R_level_world, low, float(cell_m), occupied, known, clearance)

    def cells(self, points: Float64) -> np.ndarray:
        """Cells int64 [N, 3] of level points [N, 3]; outside the grid they have indices outside it."""
        return np.floor((points - self.low) / self.cell_m).astype(np.int64)

    def points(self, cells: np.ndarray) -> Float64:
        """Middles float64 [N, 3] of cells, level, m."""
        return self.low + (cells + 0.5) * self.cell_m

    def clearance_at(self, points: Float64) -> Float32:
        """float32 [N], how far level points are at least from what is not free, m, to a cell's half diagonal; 0 outside."""
        cells = self.cells(points)
        inside = ((cells >= 0) & (cells < self.clearance_m.shape)).all(1)
        out = np.zeros(len(points), np.float32)
        out[inside] = self.clearance_m[tuple(cells[inside].T)]
        return out

    def blocked(self, eyes: Float64, targets: Float64, low: Float64, high: Float64, steps: int = 48) -> Float64:
        """Share of targets [M, 3] that something occupied hides from each eye [E, 3], except what lies within low..high: [E]."""
        s = np.linspace(0.05, 0.97, steps)
        share = np.zeros(len(eyes))
        for i, eye in enumerate(eyes):
            way = eye + s[:, None, None] * (targets - eye)
            cells = self.cells(way.reshape(-1, 3))
            inside = ((cells >= 0) & (cells < self.occupied.shape)).all(1)
            hit = np.zeros(len(cells), bool)
            hit[inside] = self.occupied[tuple(cells[inside].T)]
            own = ((way >= low) & (way <= high)).all(-1)
            share[i] = (hit.reshape(own.shape) & ~own).any(0).mean()
        return share


def _count(count: np.ndarray, xyz: Float32, low: Float64, cell_m: float) -> None:
    """Add the points [N, 3] to the cells they lie in."""
    at = np.floor((xyz - low.astype(np.float32)) / np.float32(cell_m)).astype(np.int32)
    at = at[((at >= 0) & (at < count.shape)).all(1)]
    np.add.at(count, tuple(at.T), 1)


def _without_strays(count: np.ndarray) -> Bool:
    """Cells with points, without lonely ones of hardly any."""
    occupied = count > 0
    padded = np.pad(occupied, 1)
    x, y, z = np.nonzero(occupied & (count < STRAY_POINTS))
    around = sum(padded[x + a, y + b, z + c].astype(int) for a in range(3) for b in range(3) for c in range(3))
    lonely = np.asarray(around) <= 1
    occupied[x[lonely], y[lonely], z[lonely]] = False
    return occupied


def _known(memory: Memory, R_level_world: Float64, low: Float64, cell_m: float, occupied: Bool) -> Bool:
    """Which cells are occupied, or were seen to be empty."""
    if memory.config.max_unknown_ray >= 1.0 or not len(memory.keyframes):
        return np.ones(occupied.shape, bool)
    grids = memory.keyframes.measured_grids(list(range(len(memory.keyframes))))
    middles = low + (np.indices(occupied.shape).reshape(3, -1).T + 0.5) * cell_m
    seen = seen_empty(np.ascontiguousarray(middles @ R_level_world), *grids)
    return seen.reshape(occupied.shape) | occupied


def _ball(shape: np.ndarray, low: Float64, cell_m: float, eye: Float64, radius_m: float) -> Bool:
    x, y, z = (low[k] + (np.arange(shape[k]) + 0.5) * cell_m - eye[k] for k in range(3))
    return np.asarray(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2 <= radius_m**2)
