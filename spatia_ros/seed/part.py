"""A thing to be put into a memory: the points of a mesh or cloud file, in the file's own axes turned z up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory, Points
from spatia_ros.seed import kind_of
from spatia_ros.types import SpatiaError

MAX_SPAN_M = 1000.0
"""A larger thing is taken for one in other units."""


def points_of(path: Path | str, config: MemoryConfig, up: str = "", unit_m: float = 0.0) -> tuple[Points, dict[int, str]]:
    """The points of a mesh's surface, at the memory's voxel spacing, or of a cloud, and what their labels stand for.

    Args:
        up: axis of the file that points up; empty: what the file says, or its format's custom.
        unit_m: metres per unit of the file; 0: what the file says, else 1.

    Raises:
        SpatiaError: when the file is no usable mesh or cloud, or is larger than MAX_SPAN_M.
    """
    kind = kind_of(path)
    if kind not in ("mesh", "cloud"):
        raise SpatiaError(f"add: expected a mesh or a point cloud, got {Path(path).name!r}, which is a {kind} seed")
    memory = Memory(config.model_copy(update={"feature_channels": 0}))
    if kind == "mesh":
        from spatia_ros.formats.mesh_file import read_mesh
        from spatia_ros.formats.surface import Paint
        from spatia_ros.seed.mesh import fill_from_mesh
        from spatia_ros.seed.mesh_view import MeshView

        mesh = read_mesh(path, up, unit_m)
        _check_span(mesh.vertices, path)
        fill_from_mesh(memory, MeshView(mesh, Paint.of(mesh)))
    else:
        from spatia_ros.formats.cloud_file import read_pieces
        from spatia_ros.seed.cloud import CloudSeed

        cloud = None
        for piece in read_pieces(path):
            cloud = cloud or CloudSeed.of(piece, up or "z", unit_m or 1.0, Path(path).name)
            placed = cloud.placed(piece)
            _check_span(placed.xyz, path)
            memory.add_points(placed)
    if not len(memory):
        raise SpatiaError(f"add: {path}: expected points, got none")
    return memory.points(), dict(memory.names)


def _check_span(xyz: np.ndarray, path: Path | str) -> None:
    span = float(np.ptp(xyz, axis=0).max()) if len(xyz) else 0.0
    if span > MAX_SPAN_M:
        raise SpatiaError(f"add: {path}: expected a thing of at most {MAX_SPAN_M:g} m, got {span:.4g} m: other units?")
