"""What a thing looks like at a moment from more sides than the moment showed: what other moments add.

The points of another sight, moved to where the thing is now, are held against what is seen now: one in front of what is seen
would have been seen, so it is not there (and neither are those around it, a limb that has moved on); one that lies on what is
seen says nothing new; the others, hidden now or out of the picture, are taken. Nearest moments come first.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from spatia_ros import geometry
from spatia_ros.actors import BodyPoints
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame, UInt8

MARGIN_M, MARGIN_RATIO = 0.02, 0.01
"""Points this close in depth (and so much of it) are at one place."""
STEP_RATIO = 0.03
OTHERS = 7
"""Other sights taken at most."""
APART_RAD = 0.2
"""They saw the thing from directions that differ by this much."""
AROUND, DENIED = 12, 0.25
"""Of so many neighbours, share that may be denied before a hidden point goes with them."""
NEW = 1.6
"""A point this many spacings from all that is known is new."""
FINE = 2
"""Points to a side of a pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What one sight showed.

    Args:
        tau_s: when. points: in the world, one to a pixel. fine: the same closer together, as they are drawn.
        eye: float64 [3], of the camera, m.
    """

    tau_s: float
    points: BodyPoints
    fine: BodyPoints
    eye: Float64


def side_of(frame: Frame, mask: Bool, tau_s: float, most: int) -> Side:
    """What a frame shows in a mask bool [H, W]: at most about ``most`` points, drawn ones up to four times as many."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    camera = frame.camera.cropped(int(left), int(top), int(right - left), int(bottom - top))
    inside, depth = mask[top:bottom, left:right], frame.depth[top:bottom, left:right]
    inside = inside & (depth > 0)
    rgb = _unmixed(frame.rgb[top:bottom, left:right], inside)
    every = max(1, int(np.ceil(np.sqrt(np.count_nonzero(inside) / most))))
    spacing = float(np.median(depth[inside])) / max(camera.fx, camera.fy) * every
    chosen = np.zeros_like(inside)
    chosen[::every, ::every] = inside[::every, ::every]
    if not chosen.any():
        chosen = inside
    xyz, _ = geometry.backproject(np.where(chosen, depth, np.float32(0)), camera, frame.T_world_cam)
    points = BodyPoints(xyz.astype(np.float32), rgb[chosen], spacing)
    fine = _fine(inside, depth, rgb, camera, frame.T_world_cam) if every == 1 else points
    return Side(tau_s, points, fine, frame.T_world_cam[:3, 3])


def _unmixed(rgb: UInt8, inside: Bool) -> UInt8:
    """Colours with those of the rim, which are mixed with what is behind, taken from the pixels next to it."""
    inner = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8))
    weight = cv2.blur(inner.astype(np.float32), (3, 3))
    mean = cv2.blur((rgb * inner[..., None]).astype(np.float32), (3, 3)) / np.maximum(weight, 1e-6)[..., None]
    rim = inside & (inner == 0) & (weight > 0)
    out = rgb.copy()
    out[rim] = np.clip(mean[rim] + 0.5, 0, 255).astype(np.uint8)
    return out


def _fine(inside: Bool, depth: Float32, rgb: UInt8, camera: Camera, T_world_cam: Float64) -> BodyPoints:
    """Points between the pixels' as well: FINE to a side, where all neighbours lie on one surface."""
    points = (geometry.pixel_rays(camera) * depth[..., None]).astype(np.float32)
    spacing = float(np.median(depth[inside])) / max(camera.fx, camera.fy) / FINE
    parts = [(points[inside], rgb[inside])]
    for b in range(FINE):
        for a in range(FINE):
            if a or b:
                parts.append(_between(inside, depth, points, rgb, b / FINE, a / FINE))
    xyz, colours = (np.concatenate(x) for x in zip(*parts, strict=True))
    world = (xyz @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]).astype(np.float32)
    return BodyPoints(world, colours, spacing)


def _between(
    inside: Bool, depth: Float32, points: Float32, rgb: UInt8, down: float, right: float
) -> tuple[Float32, UInt8]:
    """Points a share of a pixel down and to the right of each, where those around are of one surface."""
    h, w = inside.shape
    y, x = slice(0, h - (down > 0)), slice(0, w - (right > 0))
    corners = [(j, i, wj * wi) for j, wj in ((0, 1 - down), (1, down)) for i, wi in ((0, 1 - right), (1, right)) if wj * wi > 0]
    def at(j: int, i: int, image: np.ndarray) -> np.ndarray:
        return image[j : j + y.stop, i : i + x.stop]

    known = np.all([at(j, i, inside) for j, i, _ in corners], 0)
    z = np.stack([at(j, i, depth) for j, i, _ in corners])
    known &= np.ptp(z, axis=0) < STEP_RATIO * z[0]
    xyz = np.sum([weight * at(j, i, points)[known] for j, i, weight in corners], 0)
    colour = np.sum([weight * at(j, i, rgb)[known].astype(np.float32) for j, i, weight in corners], 0)
    return xyz.astype(np.float32).reshape(-1, 3), np.clip(colour + 0.5, 0, 255).astype(np.uint8).reshape(-1, 3)


def others_of(k: int, sides: list[Side], poses: list[Float64]) -> list[int]:
    """Sights that saw another side of the thing than sight ``k`` did, nearest in time first."""
    ways = np.stack([_way(side, T) for side, T in zip(sides, poses, strict=True)])
    chosen: list[int] = []
    for j in sorted(range(len(sides)), key=lambda j: abs(sides[j].tau_s - sides[k].tau_s)):
        turned = np.arccos(np.clip(ways[[k, *chosen]] @ ways[j], -1.0, 1.0))
        if j != k and turned.min() > APART_RAD:
            chosen.append(j)
        if len(chosen) == OTHERS:
            break
    return chosen


def _way(side: Side, T_world_actor: Float64) -> Float64:
    """float64 [3], unit: from the thing to the camera, in the thing's frame."""
    way = (side.eye - T_world_actor[:3, 3]) @ T_world_actor[:3, :3]
    return np.asarray(way / np.linalg.norm(way))


def verdicts(xyz: Float32, frame: Frame, mask: Bool) -> tuple[Bool, Bool]:
    """Of world points [N, 3]: which a frame denies (it sees through them), and which it shows already."""
    pixels, z = geometry.project(xyz.astype(np.float64), frame.camera, frame.T_world_cam)
    h, w = mask.shape
    inside = (z > 0.02) & (pixels >= 0).all(1) & (pixels[:, 0] < w) & (pixels[:, 1] < h)
    u, v = np.where(inside[:, None], pixels, 0.0).astype(np.int64).T
    seen, margin = frame.depth[v, u], MARGIN_M + MARGIN_RATIO * z
    known = inside & (seen > 0)
    denied = known & (z < seen - margin)
    shown = known & (np.abs(z - seen) <= margin)
    return denied, shown


def fuller(k: int, sides: list[Side], poses: list[Float64], frame: Frame, mask: Bool) -> tuple[BodyPoints, float]:
    """The thing at sight ``k`` from all sides known, in its own frame; and the share of what should be seen that is denied.

    Args:
        poses: ``T_world_actor`` [4, 4] of each sight. frame, mask: of sight ``k``.
    """
    T_actor_world, parts = geometry.inverse(poses[k]), [sides[k].fine]
    denied_sum = shown_sum = 0
    for j in others_of(k, sides, poses):
        there = sides[j].points.moved(poses[k] @ geometry.inverse(poses[j]))
        denied, shown = verdicts(there.xyz, frame, mask)
        denied_sum, shown_sum = denied_sum + int(denied.sum()), shown_sum + int(shown.sum())
        new = ~denied & ~shown
        if not new.any():
            continue
        if denied.any():
            _, around = cKDTree(there.xyz).query(there.xyz[new], k=min(AROUND, len(denied)))
            new[new] = denied[around].reshape(new.sum(), -1).mean(1) <= DENIED
        known = np.concatenate([p.xyz for p in parts])
        if new.any():
            gap, _ = cKDTree(known).query(there.xyz[new], distance_upper_bound=NEW * there.spacing_m)
            new[new] = np.isinf(gap)
        if new.any():
            parts.append(_as_fine(there, new, sides[k].fine.spacing_m))
    joined = BodyPoints(np.concatenate([p.xyz for p in parts]), np.concatenate([p.rgb for p in parts]), sides[k].fine.spacing_m)
    return joined.moved(T_actor_world), denied_sum / max(denied_sum + shown_sum, 1)


def _as_fine(points: BodyPoints, chosen: Bool, spacing_m: float) -> BodyPoints:
    """Some points of a coarse set at a finer spacing: each with some between it and its neighbours."""
    xyz, rgb = points.xyz[chosen], points.rgb[chosen]
    if points.spacing_m <= 1.2 * spacing_m or len(xyz) < 3:
        return BodyPoints(xyz, rgb, spacing_m)
    reach = 1.8 * points.spacing_m
    gap, near = cKDTree(xyz).query(xyz, k=min(7, len(xyz)), distance_upper_bound=reach)
    i, n = np.nonzero(np.isfinite(gap) & (gap > 0))
    j = near[i, n]
    once = i < j
    i, j = i[once], j[once]
    middle = (0.5 * (xyz[i] + xyz[j])).astype(np.float32)
    mixed = ((rgb[i].astype(np.uint16) + rgb[j]) // 2).astype(np.uint8)
    return BodyPoints(np.concatenate([xyz, middle]), np.concatenate([rgb, mixed]), spacing_m)
