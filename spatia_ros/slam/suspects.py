"""Which cells of a frame do not fit what is known of the place.

Three signs, each beyond sensor noise: a surface in space that was seen to be free; a surface just behind one
that memory shows and the frame sees through (something moving away stays in its own shadow, where no space was
ever seen to be free); and, around what is already followed, a surface memory does not show and that was not
there a second ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatia_ros import geometry
from spatia_ros.memory import Memory
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.slam.free_space import add_freeness, connected
from spatia_ros.slam.movers import Cluster, Track, cluster_of
from spatia_ros.slam.witnesses import Cells, Witnesses
from spatia_ros.types import Bool, Float32, Float64

WEAK = 0.5
"""A group is as far as points lie half a margin off, if some of it lies a whole one off."""
BEHIND = 2.5
"""In margins: how far behind a vanished surface another may appear and be the same thing."""
STEP_RATIO = 0.03
"""A larger step of depth between cells, relative to depth, parts two things."""
FEWEST = 4
"""Cells of the smallest group, and of the certain part of any."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """Groups of cells that do not fit, and points float64 [N, 3] of memory, m, that a group of cells sees through."""

    clusters: list[Cluster]
    vanished: Float64


def suspects(cells: Cells, memory: Memory, witnesses: Witnesses, tracks: Sequence[Track], least: int) -> Suspects:
    """Hold a frame against memory, the witnesses and what is followed.

    Args:
        least: smaller groups are noise, unless they are pieces of something followed.
    """
    z, margin = cells.depth, cells.margin(cells.depth)
    shown = memory.render_depth(cells.camera, cells.T_world_cam)
    free = np.zeros_like(z)
    for witness in witnesses.asked(cells, memory):
        add_freeness(free, z, intrinsics_of(cells.camera), cells.T_world_cam, witness, cells.margin_m, cells.spread)
    news = (z > 0) & ~((shown > 0) & (np.abs(shown - z) < WEAK * margin))
    vanished = _vanished(cells, shown, least)
    behind = vanished & (z - shown < BEHIND * margin) & news
    followed = _around(cells, tracks) & news
    followed &= ~witnesses.stood(cells, followed)
    sure = (free > 1.0) | behind | followed
    label, groups = connected(news & ((free > WEAK) | sure), z, cells.margin_m, STEP_RATIO)
    size, certain = np.bincount(label.ravel(), minlength=groups + 1), np.bincount(label[sure], minlength=groups + 1)
    boxes = [(t.low - cells.margin_m, t.high + cells.margin_m) for t in tracks]
    found = []
    for g in np.flatnonzero((certain >= FEWEST) & (size >= FEWEST)):
        cluster = cluster_of(label == g, z, cells.camera, cells.T_world_cam) if g else None
        if cluster and (size[g] >= least or _within(0.5 * (cluster.low + cluster.high), boxes)):
            found.append(cluster)
    points, _ = geometry.backproject(np.where(vanished, shown, np.float32(0)), cells.camera, cells.T_world_cam)
    return Suspects(found, points)


def _vanished(cells: Cells, shown: Float32, least: int) -> Bool:
    """Groups of cells that look through what memory shows there."""
    through = (shown > 0) & (cells.lowest - shown > cells.margin(cells.lowest))
    label, _ = connected(through, shown, cells.margin_m, STEP_RATIO)
    large = np.bincount(label.ravel()) >= least
    large[0] = False
    return large[label]


def _around(cells: Cells, tracks: Sequence[Track]) -> Bool:
    """Cells whose points lie where a thing that is followed, and does not rest, is expected."""
    out = np.zeros(cells.depth.shape, bool)
    unsettled = [t for t in tracks if t.state != "resting"]
    if not unsettled:
        return out
    points, known = geometry.backproject(cells.depth, cells.camera, cells.T_world_cam)
    inside = np.zeros(len(points), bool)
    for track in unsettled:
        low, high = track.expected(cells.stamp_ns)
        inside |= ((points >= low - WEAK * cells.margin_m) & (points <= high + WEAK * cells.margin_m)).all(1)
    out[known] = inside
    return out


def _within(point: Float64, boxes: Sequence[tuple[Float64, Float64]]) -> bool:
    return any((low <= point).all() and (point <= high).all() for low, high in boxes)
