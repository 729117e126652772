"""How a thing that bends moved between two sights of it: a smooth displacement of its points, found by matching them.

Some hundred points of one sight are matched to the other by place and colour, both ways, and each moves as those around it
do on average; the neighbourhoods shrink as it goes on (coherent motion first, limbs last).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from spatia_ros.actors.body import BodyPoints
from spatia_ros.types import Float32, Float64

CONTROLS = 500
ROUNDS = 10
NEIGHBOURS = 24
SPREAD = (0.11, 0.035)
"""Width of a neighbourhood in the first and last round, in sizes of the thing."""
COLOUR = 0.14
"""How far away full contrast counts as being, in sizes of the thing."""


def bent(a: BodyPoints, b: BodyPoints, share: float) -> BodyPoints:
    """The points of one sight a share (0..1) of the way to where they are in another, both in the actor's frame."""
    if a is b or share == 0.0:
        return a
    return BodyPoints(a.xyz + np.float32(share) * displacement(a, b), a.rgb, a.spacing_m)


@lru_cache(maxsize=64)
def displacement(a: BodyPoints, b: BodyPoints) -> Float32:
    """float32 [N, 3], m: how far each point of ``a`` moved until ``b``. Pure; the latest answers are kept."""
    size = float(np.linalg.norm(np.ptp(a.xyz, axis=0))) or 1.0
    controls, colours = _some(a, CONTROLS, size)
    targets, their_colours = _some(b, 2 * CONTROLS, size)
    if len(controls) < 4 or len(targets) < 4:
        return np.zeros_like(a.xyz)
    moved = _matched(controls, colours, targets, their_colours, size)
    gap, near = cKDTree(controls).query(a.xyz, k=4)
    weight = 1.0 / (gap + 1e-3 * size)
    weight /= weight.sum(1, keepdims=True)
    return (weight[..., None] * moved[near]).sum(1).astype(np.float32)


def _some(points: BodyPoints, most: int, size: float) -> tuple[Float64, Float64]:
    """Up to so many places [N, 3], spread over the points, and their colours as lengths [N, 3]."""
    step = slice(None, None, max(1, -(-len(points) // most)))
    return points.xyz[step].astype(np.float64), points.rgb[step].astype(np.float64) * (COLOUR * size / 255.0)


def _matched(controls: Float64, colours: Float64, targets: Float64, their_colours: Float64, size: float) -> Float64:
    """float64 [N, 3]: displacements of the controls towards the targets."""
    gap, near = cKDTree(controls).query(controls, k=min(NEIGHBOURS, len(controls)))
    goal = np.concatenate([targets, their_colours], 1)
    tree = cKDTree(goal)
    moved = np.zeros_like(controls)
    for k in range(ROUNDS):
        width = size * SPREAD[0] * (SPREAD[1] / SPREAD[0]) ** (k / (ROUNDS - 1))
        here = np.concatenate([controls + moved, colours], 1)
        pull = targets[tree.query(here)[1]] - controls
        # The other way round: what of the target nobody went to pulls whoever is nearest.
        nearest = cKDTree(here).query(goal)[1]
        back, count = np.zeros_like(controls), np.zeros(len(controls))
        np.add.at(back, nearest, targets - controls[nearest])
        np.add.at(count, nearest, 1.0)
        asked = count > 0
        pull[asked] = 0.5 * (pull[asked] + back[asked] / count[asked, None])
        weight = np.exp(-((gap / width) ** 2))
        weight /= weight.sum(1, keepdims=True)
        moved = (weight[..., None] * pull[near]).sum(1)
    return moved
