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
from spatia_ros.types import Bool, Float32, Float64, Frame, Int64, UInt8

MARGIN_M, MARGIN_RATIO = 0.02, 0.01
"""Points this close in depth (and so much of it) are at one place."""
STEP_RATIO, ASLANT_RATIO, EVEN = 0.03, 0.2, 0.01
"""Steps of depth up to which neighbours are of one surface; on an even one seen aslant; how far 1 / depth bends on that."""
OTHERS = 7
"""Other sights taken at most."""
APART_RAD = 0.2
"""They saw the thing from directions that differ by this much."""
AROUND, DENIED = 12, 0.25
"""Of so many neighbours, share that may be denied before a hidden point goes with them."""
NEW = 1.6
"""A point this many spacings from all that is known is new."""
FINE, MOST_CUTS = 2, 5
"""Points to a side of a pixel that is seen straight on, and of one that is seen aslant at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What one sight showed.

    Args:
        tau_s: when. points: in the world, one to a pixel. fine: the same closer together, as they are drawn.
        of: int64 [F], of each fine point: the point it belongs to. eye: float64 [3], of the camera, m.
    """

    tau_s: float
    points: BodyPoints
    fine: BodyPoints
    of: Int64
    eye: Float64


def side_of(frame: Frame, mask: Bool, tau_s: float, most: int) -> Side:
    """What a frame shows in a mask bool [H, W]: at most about ``most`` points; drawn ones are more (see :data:`FINE`)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    camera = frame.camera.cropped(int(left), int(top), int(right - left), int(bottom - top))
    window = slice(top, bottom), slice(left, right)
    depth = frame.depth[window]
    inside = mask[window] & (depth > 0)
    rgb = _unmixed(frame.rgb[window], inside)
    xyz = (geometry.pixel_rays(camera) * depth[..., None]) @ frame.T_world_cam[:3, :3].T + frame.T_world_cam[:3, 3]
    every = max(1, int(np.ceil(np.sqrt(np.count_nonzero(inside) / most))))
    if every > 1:
        inside, depth, rgb, xyz = inside[::every, ::every], depth[::every, ::every], rgb[::every, ::every], xyz[::every, ::every]
    spacing = float(np.median(depth[inside])) / max(camera.fx, camera.fy) * every
    points = BodyPoints(xyz[inside].astype(np.float32), rgb[inside], spacing)
    fine, of = _fine(inside, depth, xyz, rgb, spacing / FINE)
    return Side(tau_s, points, fine, of, frame.T_world_cam[:3, 3])


def _unmixed(rgb: UInt8, inside: Bool) -> UInt8:
    """Colours with those of the rim, which are mixed with what is behind, taken from the pixels next to it."""
    inner = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8))
    weight = cv2.blur(inner.astype(np.float32), (3, 3))
    mean = cv2.blur((rgb * inner[..., None]).astype(np.float32), (3, 3)) / np.maximum(weight, 1e-6)[..., None]
    rim = inside & (inner == 0) & (weight > 0)
    out = rgb.copy()
    out[rim] = np.clip(mean[rim] + 0.5, 0, 255).astype(np.uint8)
    return out


def _fine(inside: Bool, depth: Float32, xyz: Float64, rgb: UInt8, spacing_m: float) -> tuple[BodyPoints, Int64]:
    """Points no farther apart than a spacing, also where the surface was seen aslant; and the pixel each belongs to.

    Between four neighbouring pixels of one surface they lie on the bilinear patch.
    """
    number = np.cumsum(inside.ravel()).reshape(inside.shape) - 1
    parts = [(xyz[inside], rgb[inside].astype(np.float64), number[inside])]
    corner = [(slice(j, inside.shape[0] - 1 + j), slice(i, inside.shape[1] - 1 + i)) for j in (0, 1) for i in (0, 1)]
    z = np.stack([depth[c] for c in corner])
    even = np.min([_bend(inside, depth)[c] for c in corner], 0) < EVEN
    step = np.ptp(z, axis=0) / np.maximum(z[0], 1e-6)
    patch = np.all([inside[c] for c in corner], 0) & ((step < STEP_RATIO) | (even & (step < ASLANT_RATIO)))
    sides = [np.linalg.norm(xyz[corner[0]] - xyz[corner[k]], axis=-1) for k in (1, 2)]
    cut = np.clip(np.ceil(np.max(sides, 0) / spacing_m), 1, MOST_CUTS).astype(int)
    for n in range(2, MOST_CUTS + 1):
        at = patch & (cut == n)
        for b, a in ((b, a) for b in range(n) for a in range(n) if (a or b) and at.any()):
            down, right = b / n, a / n
            weight = np.array(((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right))
            where = sum(w * xyz[c][at] for w, c in zip(weight, corner, strict=True))
            colour = sum(w * rgb[c][at] for w, c in zip(weight, corner, strict=True))
            parts.append((where, colour, number[corner[0]][at]))
    where, colour, of = (np.concatenate(x) for x in zip(*parts, strict=True))
    colours = np.clip(colour + 0.5, 0, 255).astype(np.uint8)
    return BodyPoints(where.astype(np.float32), colours, spacing_m), of.astype(np.int64)


def _bend(inside: Bool, depth: Float32) -> Float64:
    """Relative second difference of 1 / depth at each pixel [H, W], along rows or columns, the larger; 0 on a plane."""
    wide = np.pad(np.where(inside, 1.0 / np.maximum(depth, 1e-6), np.inf), 1, constant_values=np.inf)
    middle = wide[1:-1, 1:-1]
    with np.errstate(invalid="ignore"):
        across = np.abs(wide[1:-1, :-2] - 2 * middle + wide[1:-1, 2:])
        along = np.abs(wide[:-2, 1:-1] - 2 * middle + wide[2:, 1:-1])
        worse = np.maximum(across, along) / middle
    return np.where(np.isfinite(worse), worse, np.inf)


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
    T_actor_world, parts, known = geometry.inverse(poses[k]), [sides[k].fine], [sides[k].points.xyz]
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
        if new.any():
            gap, _ = cKDTree(np.concatenate(known)).query(there.xyz[new], distance_upper_bound=NEW * there.spacing_m)
            new[new] = np.isinf(gap)
        if new.any():
            known.append(there.xyz[new])
            parts.append(_chosen(sides[j], new, poses[k] @ geometry.inverse(poses[j])))
    xyz, rgb = np.concatenate([p.xyz for p in parts]), np.concatenate([p.rgb for p in parts])
    joined = BodyPoints(xyz, rgb, max(p.spacing_m for p in parts))
    return joined.moved(T_actor_world), denied_sum / max(denied_sum + shown_sum, 1)


def _chosen(side: Side, chosen: Bool, T_there_here: Float64) -> BodyPoints:
    """The fine points of some of a side's points, moved."""
    fine = chosen[side.of]
    return BodyPoints(side.fine.xyz[fine], side.fine.rgb[fine], side.fine.spacing_m).moved(T_there_here)
