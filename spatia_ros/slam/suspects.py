"""Which cells of a frame do not fit what is known of the place.

Three signs, each beyond sensor noise: a surface in space that was seen to be free; a surface just behind one
that memory shows and the frame sees through (something moving away stays in its own shadow, where no space was
ever seen to be free); and, around what is already followed, a surface memory does not show and that was not
there some time ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.memory import Memory
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.slam.free_space import add_freeness, connected
from spatia_ros.slam.movers import Cluster, Track, cluster_of
from spatia_ros.slam.witnesses import Cells, Witnesses, near_any
from spatia_ros.types import Bool, Float32, Float64

WEAK = 0.5
"""A group is as far as points lie half a margin off, if some of it lies a whole one off."""
BEHIND = 2.5
"""In margins: how far behind a vanished surface another may appear and be the same thing."""
STEP_RATIO = 0.03
"""A larger step of depth between cells, relative to depth, parts two things."""
LEAST_STAY_S = 1.0
"""What stands this long, at least, is not taken for a part of something that passes."""
AROUND = 0.5
"""How far around what is seen of it, in its largest side, parts of it may be that do not look as if they moved."""
EARLIER_S = (1.5, 2.0, 3.0, 4.0, 5.0)
"""How long ago a place is looked up, beside the time in which a thing passes: any look that shows a surface there will do."""
AHEAD = 0.3
"""How far ahead of what is seen of it, in its own length, a part of a moving thing may be first seen."""
MOST_CELLS, NOISE_OFF, SHELL = 0.8, 0.3, 0.35
"""So many of the differences to memory are below this, in margins, if noise makes them: 0.84 of its standard deviations.
Memory shows the nearest of its points, and so the outermost noise of all frames: it may lie nearer by a shell of this."""
FEWEST_ASKED, MOST_EXCESS = 200, 4.0
"""Cells that must be shown for that to be asked; and the most that margins grow."""
BLOCK = np.ones((3, 3), np.uint8)
FEWEST = 4
"""Cells of the smallest group, and of the certain part of any."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """Groups of cells that do not fit, and points float64 [N, 3] of memory, m, that a group of cells sees through."""

    clusters: list[Cluster]
    vanished: Float64


def suspects(
    cells: Cells, shown: Float32, memory: Memory, witnesses: Witnesses, tracks: Sequence[Track], least: int
) -> Suspects:
    """Hold a frame against memory, the witnesses and what is followed.

    Args:
        shown: float32 [h, w], depth of memory at the cells, m.
        least: smaller groups are noise, unless they are pieces of something followed.
    """
    z, margin = cells.depth, cells.margin(cells.depth)
    free = np.zeros_like(z)
    for witness in witnesses.asked(cells, memory):
        add_freeness(free, z, intrinsics_of(cells.camera), cells.T_world_cam, witness, cells.margin_m, cells.spread)
    agrees = near_any(shown, z, WEAK * margin, cells.shift)
    # What comes nearer slowly agrees with memory of the frame before: it must have stood there for longer.
    creeps = agrees & (free > 1.0)
    agrees &= ~creeps | witnesses.stood(cells, creeps, LEAST_STAY_S, or_oldest=True)
    news = (z > 0) & ~agrees
    vanished = _vanished(cells, shown, least)
    behind = vanished & (z - shown < BEHIND * margin) & news
    followed = _around(cells, tracks, witnesses, news)
    sure = (free > 1.0) | behind | followed
    label, groups = connected(news & ((free > WEAK) | sure), z, cells.margin_m, STEP_RATIO)
    size, certain = np.bincount(label.ravel(), minlength=groups + 1), np.bincount(label[sure], minlength=groups + 1)
    boxes = [(t.low - cells.margin_m, t.high + cells.margin_m) for t in tracks]
    found = []
    thick = np.bincount(label[cv2.erode((label > 0).astype(np.uint8), BLOCK) > 0], minlength=groups + 1) > 0
    for g in np.flatnonzero((certain >= FEWEST) & (size >= FEWEST)):
        cluster = cluster_of(label == g, z, cells.camera, cells.T_world_cam) if g else None
        if cluster and ((size[g] >= least and thick[g]) or _within(0.5 * (cluster.low + cluster.high), boxes)):
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


def _around(cells: Cells, tracks: Sequence[Track], witnesses: Witnesses, news: Bool) -> Bool:
    """Of some cells [h, w], those where a thing that is followed, and does not rest, is expected.

    Not those that stand there for longer than the thing takes to move by its own length: they are behind or below it.
    """
    out = np.zeros(news.shape, bool)
    unsettled = [t for t in tracks if t.state != "resting"]
    if not unsettled or not news.any():
        return out
    for track in unsettled:
        inside = _inside(cells, *track.expected(cells.stamp_ns), news)
        out |= inside & ~witnesses.stood(cells, inside, max(LEAST_STAY_S, track.passing_s()))
    return out


def excess(cells: Cells, shown: Float32, tracks: Sequence[Track]) -> float:
    """How much farther than noise alone would make it a frame is from what memory shows, 1 for not at all.

    Wrong poses, a lens not quite as calibrated, noise beyond what was configured: all of that moves the whole picture, so
    most differences tell it from a thing that moves. Cells where something moving is expected do not count.
    """
    asked = (shown > 0) & (cells.depth > 0)
    for track in tracks:
        if track.state == "moving" and asked.any():
            asked &= ~_inside(cells, *track.expected(cells.stamp_ns), asked)
    if asked.sum() < FEWEST_ASKED:
        return 1.0
    off = (shown[asked] - cells.depth[asked]) / cells.margin(cells.depth[asked])
    behind, before = np.quantile(off, MOST_CELLS), -np.quantile(off, 1.0 - MOST_CELLS) - SHELL
    return float(np.clip(max(behind, before) / NOISE_OFF, 1.0, MOST_EXCESS))


def part_of(cells: Cells, track: Track, witnesses: Witnesses) -> Bool:
    """Cells [h, w] in the box of a moving track, just ahead and around, that show nothing that stands there for long.

    Memory may show them already: the far side of what moves away is first seen, and so remembered, until it is left behind,
    and a part that slides along itself is never seen to be anywhere new.
    """
    passing = max(LEAST_STAY_S, track.passing_s())
    if track.young:
        inside = _inside(cells, *track.box_ahead(AHEAD, 0.0), cells.depth > 0)
        return inside & ~witnesses.stood(cells, inside, passing)
    inside = _inside(cells, *track.box_ahead(AHEAD, AROUND), cells.depth > 0)
    inside &= ~witnesses.stood(cells, inside, passing, or_oldest=True)  # what slows down passes later than one can look back
    for seconds in (s for s in EARLIER_S if s > passing):
        inside &= ~witnesses.stood(cells, inside, seconds)
    return inside


def _inside(cells: Cells, low: Float64, high: Float64, which: Bool) -> Bool:
    """Of some cells [h, w], those whose points lie in a box (and half a margin around)."""
    out = np.zeros(which.shape, bool)
    slack = WEAK * cells.margin_m
    top, left, bottom, right = _window(cells, low - slack, high + slack)
    if top >= bottom or left >= right:
        return out
    part = cells.camera.cropped(left, top, right - left, bottom - top)
    depth = np.where(which[top:bottom, left:right], cells.depth[top:bottom, left:right], np.float32(0))
    points, known = geometry.backproject(depth, part, cells.T_world_cam)
    out[top:bottom, left:right][known] = ((points >= low - slack) & (points <= high + slack)).all(1)
    return out


def _window(cells: Cells, low: Float64, high: Float64) -> tuple[int, int, int, int]:
    """Rows and columns (top, left, bottom, right) that hold the picture of a box; all when the camera is in it."""
    h, w = cells.depth.shape
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    pixels, z = geometry.project(corners, cells.camera, cells.T_world_cam)
    if (z <= 0.05).any():
        return 0, 0, h, w
    (left, top), (right, bottom) = np.floor(pixels.min(0)), np.ceil(pixels.max(0)) + 1
    return int(np.clip(top, 0, h)), int(np.clip(left, 0, w)), int(np.clip(bottom, 0, h)), int(np.clip(right, 0, w))


def _within(point: Float64, boxes: Sequence[tuple[Float64, Float64]]) -> bool:
    return any((low <= point).all() and (point <= high).all() for low, high in boxes)
