"""A thing as a camera sees it: its box in the picture, how much of it nothing hides, and where to look at it from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatia_ros.geometry import look_at, project
from spatia_ros.ground.plan import Reach
from spatia_ros.ground.thing import Thing
from spatia_ros.memory import Memory
from spatia_ros.types import Camera, Float32, Float64

GLANCE_PX = 96
"""Width of the pictures visibility is judged in."""
ANGLES = 32
FILLS = (2.0, 1.3, 0.9, 0.65, 0.45, 0.32, 0.22)
"""How much of the picture, across or up, a thing's bounding ball takes at the distances that are tried (above 1 for what is
flat, and for rooms where one cannot stand farther off)."""
GOOD_FILL = 0.6
"""How much of the picture, across or up, a thing's box best takes."""
RISES_M = (0.0, 0.35, 0.8, -0.3)
"""Heights of the eye above the thing's middle that are tried."""
NEAREST_M, FARTHEST_M = 0.35, 6.0
"""From the thing's surface."""
SURE = 24
"""Views that are looked at with the memory itself, of those that promise most."""
LEAST_VISIBLE = 0.3
"""A thing of which less can be seen from a place is not seen from there."""
SAME_M, SAME_RATIO = 0.05, 0.03
"""Depth within which what memory shows is the thing itself: metres, and a share of depth, whichever is more."""
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing in a picture.

    Args:
        box_px: left, top, right, bottom of its visible part, px; None where nothing of it is visible.
        visible: share of its outline in the whole view that neither the picture's edge cuts off nor anything hides, 0..1.
    """

    box_px: tuple[float, float, float, float] | None
    visible: float


def seen(
    thing: Thing, memory: Memory, camera: Camera, T_world_cam: Float64, before: Sequence[Thing] = (), width_px: int = 0
) -> Seen:
    """How a thing (world axes) shows in a camera.

    Args:
        before: other things that may hide it (actors; what memory holds hides it anyway).
        width_px: of the picture it is judged in; 0: the camera's.
    """
    small = camera if not width_px or width_px >= camera.width else _glance(camera, width_px)
    own, outside, points = _splat(thing, small, T_world_cam)
    shown = own > 0
    whole = int(shown.sum()) + outside
    if not shown.any():
        return Seen(None, 0.0)
    front = memory.render_depth(small, T_world_cam)
    for other in before:
        depth, _, _ = _splat(other, small, T_world_cam)
        front = np.where((depth > 0) & ((front <= 0) | (depth < front)), depth, front)
    slack = np.maximum(SAME_M, SAME_RATIO * own)
    visible = shown & ((front <= 0) | (own <= front + slack))
    if not visible.any():
        return Seen(None, 0.0)
    at = points[visible[points[:, 1].astype(int), points[:, 0].astype(int)]] * (camera.width / small.width)
    if not len(at):  # a sliver between points
        return Seen(None, 0.0)
    (left, top), (right, bottom) = at.min(0).tolist(), at.max(0).tolist()
    return Seen((left, top, right, bottom), float(visible.sum() / whole))


def _glance(camera: Camera, width_px: int) -> Camera:
    return camera.resized(width_px, max(round(camera.height * width_px / camera.width), 1))


def _splat(thing: Thing, camera: Camera, T_world_cam: Float64) -> tuple[Float32, int, Float64]:
    """Depth [H, W] of a thing's points, each as large as its neighbours are far, and about how many pixels fall outside.

    And the points [N, 2] themselves, px, those that fall inside.
    """
    uv, z = project(thing.xyz.astype(np.float64), camera, T_world_cam)
    ahead = z > 0.05
    if not ahead.any():
        return np.zeros((camera.height, camera.width), np.float32), 1, np.zeros((0, 2))
    uv, z = uv[ahead], z[ahead]
    inside = (uv[:, 0] >= 0) & (uv[:, 1] >= 0) & (uv[:, 0] < camera.width) & (uv[:, 1] < camera.height)
    # Points of a surface of this size, evenly spread, are about so far apart.
    area = float(thing.size @ np.roll(thing.size, 1)) * 2
    spacing = np.sqrt(max(area, 1e-6) / max(len(thing.xyz), 1))
    half = np.clip(np.round(0.5 * 1.3 * spacing * camera.fx / z[inside]), 0, 6).astype(int)
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    x, y, near = uv[inside, 0].astype(int), uv[inside, 1].astype(int), z[inside].astype(np.float32)
    for reach in range(int(half.max(initial=-1)) + 1):
        own = half >= reach
        for dx in range(-reach, reach + 1):
            for dy in {-reach, reach} if abs(dx) != reach else range(-reach, reach + 1):
                a, b = np.clip(x[own] + dx, 0, camera.width - 1), np.clip(y[own] + dy, 0, camera.height - 1)
                np.minimum.at(depth, (b, a), near[own])
    depth[~np.isfinite(depth)] = 0.0
    pixels = int((depth > 0).sum())
    outside = round(pixels * float((~inside).sum() + (~ahead).sum()) / max(int(inside.sum()), 1)) if inside.any() else 1
    return depth, outside, uv[inside]


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """Where a thing can be looked at from: ``T_level_cam`` [4, 4], the visible share, and a score, larger is better."""

    T_level_cam: Float64
    visible: float
    score: float


def viewpoints(
    thing: Thing, reach: Reach, memory: Memory, camera: Camera, before: Sequence[Thing], floor_m: float
) -> list[Viewpoint]:
    """Places that frame a thing (level axes) and can be reached, best first; none where nothing sees it.

    Args:
        before: other movers, in world axes. floor_m: level height no eye is below.
    """
    eyes = _candidates(thing, camera, floor_m, float(reach.start[2]))
    cost = reach.cost_at(eyes)
    eyes, cost = eyes[np.isfinite(cost)], cost[np.isfinite(cost)]
    if not len(eyes):
        return []
    frames, heading = _framing(thing, eyes, camera)
    some = thing.xyz[np.linspace(0, len(thing.xyz) - 1, min(len(thing.xyz), 60)).astype(int)].astype(np.float64)
    slack = 1.2 * reach.room.cell_m
    hidden = reach.room.blocked(eyes, some, thing.low - slack, thing.high + slack)
    promise = frames + 0.3 * heading - hidden - 0.12 * cost / (cost.min() + 2.0)
    best = _spread(np.argsort(-promise), eyes)
    R, found = reach.room.R_level_world, list[Viewpoint]()
    world = thing.levelled(R.T)
    for i in best:
        T = look_at(eyes[i], thing.middle, UP)
        T_world_cam = T.copy()
        T_world_cam[:3] = R.T @ T[:3]
        visible = seen(world, memory, camera, T_world_cam, before, GLANCE_PX).visible
        if visible >= LEAST_VISIBLE:
            found.append(Viewpoint(T, visible, float(promise[i] + hidden[i] + 1.5 * min(visible, 0.95))))
    return sorted(found, key=lambda v: -v.score)


def _candidates(thing: Thing, camera: Camera, floor_m: float, own_m: float) -> Float64:
    """Eyes [E, 3] all around a thing, at several distances, and heights: some of the thing's own, and the camera's now."""
    radius = max(float(np.linalg.norm(thing.size)) / 2, 0.05)
    half = min(camera.width / camera.fx, camera.height / camera.fy) / 2
    distances = np.clip([radius / (fill * half) for fill in FILLS], radius * 0.5 + NEAREST_M, radius + FARTHEST_M)
    eyes = []
    for distance in sorted(set(np.round(distances, 2))):
        for height in (*(float(thing.middle[2]) + rise for rise in RISES_M), own_m):
            z = max(height, floor_m)
            # The heights are metres, but from far away nobody bends down to a thing's middle.
            level = np.sqrt(max(distance**2 - (z - thing.middle[2]) ** 2, (0.5 * distance) ** 2))
            angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
            ring = thing.middle + level * np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
            ring[:, 2] = z
            eyes.append(ring)
    return np.concatenate(eyes)


def _framing(thing: Thing, eyes: Float64, camera: Camera) -> tuple[Float64, Float64]:
    """How well the box fits into the picture from each eye, 0..1, and how squarely its flat side is seen, 0..1."""
    corners: Float64 = np.stack(np.meshgrid(*np.stack([thing.low, thing.high], 1)), -1).reshape(-1, 3)
    fits, square = np.zeros(len(eyes)), np.zeros(len(eyes))
    thin, flat = int(np.argmin(thing.size)), float(np.sort(thing.size)[0] < 0.35 * np.sort(thing.size)[1])
    for i, eye in enumerate(eyes):
        way = thing.middle - eye
        length = float(np.linalg.norm(way))
        if np.hypot(*way[:2]) < 0.2 * length:
            continue  # straight from above or below nobody can say what is up in the picture
        uv, z = project(corners, camera, look_at(eye, thing.middle, UP))
        if (z < 0.05).any():
            continue
        width, height = np.ptp(uv[:, 0]) / camera.width, np.ptp(uv[:, 1]) / camera.height
        fill = max(width, height)
        out = max(0.0, float(np.abs(uv / (camera.width, camera.height) - 0.5).max()) - 0.48)
        fits[i] = max(0.0, 1.0 - abs(np.log(fill / GOOD_FILL)) / 1.6) - 2.0 * out - 0.4 * max(0.0, abs(way[2]) / length - 0.35)
        square[i] = flat * abs(way[thin]) / length
    return fits, square


def _spread(order: np.ndarray, eyes: Float64, apart_m: float = 0.25) -> list[int]:
    """The first of an order that are not all in one place."""
    chosen = list[int]()
    for i in order:
        if all(np.linalg.norm(eyes[i] - eyes[k]) >= apart_m for k in chosen):
            chosen.append(int(i))
        if len(chosen) == SURE:
            break
    return chosen
