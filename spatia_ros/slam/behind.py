"""What lies behind a thing that moves: the planes around it, carried on.

A floor and a wall go on behind and below what stands before them, and inverse depth is linear over the picture of a
plane. So planes are found among the cells around the thing, and the nearest of them that lies behind each cell is taken
to be what would be seen there. It says how far back what the thing left may be looked for, and which cells at its rim
stand out from the floor and belong to it.
"""

from __future__ import annotations

import cv2
import numpy as np

from spatia_ros.slam.witnesses import Cells
from spatia_ros.types import Bool, Float32, Float64

RIM_CELLS = 8
"""Cells this near to the thing are asked."""
DRAWN, ASKED = 96, 512
"""Planes tried, through three cells each; and cells asked about them."""
PLANES, LEAST_SHARE, FEWEST_CELLS = 3, 0.15, 24
"""Planes found at most, the share of the cells around the thing that each has to itself, and their number."""
NEAR_PLANE = 0.5
"""In margins: a cell no farther from a plane is on it."""


def behind(cells: Cells, thing: Bool, others: Bool, rng: np.random.Generator) -> Float32:
    """Depth of the planes around a thing, carried on behind it: float32 [h, w], m, 0 where none lies behind what is measured.

    Args:
        thing: bool [h, w], its cells. others: bool [h, w], cells that are not to be asked either. rng: draws the planes.
    """
    side = 2 * RIM_CELLS + 1
    around = cv2.dilate(thing.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    close = cv2.dilate((thing | others).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    v, u = np.nonzero(around & ~close & (cells.depth > 0))
    every = max(1, -(-len(v) // ASKED))
    v, u = v[::every], u[::every]
    out = np.zeros_like(cells.depth)
    yy, xx = np.nonzero(cv2.dilate(thing.astype(np.uint8), np.ones((side, side), np.uint8)))
    z = cells.depth[yy, xx]
    for a, b, c in _planes(u, v, cells.depth[v, u], cells, rng):
        inverse = a * xx + b * yy + c
        far = np.where(inverse > 1e-3, 1.0 / np.maximum(inverse, 1e-3), 0.0).astype(np.float32)
        nearer = (far > z - np.float32(NEAR_PLANE) * cells.margin(z)) & ((out[yy, xx] == 0) | (far < out[yy, xx]))
        out[yy[nearer], xx[nearer]] = far[nearer]
    return out


def _planes(u: np.ndarray, v: np.ndarray, z: Float32, cells: Cells, rng: np.random.Generator) -> list[Float64]:
    """Planes among cells (columns u, rows v, depths z), largest first: inverse depth is ``a u + b v + c``."""
    found: list[Float64] = []
    rows = np.stack([u, v, np.ones(len(u))], 1).astype(np.float64)
    inverse = 1.0 / np.maximum(z, 1e-3).astype(np.float64)
    # How much inverse depth may be off: the derivative of 1 / z, times the margin.
    off = NEAR_PLANE * cells.margin(z).astype(np.float64) * inverse**2
    least, left = max(FEWEST_CELLS, LEAST_SHARE * len(u)), np.ones(len(u), bool)
    for _ in range(PLANES):
        at = np.flatnonzero(left)
        if len(at) < least:
            break
        drawn = at[rng.integers(0, len(at), (DRAWN, 3))]
        drawn = drawn[np.abs(np.linalg.det(rows[drawn])) > 1.0]
        if not len(drawn):
            break
        planes = np.linalg.solve(rows[drawn], inverse[drawn][..., None])[..., 0]
        fits = np.abs(planes @ rows[at].T - inverse[at]) < off[at]
        on = at[fits[int(np.argmax(fits.sum(1)))]]
        if len(on) < least:
            break
        plane = np.linalg.lstsq(rows[on], inverse[on], rcond=None)[0]
        found.append(plane)
        left &= np.abs(rows @ plane - inverse) >= off
    return found
