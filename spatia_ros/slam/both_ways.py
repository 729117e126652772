"""What moves in a recording that is known whole: every frame is held against frames before and after it.

A pixel whose point other frames see through shows something that was not always there. One that other frames see again
speaks for standing still, but not surely: the middle of a broad thing hides where it was and where it will be. So what
lies within the outline of something that moves, with nothing but depth steps and moving pixels around it, moves too.
Offline this needs neither patience nor trails (see :mod:`.dynamics` for the split of a live stream).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit, prange

from spatia_ros import geometry
from spatia_ros.config import DynamicsConfig
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame

ASKED = 32
"""Frames each frame is held against: half of them most alike in view, half spread over time."""
SEEN_THROUGH = 2
"""Frames that must see through a point, and their share of those that say anything."""
THROUGH_SHARE = 0.12
STEP_RATIO = 0.03
"""A larger step of depth between neighbours, relative to depth, parts two things."""
FEWEST_PX = 12
ENCLOSED = 0.8
"""Share of a region's outline, at least, that is moving or in front of what is beside it: then it is part of what moves."""
TOUCHED = 0.15
"""Share of its outline, at least, that is moving."""
LARGEST = 0.4
"""Of the picture, share that such a region takes at most."""


@dataclass(frozen=True, slots=True)
class Look:
    """A frame as a witness: depth float32 [H, W], m; lowest [H, W], the least of 3 x 3 (0 where any is unknown)."""

    depth: Float32
    lowest: Float32
    T_world_cam: Float64
    stamp_ns: int


def look_of(frame: Frame) -> Look:
    """The witness a frame makes."""
    lowest = cv2.erode(frame.depth, np.ones((3, 3), np.uint8), borderValue=0.0)
    return Look(frame.depth, lowest, frame.T_world_cam, frame.stamp_ns)


@njit(cache=True)
def _ask_row(
    through: np.ndarray, same: np.ndarray, depth: np.ndarray, y: int, f: np.ndarray, T: np.ndarray,
    other: np.ndarray, lowest: np.ndarray, margin_m: float, spread: float,
) -> None:
    """One row of :func:`ask`; T is T_other_this."""
    fx, fy, cx, cy = f
    h, w = other.shape
    for x in range(depth.size):
        d = depth[x]
        if d <= 0.0:
            continue
        X, Y = (x + np.float32(0.5) - cx) / fx * d, (y + np.float32(0.5) - cy) / fy * d
        z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * d + T[2, 3]
        if z <= 0.0:
            continue
        u = fx * (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * d + T[0, 3]) / z + cx
        v = fy * (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * d + T[1, 3]) / z + cy
        if not (0.0 <= u < w and 0.0 <= v < h):
            continue
        j, i = int(v), int(u)
        margin = margin_m + spread * z * z
        if lowest[j, i] > z + margin:
            through[x] += 1
        elif other[j, i] > 0.0 and abs(other[j, i] - z) < margin:
            same[x] += 1


@njit(cache=True, parallel=True)
def _ask(
    through: np.ndarray, same: np.ndarray, depth: np.ndarray, f: np.ndarray, T: np.ndarray, other: np.ndarray,
    lowest: np.ndarray, margin_m: float, spread: float,
) -> None:
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        _ask_row(through[y], same[y], depth[y], y, f, T, other, lowest, np.float32(margin_m), np.float32(spread))


def ask(this: Look, other: Look, camera: Camera, through: np.ndarray, same: np.ndarray, margin_m: float, spread: float) -> None:
    """Count, in place, the pixels of one look that another sees through (int32 [H, W]) or sees again.

    A margin is ``margin_m + spread * z^2``, m.
    """
    T = (geometry.inverse(other.T_world_cam) @ this.T_world_cam).astype(np.float32)
    f = intrinsics_of(camera).astype(np.float32)
    _ask(through, same, this.depth, f, T, other.depth, other.lowest, margin_m, spread)


def asked_of(i: int, looks: Sequence[Look]) -> list[int]:
    """Numbers of the looks that look ``i`` is held against: :data:`ASKED` at most."""
    n = len(looks)
    if n - 1 <= ASKED:
        return [k for k in range(n) if k != i]
    poses = np.stack([look.T_world_cam for look in looks])
    moved = np.linalg.norm(poses[:, :3, 3] - poses[i, :3, 3], axis=1)
    cosine = np.clip((np.einsum("nij,ij->n", poses[:, :3, :3], poses[i, :3, :3]) - 1.0) / 2.0, -1.0, 1.0)
    alike = np.argsort(moved + np.arccos(cosine), kind="stable")
    # Of the most alike, not all from the moments around: nothing has moved by then.
    near = alike[: max(ASKED, n // 4)][:: max(1, max(ASKED, n // 4) // (ASKED // 2))]
    spread = np.linspace(0, n - 1, ASKED // 2).astype(int)
    return sorted({int(k) for k in (*near, *spread)} - {i})


def moving_pixels(i: int, looks: Sequence[Look], camera: Camera, config: DynamicsConfig) -> Bool:
    """bool [H, W]: what moves in frame ``i``, as all the others together say."""
    this = looks[i]
    through, same = np.zeros(this.depth.shape, np.int32), np.zeros(this.depth.shape, np.int32)
    for k in asked_of(i, looks):
        ask(this, looks[k], camera, through, same, config.margin_m, config.sigmas * config.noise_per_m)
    sure = (through >= SEEN_THROUGH) & (through >= THROUGH_SHARE * (through + same))
    sure = _large(sure, this.depth, config.margin_m)
    return _filled(sure, this.depth, config.margin_m)


def _large(sure: Bool, depth: Float32, margin_m: float) -> Bool:
    """Without groups of few pixels, and thin lines."""
    label, groups = segments(sure, depth, margin_m)
    size = np.bincount(label.ravel(), minlength=groups + 1)
    thick = np.bincount(label[cv2.erode(sure.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0], minlength=groups + 1)
    keep = (size >= FEWEST_PX) & (thick > 0)
    keep[0] = False
    return keep[label]


def _filled(sure: Bool, depth: Float32, margin_m: float) -> Bool:
    """With the regions that what moves encloses (see the module)."""
    if not sure.any():
        return sure
    label, groups = segments(~sure & (depth > 0), depth, margin_m)
    outline, moving, before = outlines(label, sure, depth, groups, margin_m)
    size = np.bincount(label.ravel(), minlength=groups + 1)
    part = (outline > 0) & (moving + before >= ENCLOSED * outline) & (moving >= TOUCHED * outline) & (size < LARGEST * depth.size)
    part[0] = False
    return sure | part[label]


@njit(cache=True)
def segments(chosen: np.ndarray, depth: np.ndarray, margin_m: float) -> tuple[np.ndarray, int]:
    """Groups of chosen pixels that touch (4 neighbours) without a step of depth: int32 [H, W] from 1, and how many."""
    h, w = chosen.shape
    label = np.zeros((h, w), np.int32)
    stack = np.empty((h * w, 2), np.int32)
    groups = 0
    for y in range(h):
        for x in range(w):
            if not chosen[y, x] or label[y, x]:
                continue
            groups += 1
            label[y, x] = groups
            stack[0, 0], stack[0, 1] = y, x
            top = 1
            while top:
                top -= 1
                j, i = stack[top, 0], stack[top, 1]
                z = depth[j, i]
                for k in range(4):
                    b, a = j + (k == 0) - (k == 1), i + (k == 2) - (k == 3)
                    if 0 <= b < h and 0 <= a < w and chosen[b, a] and not label[b, a]:
                        if abs(depth[b, a] - z) <= 0.5 * margin_m + STEP_RATIO * z:
                            label[b, a] = groups
                            stack[top, 0], stack[top, 1] = b, a
                            top += 1
    return label, groups


@njit(cache=True)
def outlines(
    label: np.ndarray, sure: np.ndarray, depth: np.ndarray, groups: int, margin_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each group: pixel sides on its outline, those that go on in moving pixels, and those to something farther; int64 [G + 1]."""
    h, w = label.shape
    outline, moving, before = np.zeros(groups + 1, np.int64), np.zeros(groups + 1, np.int64), np.zeros(groups + 1, np.int64)
    for y in range(h):
        for x in range(w):
            g = label[y, x]
            if g == 0:
                continue
            for k in range(4):
                b, a = y + (k == 0) - (k == 1), x + (k == 2) - (k == 3)
                if not (0 <= b < h and 0 <= a < w) or label[b, a] == g:
                    continue
                step = 0.5 * margin_m + STEP_RATIO * depth[y, x]
                nearer = 0.0 < depth[b, a] < depth[y, x] - step
                if nearer and sure[b, a]:
                    continue  # hidden by what moves: that says nothing of where it ends
                outline[g] += 1
                if depth[b, a] > depth[y, x] + step or depth[b, a] == 0.0:
                    before[g] += 1
                elif sure[b, a] and not nearer:
                    moving[g] += 1
    return outline, moving, before
