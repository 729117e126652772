"""ROS messages <-> arrays, continued: parts of a memory (see :mod:`.convert`)."""

from __future__ import annotations

from array import array

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from spatia_ros.memory import Points
from spatia_ros.memory.updates import Update
from spatia_ros.msg import MemoryUpdate
from spatia_ros.nodes.convert import Malformed, _bytes
from spatia_ros.nodes.convert_cloud import MAX_CLOUD_POINTS, from_cloud, to_cloud
from spatia_ros.types import Float32, Float64

_SURE = np.dtype({
    "names": ["x", "y", "z", "rgb", "confidence"],
    "formats": ["<f4", "<f4", "<f4", "<u4", "u1"], "offsets": [0, 4, 8, 12, 16], "itemsize": 20,
})  # fmt: skip


def in_map(xyz: Float32, T_map_world: Float64) -> Float32:
    """Points float32 [N, 3] of a memory's world in the map. The turn is by right angles: nothing is rounded by it."""
    return np.ascontiguousarray(xyz @ T_map_world[:3, :3].T.astype(np.float32) + T_map_world[:3, 3].astype(np.float32))


def to_update(update: Update, T_map_world: Float64, voxel_m: float, sequence: int, header: Header) -> MemoryUpdate:
    """A message of an update; points in the map, voxels as the memory numbers them."""
    msg = MemoryUpdate(header=header, sequence=sequence, clear=update.clear, voxel_m=voxel_m)
    msg.added = to_cloud(in_map(update.xyz, T_map_world), update.rgb, header)
    msg.added_voxels, msg.removed_voxels = _ints(update.voxels), _ints(update.removed)
    return msg


def from_update(msg: MemoryUpdate, name: str = "memory/update") -> Update:
    """What an update says.

    Raises:
        SpatiaError: when its arrays disagree with one another, or points are not finite.
    """
    voxels, removed = _voxels(msg.added_voxels, f"{name}.added_voxels"), _voxels(msg.removed_voxels, f"{name}.removed_voxels")
    xyz, rgb = from_cloud(msg.added, f"{name}.added")
    if len(xyz) != len(voxels):
        raise Malformed("size", f"{name}: expected a voxel for each of the {len(xyz)} finite points added, got {len(voxels)}")
    return Update(msg.clear, voxels, xyz, rgb, removed)


def to_sure_cloud(points: Points, T_map_world: Float64, header: Header) -> PointCloud2:
    """Points of a memory in the map: x y z rgb, and confidence (UINT8): 255 measured, 0 invented; 20 bytes a point."""
    out = np.zeros(len(points.xyz), _SURE)
    out["x"], out["y"], out["z"] = in_map(points.xyz, T_map_world).T
    wide = points.rgb.astype(np.uint32)
    out["rgb"] = wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]
    out["confidence"] = np.where(points.sensed, 255, 0)
    kinds = [PointField.FLOAT32] * 4 + [PointField.UINT8]
    names = _SURE.names or ()
    fields = [PointField(name=n, offset=4 * i, datatype=k, count=1) for i, (n, k) in enumerate(zip(names, kinds, strict=True))]
    return PointCloud2(
        header=header, height=1, width=len(out), fields=fields, is_bigendian=False, point_step=_SURE.itemsize,
        row_step=out.nbytes, data=_bytes(out), is_dense=True,
    )  # fmt: skip


def _ints(voxels: np.ndarray) -> array:
    out = array("i")
    out.frombytes(np.ascontiguousarray(voxels, np.int32).tobytes())
    return out


def _voxels(values: array, name: str) -> np.ndarray:
    if len(values) % 3 or len(values) > 3 * MAX_CLOUD_POINTS:
        raise Malformed("size", f"{name}: expected three numbers a voxel, got {len(values)}")
    return np.array(values, np.int32).reshape(-1, 3)
