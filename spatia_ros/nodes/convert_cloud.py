"""ROS messages <-> arrays, continued: point clouds (see :mod:`.convert`)."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from spatia_ros.nodes.convert import Malformed, _bytes
from spatia_ros.types import Float32, UInt8, check_array

MAX_CLOUD_POINTS = 1 << 26
_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])


def to_cloud(xyz: Float32, rgb: UInt8, header: Header) -> PointCloud2:
    """A cloud of x y z rgb, FLOAT32 each, 16 bytes a point, from float32 [N, 3] metres and uint8 [N, 3].

    The bits of the float ``rgb`` are 0x00RRGGBB, as PCL and rviz read them.
    """
    check_array("xyz", xyz, (len(rgb), 3), np.float32)
    check_array("rgb", rgb, (len(xyz), 3), np.uint8)
    points = np.empty(len(xyz), _POINT)
    points["x"], points["y"], points["z"] = xyz.T
    wide = rgb.astype(np.uint32)
    points["rgb"] = wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]
    names = ("x", "y", "z", "rgb")
    fields = [PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, n in enumerate(names)]
    return PointCloud2(
        header=header, height=1, width=len(points), fields=fields, is_bigendian=False,
        point_step=_POINT.itemsize, row_step=points.nbytes, data=_bytes(points), is_dense=True,
    )  # fmt: skip


def _point_layout(msg: PointCloud2, name: str) -> np.dtype:
    """Where x, y, z and the colour are in a point, as a NumPy record."""
    fields = {f.name: f for f in msg.fields if f.count == 1}
    places = [fields.get("x"), fields.get("y"), fields.get("z"), fields.get("rgb") or fields.get("rgba")]
    floats, fours = (PointField.FLOAT32,), (PointField.FLOAT32, PointField.UINT32, PointField.INT32)
    fit = all(f is not None and f.datatype in kinds for f, kinds in zip(places, (floats, floats, floats, fours), strict=True))
    if not fit or msg.is_bigendian:
        got = [(f.name, f.datatype, f.count) for f in msg.fields]
        raise Malformed("encoding", f"{name}: expected little-endian FLOAT32 x, y, z and a four-byte rgb, got {got}")
    offsets = [f.offset for f in places if f is not None]
    if max(offsets) + 4 > msg.point_step:
        got_size = f"offsets {offsets} and point_step {msg.point_step}"
        raise Malformed("size", f"{name}: expected fields within point_step, got {got_size}")
    formats = ["<f4", "<f4", "<f4", "<u4"]
    return np.dtype({"names": [*"xyzc"], "formats": formats, "offsets": offsets, "itemsize": msg.point_step})


_NUMBERS = dict(zip(range(1, 9), ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"), strict=True))
"""PointField's kinds, INT8 = 1 to FLOAT64 = 8."""


def from_cloud_fields(msg: PointCloud2, name: str = "cloud") -> dict[str, np.ndarray]:
    """Every field of one number a point, by its name: columns [N].

    Raises:
        SpatiaError: when the array's size disagrees with its description.
    """
    n, order, names = msg.width * msg.height, ">" if msg.is_bigendian else "<", [f.name for f in msg.fields]
    if "" in names or len(set(names)) != len(names):
        raise Malformed("encoding", f"{name}: expected fields of different names, got {names!r:.200}")
    single = [f for f in msg.fields if f.count == 1 and f.datatype in _NUMBERS]
    fit = all(f.offset + np.dtype(_NUMBERS[f.datatype]).itemsize <= msg.point_step for f in single)
    whole = msg.row_step >= msg.width * msg.point_step and len(msg.data) == msg.row_step * msg.height
    if not (single and fit and whole and 0 < n <= MAX_CLOUD_POINTS):
        got = f"{msg.width}x{msg.height} points of {msg.point_step} bytes, row_step {msg.row_step}, {len(msg.data)} bytes"
        raise Malformed("size", f"{name}: expected 1..{MAX_CLOUD_POINTS} points whose rows fill the data, got {got}")
    rows = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.row_step)[:, : msg.width * msg.point_step]
    formats = [order + _NUMBERS[f.datatype] for f in single]
    offsets, inside = [f.offset for f in single], [f.name for f in single]
    layout = np.dtype({"names": inside, "formats": formats, "offsets": offsets, "itemsize": msg.point_step})
    points = np.ascontiguousarray(rows).reshape(-1).view(layout)
    return {f.name: points[f.name].astype(points[f.name].dtype.newbyteorder("=")) for f in single}


def from_cloud(msg: PointCloud2, name: str = "cloud") -> tuple[Float32, UInt8]:
    """``(xyz float32 [N, 3], rgb uint8 [N, 3])`` of the finite points of a little-endian cloud.

    Raises:
        SpatiaError: without FLOAT32 x, y, z and a four-byte rgb (or rgba), or when the array's size
            disagrees with its description.
    """
    layout, n = _point_layout(msg, name), msg.width * msg.height
    if n > MAX_CLOUD_POINTS or msg.row_step < msg.width * msg.point_step or len(msg.data) != msg.row_step * msg.height:
        got = f"{msg.width}x{msg.height} points of {msg.point_step} bytes, row_step {msg.row_step}, {len(msg.data)} bytes"
        raise Malformed("size", f"{name}: expected at most {MAX_CLOUD_POINTS} points whose rows fill the data, got {got}")
    rows = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.row_step)[:, : msg.width * msg.point_step]
    points = np.ascontiguousarray(rows).reshape(-1).view(layout) if n else np.empty(0, layout)
    xyz = np.stack([points["x"], points["y"], points["z"]], -1).astype(np.float32)
    rgb = np.stack([points["c"] >> 16, points["c"] >> 8, points["c"]], -1).astype(np.uint8)
    finite = np.isfinite(xyz).all(-1)
    return xyz[finite], rgb[finite]
