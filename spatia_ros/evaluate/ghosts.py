"""What moved and is still in memory, and what is static and is not: the two errors of a static map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial import cKDTree

from spatia_ros import geometry
from spatia_ros.types import Bool, Float64, Frame

REACH_VOXELS = 2.0
"""A memory point within this many voxels of a surface is of that surface."""


def voxel_centres(points: Float64, voxel_m: float) -> Float64:
    """Centres [V, 3] of the voxels that points [N, 3] lie in, each once, m."""
    voxels = np.unique(np.floor(points / voxel_m).astype(np.int64), axis=0).astype(np.float64)
    return (voxels + 0.5) * voxel_m


def near(points: Float64, others: Float64, reach_m: float) -> Bool:
    """Which points [N, 3] have one of the others [M, 3] within reach."""
    if not len(points) or not len(others):
        return np.zeros(len(points), bool)
    distance, _ = cKDTree(others).query(points, distance_upper_bound=reach_m)
    return np.isfinite(distance)


def ghosts(
    memory: Float64, surface: Sequence[Float64], rests: Float64, control: Float64, rest_distance: Callable[[Float64], np.ndarray],
    voxel_m: float,
) -> dict[str, float]:
    """How much of a moving object static memory still holds.

    Args:
        memory: [N, 3], its points, m. surface: one [M, 3] for each pose of the run, points all over the object there.
        rests: [R, 3], the object where it came to stay, and belongs in memory, as a sensor shows it: its surface, and the
            memory made of the frames in which it stood there (noise included, as in the control); may be empty.
        control: [C, 3], points of the memory made from the same frames without the object.
        rest_distance: distance of points to the true static surface, m.
        voxel_m: voxel side.

    Returns:
        ``ghosts``: memory points that are within 2 voxels of the object at some pose, and farther than that from
        everything static (true surface, control memory, the object at rest), as a share of the voxels of the
        object's surface at one pose (mean over poses). ``ghosts_swept``: the share of the voxels the surface went
        through, as far as they are not static by the same rule, that have a memory point within 2 voxels.
    """
    reach, centres = REACH_VOXELS * voxel_m, [voxel_centres(s, voxel_m) for s in surface]
    swept = voxel_centres(np.concatenate(centres), voxel_m)

    def moving(points: Float64) -> Float64:
        points = points[~near(points, np.concatenate([control, rests]), reach)]
        return points[rest_distance(points) > reach] if len(points) else points

    suspects = memory[near(memory, swept, reach)]
    left, held = moving(suspects), moving(swept)
    own = float(np.mean([len(c) for c in centres]))
    return {"ghosts": len(left) / own, "ghosts_swept": float(near(held, memory, reach).mean()) if len(held) else 0.0}


def visible(points: Float64, frames: Sequence[Frame], reach_m: float) -> Bool:
    """Which points [N, 3] some frame shows: in the picture, and not behind what is measured there by more than reach."""
    seen = np.zeros(len(points), bool)
    for frame in frames:
        left = np.flatnonzero(~seen)
        pixels, z = geometry.project(points[left], frame.camera, frame.T_world_cam)
        inside = (z > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < frame.camera.width) & (pixels[:, 1] < frame.camera.height)
        u, v = pixels[inside].astype(np.int64).T
        seen[left[inside]] = z[inside] <= frame.depth[v, u] + reach_m
    return seen


def kept(memory: Float64, control: Float64, frames: Sequence[Frame], voxel_m: float) -> float:
    """Share of the control memory's points that some frame shows, object and all, with a point of ours within a voxel.

    Args:
        memory, control: [N, 3], [C, 3], m. frames: with the object, as ours was made from.
    """
    shown = control[visible(control, frames, REACH_VOXELS * voxel_m)]
    return float(near(shown, memory, voxel_m * 1.001).mean())
