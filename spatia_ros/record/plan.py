"""A place from straight above, as a picture to scale: the ceiling cut away, the highest of the rest in front."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros.record.panels import BACKGROUND
from spatia_ros.types import Float64, Int64, SpatiaError, UInt8

CELL_M, LAYER_M = 0.1, 0.1
MAX_CELLS = 1 << 26
"""Of the floor plan: for places of more than 60 hectares no ceiling is looked for."""
CEILING_SHARE = 0.04
"""A layer above the cameras that closes this share of the floor plan is a ceiling."""
MARGIN_PX = 24
MAX_SCALE = 400.0
"""Pixels per metre at most: more would draw the voxels apart."""
OUTLIERS = 0.002
"""Share of points at each end of each axis that may fall off the picture."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The picture and how to find a place on it.

    Args:
        rgb: uint8 [H, W, 3]; where nothing is remembered, the background.
        R_plan_world: float64 [3, 3]: rows are right, up the page, and up.
        corner: float64 [2], plan coordinates in metres of the picture's upper left corner.
        px_per_m: its scale.
        cut_m: height above the lowest points where the ceiling was cut away; None: there is none.
    """

    rgb: UInt8
    R_plan_world: Float64
    corner: Float64
    px_per_m: float
    cut_m: float | None

    def pixels(self, xyz: np.ndarray) -> Float64:
        """Where world points [N, 3] lie on the picture: float64 [N, 2], (column, row)."""
        plan = np.asarray(xyz, np.float64) @ self.R_plan_world[:2].T
        return np.stack([plan[:, 0] - self.corner[0], self.corner[1] - plan[:, 1]], -1) * self.px_per_m


def draw_plan(
    xyz: np.ndarray, rgb: UInt8, voxel_m: float, up: Float64, eyes: np.ndarray, side_px: int = 1100, axes: Float64 | None = None
) -> Plan:
    """The plan of coloured points.

    Args:
        xyz: float [N, 3], metres, world. rgb: uint8 [N, 3]. voxel_m: side of what each point stands for.
        up: unit vector [3]. eyes: float [T, 3], camera positions: what covers them from above is a ceiling.
        side_px: longer side of the picture.
        axes: float64 [3, 3], rows right, up the page and up, to compare with another plan; turned along the walls when None.

    Raises:
        SpatiaError: without a single point.
    """
    if not len(xyz):
        raise SpatiaError("plan: expected at least one point, got none")
    R = _axes(up, xyz) if axes is None else axes
    plan, eyes_plan = xyz @ R.T, eyes @ R.T
    floor, ceiling = float(np.percentile(plan[:, 2], 1)), ceiling_of(plan, float(eyes_plan[:, 2].max()))
    kept = np.full(len(plan), True) if ceiling is None else plan[:, 2] < ceiling
    low, high = _window(plan[kept, :2], eyes_plan[:, :2])
    scale = min((side_px - 2 * MARGIN_PX) / float((high - low).max()), MAX_SCALE)
    width, height = (int(v) for v in np.ceil((high - low) * scale) + 2 * MARGIN_PX)
    corner = np.array([low[0] - MARGIN_PX / scale, high[1] + MARGIN_PX / scale])
    empty = Plan(np.empty((0, 0, 3), np.uint8), R, corner, scale, None if ceiling is None else ceiling - floor)
    picture = _splat(empty.pixels(xyz[kept]), plan[kept, 2], rgb[kept], (height, width), voxel_m * scale)
    return Plan(picture, R, corner, scale, empty.cut_m)


def ceiling_of(plan: Float64, eye: float) -> float | None:
    """Height just under the ceiling over cameras no higher than ``eye`` metres; None where there is none.

    ``plan`` is [N, 3]: points with their height last.
    """
    cells = np.floor((plan[:, :2] - plan[:, :2].min(0)) / CELL_M).astype(np.int64)
    shape, layer = cells.max(0) + 1, np.floor((plan[:, 2] - eye) / LAYER_M).astype(np.int64)
    if shape.prod() > MAX_CELLS:
        return None
    covered = _occupied(cells, shape).sum()
    for k in range(max(int(layer.max()) + 1, 0)):
        # Walls are in every layer too, but only a ceiling has cells with occupied ones all around.
        closed = cv2.erode(_occupied(cells[layer == k], shape), np.ones((3, 3), np.uint8), borderValue=0)
        if closed.sum() > CEILING_SHARE * covered:
            return eye + (k - 0.5) * LAYER_M
    return None


def _occupied(cells: Int64, shape: Int64) -> UInt8:
    """uint8 image of a grid, 1 in the cells [N, 2] named."""
    grid = np.zeros(shape, np.uint8)
    grid[cells[:, 0], cells[:, 1]] = 1
    return grid


def _axes(up: Float64, xyz: np.ndarray) -> Float64:
    """Rows right, up the page and up, turned so that the walls of the place run along the picture's sides."""
    aside = np.eye(3)[np.abs(up).argmin()]
    x = np.cross(np.cross(up, aside), up)
    x /= np.linalg.norm(x)
    y = np.cross(up, x)
    some = xyz[:: max(1, len(xyz) // 20_000)]
    a, b = some @ x, some @ y
    turns = np.radians(np.arange(0.0, 90.0, 1.5))
    angle = min(turns, key=lambda t: _spread(a * np.cos(t) + b * np.sin(t)) + _spread(b * np.cos(t) - a * np.sin(t)))
    right, above = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if np.ptp(some @ right) < np.ptp(some @ above):
        right, above = above, -right
    return np.stack([right, above, up])


def _spread(values: Float64) -> float:
    """Entropy of positions along an axis; walls across it make it small."""
    share = np.bincount(((values - values.min()) / LAYER_M).astype(np.int64)) / len(values)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())


def _window(points: Float64, eyes: Float64) -> tuple[Float64, Float64]:
    """Lower and upper corner [2] of what the picture shows, metres."""
    low, high = (np.quantile(points, q, axis=0) for q in (OUTLIERS, 1 - OUTLIERS))
    low, high = np.minimum(low, eyes.min(0)), np.maximum(high, eyes.max(0))
    return low, np.maximum(high, low + 0.1)


def _splat(at: Float64, height: Float64, rgb: UInt8, shape: tuple[int, int], side_px: float) -> UInt8:
    """Squares of ``side_px`` pixels, higher ones over lower ones."""
    order = np.argsort(height, kind="stable")
    corner, side = np.floor(at[order] - side_px / 2 + 0.5).astype(np.int64), max(1, int(np.ceil(side_px)))
    picture = np.full((*shape, 3), BACKGROUND, np.uint8)
    top = np.full(shape, -1, np.int64)
    for row in range(side):
        for column in range(side):
            u, v = corner[:, 0] + column, corner[:, 1] + row
            inside = np.flatnonzero((u >= 0) & (v >= 0) & (u < shape[1]) & (v < shape[0]))
            np.maximum.at(top, (v[inside], u[inside]), inside)
    shown = top >= 0
    picture[shown] = rgb[order][top[shown]]
    return _close(picture, shown)


def _close(picture: UInt8, shown: np.ndarray) -> UInt8:
    """Fill single empty pixels within a surface from their neighbours."""
    weight = cv2.blur(shown.astype(np.float32), (3, 3))
    colour = cv2.blur(np.where(shown[..., None], picture, 0).astype(np.float32), (3, 3))
    holes = ~shown & (weight > 0.5)
    picture[holes] = (colour[holes] / weight[holes, None] + 0.5).astype(np.uint8)
    return picture
