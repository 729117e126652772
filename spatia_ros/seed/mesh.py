"""A memory from a mesh: every voxel of its surface, every object by its name, and views that keep its textures sharp."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.formats.mesh_file import read_mesh
from spatia_ros.formats.surface import Paint, note_opened, sample, sample_counts, was_opened
from spatia_ros.geometry import look_at
from spatia_ros.memory import Keyframe, Memory, Points
from spatia_ros.seed.mesh_view import MeshView
from spatia_ros.seed.seeded import EYES, Report, Seeded, best_start, complete, silent, standing_pose
from spatia_ros.seed.walk import UP, FreeSpace, Walk, find_walk
from spatia_ros.types import Camera, Float64

SAMPLES_AT_ONCE = 4_000_000
VIEW = Camera.from_fov(640, 480, 1.5)
OPEN_BITS = 27
"""Size of the table of open voxels; where two share a place, a covered sample may be left out without need."""
COVER_VOXELS = 1.5
"""How near a surface in front must be to cover a sample."""
YAWS_PER_VIEWPOINT = 5


def fill_from_mesh(memory: Memory, view: MeshView, report: Report = silent) -> int:
    """Put every voxel of a mesh's surface into memory, labelled by object; returns the number of samples taken.

    Where one surface covers another closely (a carpet a floor), the covered one is left out, or both would
    show through each other. What counts as covered goes by the triangles' front sides; a file whose
    triangles face the wrong way loses nothing, since only a cover that is itself in memory hides.
    """
    mesh, voxel_m = view.mesh, memory.config.voxel_m
    memory.names.update(mesh.names)
    order = np.argsort(mesh.label, kind="stable")  # an object's triangles together: neighbours in memory
    counts = sample_counts(mesh.corners()[order], voxel_m / 2)
    ends = np.cumsum(counts)
    opened = np.zeros(1 << OPEN_BITS, np.bool_)
    for covered in (False, True):
        begin = 0
        while begin < len(order):
            done = int(ends[begin - 1]) if begin else 0
            end = max(int(np.searchsorted(ends, done + SAMPLES_AT_ONCE)), begin + 1)
            memory.add_points(_samples(view, order[begin:end], counts[begin:end], voxel_m, covered, opened))
            report("sampling the surface", (int(ends[end - 1]) / int(ends[-1]) + covered) / 2)
            begin = end
    return int(ends[-1])


def _samples(
    view: MeshView, faces: np.ndarray, count: np.ndarray, voxel_m: float, covered: bool, opened: np.ndarray
) -> Points:
    """Those samples of some faces [F] that nothing covers (noted in ``opened``), or those whose cover is not there."""
    mesh, paint = view.mesh, view.paint
    corners = mesh.corners()[faces]
    xyz, rgb = sample(
        corners, mesh.uv[mesh.faces[faces]], mesh.tint[mesh.faces[faces]], paint.levels, mesh.material[faces],
        paint.density[faces], paint.texels, voxel_m / 2, np.cumsum(count) - count, int(count.sum()),
    )
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = (normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    normal = np.repeat(normal, count, 0)
    gap_m = view.gap(xyz, normal)
    chosen = (gap_m <= COVER_VOXELS * voxel_m) == covered
    xyz, rgb, label = xyz[chosen], rgb[chosen], np.repeat(mesh.label[faces], count)[chosen]
    if covered:
        cover = xyz + normal[chosen] * gap_m[chosen, None]
        bare = ~(was_opened(opened, cover, voxel_m) | was_opened(opened, xyz, voxel_m))
        xyz, rgb, label = xyz[bare], rgb[bare], label[bare]
    else:
        note_opened(opened, xyz, voxel_m)
    return Points.measured(xyz, rgb, 0, label)


def seed_mesh(
    path: Path | str, config: MemoryConfig, up: str = "", unit_m: float = 0.0, eye_m: float = 1.4, views: int = 160,
    report: Report = silent,
) -> Seeded:
    """The place a mesh file describes.

    Args:
        config: the memory's; its range is widened to the mesh's size, and belief in what may stand
            before a surface is switched off, since a mesh leaves nothing out.
        up, unit_m: see :func:`spatia_ros.formats.mesh_file.read_mesh`.
        eye_m: height of the eye above the floor it stands on.
        views: keyframes rendered from the mesh, at most; 0: only the one at the start.

    Raises:
        SpatiaError: when the file is no usable mesh.
    """
    mesh = read_mesh(path, up, unit_m)
    view = MeshView(mesh, Paint.of(mesh))
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    memory = Memory(complete(config, low, high))
    samples = fill_from_mesh(memory, view, report)
    walk = find_walk(FreeSpace.of(memory.points().xyz), eye_m)
    start, recorded = best_start(memory, walk, low, high)
    inside = walk if len(recorded) > 1 else None
    keep_views(memory, view, view_poses(start, inside, low, high, views), report)
    story = [f"{len(mesh.faces):,} triangles of {len(mesh.names)} objects in {Path(path).name}"]
    if mesh.dropped:
        story.append(f"{mesh.dropped:,} triangles with corners that are no numbers were left out")
    figures = {"triangles": len(mesh.faces), "samples": samples, "objects": len(mesh.names)}
    return Seeded(Path(path).stem, memory, EYES, start, recorded, story, figures, mesh.bounds())


def view_poses(start: Float64, walk: Walk | None, low: Float64, high: Float64, most: int) -> list[Float64]:
    """Where keyframes of a mesh are taken: at the start, then all around from each viewpoint (or around the bounds)."""
    poses = [start]
    if walk is not None:
        turns = np.arange(YAWS_PER_VIEWPOINT) * 2 * np.pi / YAWS_PER_VIEWPOINT
        poses += [standing_pose(eye, yaw, -0.25) for eye in walk.viewpoints for yaw in turns]
        return poses[: most + 1]
    centre, arm = (low + high) / 2, start[:3, 3] - (low + high) / 2
    for yaw in np.arange(1, 12) * np.pi / 6:
        c, s = np.cos(yaw), np.sin(yaw)
        eye = centre + np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ arm
        poses.append(look_at(eye, centre, UP))
    return poses[: most + 1]


def keep_views(memory: Memory, view: MeshView, poses: list[Float64], report: Report = silent) -> None:
    """Render the mesh at poses [4, 4] and keep each picture that is news; the first is kept in any case."""
    for i, T in enumerate(poses):
        # Textures are smooth at one ray a pixel, and edges, which are not, are left out of keyframes.
        frame = view.render(EYES if i == 0 else VIEW, T, 0, fine=1, voxel_m=memory.config.voxel_m)
        sensed = np.ones(frame.depth.shape, bool)
        if i == 0:
            memory.keyframes.append(Keyframe(frame.rgb, frame.depth, sensed, frame.camera, T, 0))
        else:
            memory.keyframes.offer(frame, frame.depth, sensed)
        report("rendering views", (i + 1) / len(poses))
