"""A collision-free way through a room: shortest ways from where the camera is to everywhere, then one made short and smooth.

The search is Dijkstra's over the grid's cells (26 neighbours), in which a metre near a surface counts more; with several
dozen goals one such field says at once which can be reached and at what cost, which A* would have to be asked one by one.
The way found is shortened by straight pieces that keep clear, and smoothed as far as it stays clear.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from spatia_ros.ground.room import Room
from spatia_ros.kernels import njit
from spatia_ros.types import Float32, Float64, Int64

SPACING_M = 0.05
"""Between points of a finished way."""
SMOOTH_M = (0.35, 0.2, 0.12, 0.06)
"""Widths of smoothing, the widest that stays clear is taken."""
STEP_OFF_M = 0.45
"""A camera that starts closer to things than it may go is let out of there, no farther than this."""


@dataclass(frozen=True)
class Reach:
    """Shortest ways from one place.

    Args:
        room: where. least_m: clearance kept. cost: float32 [cells], in metres at full clearance, inf where no way leads.
        before: int64 [cells], the cell from which each is reached, -1 at the start.
    """

    room: Room
    least_m: float
    start: Float64
    cost: Float32
    before: Int64

    def cost_at(self, points: Float64) -> Float64:
        """float64 [N], of the ways to level points [N, 3]; inf outside the grid, and where none leads."""
        cells, shape = self.room.cells(points), np.array(self.room.clearance_m.shape)
        inside = ((cells >= 0) & (cells < shape)).all(1)
        out = np.full(len(points), np.inf)
        out[inside] = self.cost[np.ravel_multi_index(tuple(cells[inside].T), tuple(shape))]
        return out

    def way_to(self, point: Float64) -> Float64:
        """Level points [N, 3] from the start to a reachable point [3], about SPACING_M apart."""
        shape = self.room.clearance_m.shape
        at, cells = int(np.ravel_multi_index(tuple(self.room.cells(point[None])[0]), shape)), list[int]()
        while at >= 0:
            cells.append(at)
            at = int(self.before[at])
        middles = self.room.points(np.stack(np.unravel_index(cells[::-1], shape), 1))
        corners = np.concatenate([self.start[None], middles[1:-1], point[None]])
        return smoothed(self.room, shortened(self.room, corners, self.least_m), self.least_m)


def reach_from(room: Room, start: Float64, least_m: float, wanted_m: float) -> Reach:
    """Shortest ways from a level point [3] to every cell that keeps ``least_m`` away from all that is not free.

    Args:
        wanted_m: clearance beyond which more makes a way no better.
    """
    cells = np.indices(room.clearance_m.shape).reshape(3, -1).T
    allowed = (room.clearance_m >= least_m).ravel()
    near = ((room.points(cells) - start) ** 2).sum(1) <= STEP_OFF_M**2
    own = float(room.clearance_at(start[None])[0])
    if own < least_m:
        # Never closer to things than the camera is already.
        allowed |= near & (room.clearance_m.ravel() >= min(own, 0.5 * room.cell_m)) & ~room.occupied.ravel()
    shape = np.array(room.clearance_m.shape, np.int64)
    first = room.cells(start[None])[0]
    if not ((first >= 0) & (first < shape)).all():
        return Reach(room, least_m, start, np.full(len(cells), np.inf, np.float32), np.full(len(cells), -1, np.int64))
    at = int(np.ravel_multi_index(tuple(first), tuple(shape)))
    allowed[at] = True
    dear = np.maximum(0.0, 1.0 - room.clearance_m.ravel() / max(wanted_m, 1e-3)) ** 2
    cost, before = _dijkstra(allowed, (1.0 + 3.0 * dear).astype(np.float32), shape, at, room.cell_m)
    return Reach(room, least_m, start, cost, before)


@njit(cache=True)
def _dijkstra(
    allowed: np.ndarray, factor: np.ndarray, shape: np.ndarray, start: int, cell_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cost [cells] and predecessor of the cheapest ways over allowed cells; a step costs its length times the mean factor."""
    cost, before = np.full(allowed.size, np.inf, np.float32), np.full(allowed.size, -1, np.int64)
    done = np.zeros(allowed.size, np.bool_)
    cost[start] = 0.0
    heap = [(np.float32(0.0), np.int64(start))]
    nx, ny, nz = shape[0], shape[1], shape[2]
    while heap:
        c, at = heapq.heappop(heap)
        if done[at]:
            continue
        done[at] = True
        x, y, z = at // (ny * nz), at // nz % ny, at % nz
        for i in range(max(x - 1, 0), min(x + 2, nx)):
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for k in range(max(z - 1, 0), min(z + 2, nz)):
                    to = (i * ny + j) * nz + k
                    if done[to] or not allowed[to]:
                        continue
                    step = np.sqrt(np.float32((i - x) ** 2 + (j - y) ** 2 + (k - z) ** 2)) * np.float32(cell_m)
                    new = c + step * np.float32(0.5) * (factor[at] + factor[to])
                    if new < cost[to]:
                        cost[to], before[to] = new, at
                        heapq.heappush(heap, (new, to))
    return cost, before


def is_clear(room: Room, way: Float64, least_m: float) -> bool:
    """Whether every point of a way [N, 3] keeps clear, but near its start, where it may be as close as the start is."""
    clearance = room.clearance_at(way)
    if float(clearance[0]) < least_m:
        off = np.linalg.norm(way - way[0], axis=1) > STEP_OFF_M
        return bool((clearance[off] >= least_m).all() and (clearance[~off] >= clearance[0]).all())
    return bool((clearance >= least_m).all())


def shortened(room: Room, corners: Float64, least_m: float) -> Float64:
    """The corners [N, 3] of a way without those that a straight piece that keeps as clear as it can passes by."""
    out, at = [corners[0]], 0
    while at < len(corners) - 1:
        to = len(corners) - 1
        while to > at + 1 and not _straight_is_good(room, corners[at : to + 1], least_m):
            to -= max(1, (to - at) // 8)
        to = max(to, at + 1)
        out.append(corners[to])
        at = to
    return np.stack(out)


def _straight_is_good(room: Room, corners: Float64, least_m: float) -> bool:
    """Whether the straight piece between the ends keeps clear, and not much closer to things than the way itself did."""
    straight = spaced(corners[[0, -1]])
    own = float(room.clearance_at(corners).min())
    return is_clear(room, straight, least_m) and float(room.clearance_at(straight).min()) >= min(own, 0.7 * own + 0.3 * least_m)


def spaced(corners: Float64, spacing_m: float = SPACING_M) -> Float64:
    """Points at an even spacing along corners [N, 3], ends included."""
    at = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    s = np.linspace(0.0, at[-1], max(int(np.ceil(at[-1] / spacing_m)), 1) + 1)
    return np.stack([np.interp(s, at, corners[:, k]) for k in range(3)], -1)


def smoothed(room: Room, corners: Float64, least_m: float) -> Float64:
    """A way along corners [N, 3] without its kinks, as smooth as it can be while it keeps clear."""
    way = spaced(corners)
    if len(way) < 4:
        return way
    margin = len(way) - 1
    wide = np.pad(way, ((margin, margin), (0, 0)), mode="reflect", reflect_type="odd")
    for width in SMOOTH_M:
        calm = gaussian_filter1d(wide, width / SPACING_M, axis=0)[margin:-margin]
        calm[0], calm[-1] = way[0], way[-1]
        if is_clear(room, spaced(calm), least_m):
            return spaced(calm)
    return way
