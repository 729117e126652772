"""Coloured points for other programs: PCD (PCL, Open3D, CloudCompare) and GLB (three.js, Blender, model viewers).

PLY, with what only a memory knows, is :meth:`spatia_ros.memory.Memory.export_ply`.
"""

from __future__ import annotations

import numpy as np

from spatia_ros.formats.mesh_file import upright
from spatia_ros.types import Float32, SpatiaError, UInt8, check_array

SUFFIXES = (".pcd", ".glb")
MAX_GLB_BYTES = 2**32 - 1
"""A GLB counts its bytes in 32 bits."""
POINT_BYTES = 16


def encode_points(suffix: str, xyz: Float32, rgb: UInt8, up: str = "z") -> bytes:
    """A file of points.

    Args:
        suffix: .pcd or .glb. xyz: float32 [N, 3], metres. rgb: uint8 [N, 3].
        up: which axis of the points is up; a GLB's is y by its standard, so its points are turned. A PCD's are left.

    Raises:
        SpatiaError: on arrays of other shapes, no points, or more than the format holds.
    """
    check_array("points.xyz", xyz, (None, 3), np.float32)
    check_array("points.rgb", rgb, (len(xyz), 3), np.uint8)
    if suffix not in SUFFIXES:
        raise SpatiaError(f"points: expected one of {', '.join(SUFFIXES)}, got {suffix!r}")
    if not len(xyz):
        raise SpatiaError("points: expected at least one, got none")
    return _pcd(xyz, rgb) if suffix == ".pcd" else _glb(xyz, rgb, up)


def _pcd(xyz: Float32, rgb: UInt8) -> bytes:
    """Version 0.7, binary; colour packed into the bits of a float32, as PCL has it."""
    rows = np.empty(len(xyz), [("xyz", "<f4", 3), ("rgb", "<u4")])
    rows["xyz"] = xyz
    red, green, blue = rgb.astype(np.uint32).T
    rows["rgb"] = red << 16 | green << 8 | blue
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\n"
        f"WIDTH {len(xyz)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(xyz)}\nDATA binary\n"
    )
    return header.encode() + rows.tobytes()


def _glb(xyz: Float32, rgb: UInt8, up: str) -> bytes:
    """One primitive of points, in glTF's axes (y up)."""
    import trimesh

    if len(xyz) * POINT_BYTES > MAX_GLB_BYTES - (1 << 20):
        raise SpatiaError(
            f"points: a GLB holds {MAX_GLB_BYTES // POINT_BYTES:,} at most, got {len(xyz):,}; PCD and PLY have no limit"
        )
    turned = (upright("y").T @ upright(up) @ xyz.T.astype(np.float64)).T.astype(np.float32)
    colours = np.concatenate([rgb, np.full((len(rgb), 1), 255, np.uint8)], 1)
    return bytes(trimesh.Scene(trimesh.PointCloud(turned, colours)).export(file_type="glb"))
