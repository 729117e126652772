"""What moves in a recording that is known whole: every frame is held against frames before and after it.

A pixel whose point other frames see through shows something that was not always there. One that other frames see again
speaks for standing still, but not surely: the middle of a broad thing hides where it was and where it will be. So what
lies within the outline of something that moves, with nothing but depth steps and moving pixels around it, moves too.
Offline this needs neither patience nor trails (see :mod:`.dynamics` for the split of a live stream).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numba import prange

from spatia_ros import geometry
from spatia_ros.config import DynamicsConfig
from spatia_ros.kernels import njit
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame

WIDTH_PX = 320
"""Witnesses are kept no wider than this."""
LIGHTER, FEWEST_LIT, LIT_SHARE = 1.1, 4, 0.3
"""A place that so many frames, and such a share of those that see it, see this much lighter is in a passing shadow."""
PAIRS, EVERY, MOST, NOISE_OFF, MOST_EXCESS, SAME_PLACE = 12, 5, 0.8, 0.25, 6.0, 8.0
"""Neighbours and pixels asked; of the places both see (no farther apart than this), most lie within so much of a margin."""
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
BEND = -0.5
"""Change of the normal between two pixels, along the way between them, from which on there is a crease."""
LARGEST = 0.4
"""Of the picture, share that such a region takes at most."""


@dataclass(frozen=True, slots=True)
class Look:
    """A frame as a witness, no wider than :data:`WIDTH_PX`.

    Args:
        depth: float32 [h, w], m. lowest: float32 [h, w], the least of 3 x 3 (0 where any is unknown).
        light: float32 [h, w], 0..255.
        intrinsics: float64 [4]. T_world_cam: float64 [4, 4]. index: of the frame.
    """

    depth: Float32
    lowest: Float32
    light: Float32
    intrinsics: Float64
    T_world_cam: Float64
    index: int


def look_of(frame: Frame, index: int) -> Look:
    """The witness a frame makes."""
    every = -(-frame.camera.width // WIDTH_PX)
    h, w = frame.depth.shape[0] // every, frame.depth.shape[1] // every
    blocks = frame.depth[: h * every, : w * every].reshape(h, every, w, every)
    lowest = np.asarray(cv2.erode(blocks.min((1, 3)), np.ones((3, 3), np.uint8), borderValue=0.0), np.float32)
    depth = np.ascontiguousarray(blocks[:, every // 2, :, every // 2])
    camera = frame.camera.cropped(0, 0, w * every, h * every).resized(w, h)
    light = np.asarray(cv2.resize(light_of(frame)[: h * every, : w * every], (w, h), interpolation=cv2.INTER_AREA), np.float32)
    return Look(depth, lowest, light, intrinsics_of(camera), frame.T_world_cam, index)


def excess(looks: Sequence[Look], config: DynamicsConfig) -> float:
    """How much farther than noise alone would make it neighbouring looks are apart, 1 for not at all.

    Poses that are a little wrong, a sensor worse than configured: that moves all of a picture, what moves only some of it.
    """
    off = []
    for k in np.unique(np.linspace(0, len(looks) - 2, min(len(looks) - 1, PAIRS)).astype(int)).tolist():
        for j in (k + 1, min(k + 4, len(looks) - 1)):
            off.append(_apart(looks[k], looks[j], config))
    every = np.concatenate(off)
    return float(np.clip(np.quantile(every, MOST) / NOISE_OFF, 1.0, MOST_EXCESS)) if len(every) else 1.0


def _apart(look: Look, other: Look, config: DynamicsConfig) -> Float64:
    """How far depths of the same places in two looks are apart, in margins [N]; those far apart are not the same places."""
    h, w = look.depth.shape
    fx, fy, cx, cy = look.intrinsics
    camera = Camera(w, h, float(fx), float(fy), float(cx), float(cy))
    points, _ = geometry.backproject(look.depth, camera, look.T_world_cam)
    pixels, z = geometry.project(points[::EVERY], camera, other.T_world_cam)
    inside = (z > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < w) & (pixels[:, 1] < h)
    u, v = pixels[inside].astype(np.int64).T
    seen, z = other.depth[v, u], z[inside]
    off = np.abs(seen - z) / (config.margin_m + config.sigmas * config.noise_per_m * z * z)
    return np.asarray(off[(seen > 0) & (off < SAME_PLACE)])


def widened(looks: Sequence[Look], shift: int) -> list[Look]:
    """The looks with ``lowest`` taken over so many pixels more all around."""
    kernel = np.ones((3 + 2 * shift,) * 2, np.uint8)
    if not shift:
        return [*looks]
    return [replace(look, lowest=np.asarray(cv2.erode(look.depth, kernel, borderValue=0.0), np.float32)) for look in looks]


def light_of(frame: Frame) -> Float32:
    """float32 [H, W], how light it is around each pixel, 0..255."""
    return np.asarray(cv2.blur(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY), (5, 5)), np.float32)


class Answers(NamedTuple):
    """What witnesses say of a frame's pixels, [H, W] each: how many see through a point, see it again, see it lighter."""

    through: np.ndarray  # int32
    same: np.ndarray  # int32
    lit: np.ndarray  # int32


@njit(cache=True)
def _ask_row(
    through: np.ndarray, same: np.ndarray, lit: np.ndarray, depth: np.ndarray, own: np.ndarray, y: int, f: np.ndarray,
    T: np.ndarray, other: np.ndarray, lowest: np.ndarray, shade: np.ndarray, g: np.ndarray, margin_m: float, spread: float,
) -> None:
    """One row of :func:`ask`; T is T_other_this."""
    fx, fy, cx, cy = f
    gx, gy, dx, dy = g
    h, w = other.shape
    for x in range(depth.size):
        d = depth[x]
        if d <= 0.0:
            continue
        X, Y = (x + np.float32(0.5) - cx) / fx * d, (y + np.float32(0.5) - cy) / fy * d
        z = T[2, 0] * X + T[2, 1] * Y + T[2, 2] * d + T[2, 3]
        if z <= 0.0:
            continue
        u = gx * (T[0, 0] * X + T[0, 1] * Y + T[0, 2] * d + T[0, 3]) / z + dx
        v = gy * (T[1, 0] * X + T[1, 1] * Y + T[1, 2] * d + T[1, 3]) / z + dy
        if not (0.0 <= u < w and 0.0 <= v < h):
            continue
        j, i = int(v), int(u)
        margin = margin_m + spread * z * z
        if lowest[j, i] > z + margin:
            through[x] += 1
        elif other[j, i] > 0.0 and abs(other[j, i] - z) < margin:
            same[x] += 1
            lit[x] += shade[j, i] > LIGHTER * own[x] + 2.0


@njit(cache=True, parallel=True)
def _ask(
    through: np.ndarray, same: np.ndarray, lit: np.ndarray, depth: np.ndarray, own: np.ndarray, f: np.ndarray, T: np.ndarray,
    other: np.ndarray, lowest: np.ndarray, shade: np.ndarray, g: np.ndarray, margin_m: float, spread: float,
) -> None:
    for row in prange(depth.shape[0]):
        y = np.int64(row)
        _ask_row(
            through[y], same[y], lit[y], depth[y], own[y], y, f, T, other, lowest, shade, g,
            np.float32(margin_m), np.float32(spread),
        )  # fmt: skip


def ask(frame: Frame, light: Float32, witness: Look, answers: Answers, margin_m: float, spread: float) -> None:
    """Add, in place, what a witness says of a frame; a margin is ``margin_m + spread * z^2``, m."""
    T = (geometry.inverse(witness.T_world_cam) @ frame.T_world_cam).astype(np.float32)
    f, g = intrinsics_of(frame.camera).astype(np.float32), witness.intrinsics.astype(np.float32)
    _ask(*answers, frame.depth, light, f, T, witness.depth, witness.lowest, witness.light, g, margin_m, spread)


def asked_of(frame: Frame, index: int, looks: Sequence[Look]) -> list[Look]:
    """The witnesses a frame is held against: :data:`ASKED` at most."""
    others = [look for look in looks if look.index != index]
    n = len(others)
    if n <= ASKED:
        return others
    poses = np.stack([look.T_world_cam for look in others])
    moved = np.linalg.norm(poses[:, :3, 3] - frame.T_world_cam[:3, 3], axis=1)
    cosine = np.clip((np.einsum("nij,ij->n", poses[:, :3, :3], frame.T_world_cam[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)
    alike = np.argsort(moved + np.arccos(cosine), kind="stable")
    # Of the most alike, not all from the moments around: nothing has moved by then.
    most = max(ASKED, n // 4)
    chosen = {*alike[: most : max(1, most // (ASKED // 2))].tolist(), *np.linspace(0, n - 1, ASKED // 2).astype(int).tolist()}
    return [others[k] for k in sorted(chosen)]


class Divided(NamedTuple):
    """A frame's pixels, bool [H, W] each: what moves, and what stands still in the shadow of what moves."""

    moving: Bool
    shaded: Bool


def divide(frame: Frame, index: int, looks: Sequence[Look], config: DynamicsConfig) -> Divided:
    """Hold frame ``index`` against the witnesses of the whole recording."""
    shape = frame.depth.shape
    answers, light = Answers(*(np.zeros(shape, np.int32) for _ in range(3))), light_of(frame)
    for look in asked_of(frame, index, looks):
        ask(frame, light, look, answers, config.margin_m, config.sigmas * config.noise_per_m)
    through, same = answers.through, answers.same
    sure = (through >= SEEN_THROUGH) & (through >= THROUGH_SHARE * (through + same))
    sure = _large(sure, frame.depth, config.margin_m)
    moving = _filled(sure, frame.depth, frame.camera, config.margin_m)
    shaded = (answers.lit >= FEWEST_LIT) & (answers.lit >= LIT_SHARE * same) & ~moving
    shaded = cv2.morphologyEx(shaded.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    return Divided(moving, shaded if moving.any() else np.zeros(shape, bool))


def _large(sure: Bool, depth: Float32, margin_m: float) -> Bool:
    """Without groups of few pixels, and thin lines."""
    label, groups = segments(sure, depth, margin_m)
    size = np.bincount(label.ravel(), minlength=groups + 1)
    thick = np.bincount(label[cv2.erode(sure.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0], minlength=groups + 1)
    keep = (size >= FEWEST_PX) & (thick > 0)
    keep[0] = False
    return keep[label]


def _filled(sure: Bool, depth: Float32, camera: Camera, margin_m: float) -> Bool:
    """With the regions that what moves encloses (see the module): between steps of depth, then between creases too."""
    if not sure.any():
        return sure
    whole = sure | _enclosed(sure, np.zeros_like(sure), depth, margin_m)
    crease = creases(depth, camera) & ~whole
    whole |= _enclosed(whole, crease, depth, margin_m)
    # The creases in it: those with more of it around than of anything else.
    return whole | (crease & (cv2.blur(whole.astype(np.float32), (5, 5)) > 0.5))


def _enclosed(sure: Bool, crease: Bool, depth: Float32, margin_m: float) -> Bool:
    label, groups = segments(~sure & ~crease & (depth > 0), depth, margin_m)
    outline, moving, before, hidden = outlines(label, sure, crease, depth, groups, margin_m)
    size = np.bincount(label.ravel(), minlength=groups + 1)
    part = (moving + before >= ENCLOSED * outline) & (moving >= TOUCHED * outline)
    part &= (outline > hidden) & (size < LARGEST * depth.size)
    part[0] = False
    return part[label]


def creases(depth: Float32, camera: Camera) -> Bool:
    """bool [H, W]: where a surface bends towards the viewer, as where a thing stands on a floor: there two things may meet."""
    near = cv2.medianBlur(depth, 3)
    points = (geometry.pixel_rays(camera) * near[..., None]).astype(np.float32)
    right, down = (np.asarray(cv2.Scharr(points, cv2.CV_32F, *way), np.float64) for way in ((1, 0), (0, 1)))
    normal = np.cross(down, right)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    out = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        ahead, turn = (np.roll(image, -2, axis) - np.roll(image, 2, axis) for image in (points, normal))
        bend = (ahead * turn).sum(-1) / np.maximum(np.linalg.norm(ahead, axis=-1), 1e-6)
        out |= bend < BEND
    return out & (depth > 0)


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
                    if not (0 <= b < h and 0 <= a < w) or not chosen[b, a] or label[b, a]:
                        continue
                    if abs(depth[b, a] - z) <= 0.5 * margin_m + STEP_RATIO * z:
                        label[b, a] = groups
                        stack[top, 0], stack[top, 1] = b, a
                        top += 1
    return label, groups


@njit(cache=True)
def outlines(
    label: np.ndarray, sure: np.ndarray, crease: np.ndarray, depth: np.ndarray, groups: int, margin_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each group, int64 [G + 1]: pixel sides on its outline, those that go on in moving pixels, those to something farther.

    And, counted apart, those to a crease or to what moves in front of it, which say nothing of where it ends.
    """
    h, w = label.shape
    outline, moving, before = np.zeros(groups + 1, np.int64), np.zeros(groups + 1, np.int64), np.zeros(groups + 1, np.int64)
    hidden = np.zeros(groups + 1, np.int64)
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
                if (nearer and sure[b, a]) or (crease[b, a] and depth[b, a] <= depth[y, x] + step):
                    hidden[g] += 1
                    continue
                outline[g] += 1
                if depth[b, a] > depth[y, x] + step or depth[b, a] == 0.0:
                    before[g] += 1
                elif sure[b, a] and not nearer:
                    moving[g] += 1
    return outline, moving, before, hidden
