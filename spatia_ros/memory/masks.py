"""What an edit does to the keyframes: pixels that saw the old state fall silent, and nothing of them is lost.

Three kinds of pixels are masked: those whose surface lies in what was removed, moved away or recoloured;
those of unknown depth in its outline, for their colour is its colour; and those that looked through the
place where something was added since. The last ones' way counts as empty only up to what was added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from spatia_ros import geometry
from spatia_ros.memory.keyframes import Keyframe
from spatia_ros.memory.memory import Memory
from spatia_ros.memory.regions import Region
from spatia_ros.types import Bool, Float32

RIM_PX = 2
"""Masks are grown by so many pixels: colours mix at outlines, and lent colours are read between pixels."""
SLACK_VOXELS = 1.0
"""A measured surface this near to the region belongs to it: sensors and voxels are that exact."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What an edit changed, as the keyframes are asked about it.

    Args:
        region: where the surface was another before (found in its memory); None: nowhere.
        gone: the points that were there, a memory without keyframes. came: the points put in; None: none.
    """

    region: Region | None
    gone: Memory | None
    came: Memory | None


def silenced(keyframe: Keyframe, difference: Difference) -> Keyframe | None:
    """The keyframe with the pixels masked that a difference contradicts; None when there is none it had not masked."""
    stale = np.zeros(keyframe.depth.shape, bool)
    if difference.region is not None and _may_see(keyframe, difference.region):
        stale |= _showing(keyframe, difference.region, difference.gone)
    empty = keyframe.empty_m
    if difference.came is not None:
        through, empty = _looking_through(keyframe, difference.came)
        stale |= through
    if not stale.any():
        return None
    side = 2 * RIM_PX + 1
    stale = cv2.dilate(stale.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
    masked = stale if keyframe.masked is None else stale | keyframe.masked
    same = keyframe.masked is not None and np.array_equal(masked, keyframe.masked) and np.array_equal(empty, keyframe.empty_m)
    clear = keyframe.clear_m if empty is keyframe.empty_m else empty
    return None if same else replace(keyframe, masked=masked, clear_m=clear)


def _may_see(keyframe: Keyframe, region: Region) -> bool:
    """Whether a region's bounds are not wholly behind or to one side of a keyframe."""
    low, high = region.bounds()
    if not np.isfinite([low, high]).all():
        return True
    corners = np.stack(np.meshgrid(*np.stack([low, high], 1)), -1).reshape(-1, 3)
    local = (corners - keyframe.T_world_cam[:3, 3]) @ keyframe.T_world_cam[:3, :3]
    c = keyframe.camera
    x, y, z = local.T
    outside = (z <= 0, c.fx * x + c.cx * z < 0, c.fx * x + (c.cx - c.width) * z > 0, c.fy * y + c.cy * z < 0)
    return not (any(side.all() for side in outside) or (c.fy * y + (c.cy - c.height) * z > 0).all())


def _showing(keyframe: Keyframe, region: Region, gone: Memory | None) -> Bool:
    """Pixels whose surface lies in the region, and those of unknown depth within its outline: bool [H, W]."""
    points, known = geometry.backproject(keyframe.depth, keyframe.camera, keyframe.T_world_cam)
    shown = np.zeros(known.shape, bool)
    slack_m = SLACK_VOXELS * gone.config.voxel_m if gone is not None else 0.0
    shown[known] = region.contains(points, slack_m)
    outline = shown.copy()
    if gone is not None:
        outline |= _drawn(gone, keyframe) > 0
    pixels = np.argwhere(outline)[:, ::-1].astype(np.int32)
    if len(pixels) >= 3:
        filled = outline.astype(np.uint8)
        cv2.fillConvexPoly(filled, cv2.convexHull(pixels), 1)
        outline = filled.astype(bool)
    return shown | (outline & ~known)


def _looking_through(keyframe: Keyframe, came: Memory) -> tuple[Bool, Float32]:
    """Pixels that saw past, or no farther than, something added: bool [H, W]; and how far their ways are empty now."""
    added = _drawn(came, keyframe)
    margin_m = 2.0 * came.config.voxel_m
    through = (added > 0) & ((keyframe.depth <= 0) | (added <= keyframe.depth + margin_m))
    if not through.any():
        return through, keyframe.empty_m
    return through, np.where(through, np.minimum(keyframe.empty_m, added), keyframe.empty_m)


def _drawn(memory: Memory, keyframe: Keyframe) -> Float32:
    """Depth of a memory's points at a keyframe, float32 [H, W], 0 = none, thin gaps closed."""
    return memory.render(keyframe.camera, keyframe.T_world_cam, keyframe.stamp_ns).depth
