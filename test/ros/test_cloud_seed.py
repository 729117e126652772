"""A world that begins with a PointCloud2."""

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import parameters, wait
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from spatia_ros.formats.cloud_file import piece_of_fields
from spatia_ros.nodes import convert, convert_cloud, qos
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.types import SpatiaError

SETTINGS = {
    "generator__name": "projection", "camera__width_px": 96, "camera__height_px": 64, "frame_rate_hz": 100.0,
    "motion__pace": "fast", "source__cloud_topic": "/scan/points", "memory__voxel_m": 0.1,
}  # fmt: skip


def room_cloud():
    """Floor and two walls, a point every 5 cm, all of one colour: what stands in a corner of 4 m."""
    side = (np.arange(80) + 0.5) * 0.05
    floor = np.stack(np.meshgrid(side, side, [0.02]), -1).reshape(-1, 3)
    walls = [np.stack(np.meshgrid(x, y, side), -1).reshape(-1, 3) for x, y in ((side, [0.02]), ([0.02], side))]
    xyz = np.concatenate([floor, *walls]).astype(np.float32)
    return xyz, np.tile(np.array([[40, 160, 90]], np.uint8), (len(xyz), 1))


def test_the_first_cloud_becomes_the_memory(graph):
    xyz, rgb = room_cloud()
    node = graph.add(WorldNode(context=graph.context, namespace="/seeded", parameter_overrides=parameters(**SETTINGS)))
    assert len(node.memory) == 0
    clouds = graph.publisher(PointCloud2, "/scan/points", qos.LATCHED)
    clouds.publish(convert_cloud.to_cloud(xyz, rgb, Header(frame_id="elsewhere")))
    wait(lambda: node.health.refusals, "a refusal")
    assert "expected points in map, got 'elsewhere'" in node.health.message
    clouds.publish(convert_cloud.to_cloud(xyz, rgb, Header(frame_id="map")))
    wait(lambda: len(node.memory), "the memory")
    assert len(node.memory) == pytest.approx(len(xyz) / 4, rel=0.05)  # voxels of 10 cm
    wait(lambda: not node.worker.busy and node.worker.backlog == 0, "the start")
    images = graph.collect(Image, "/seeded/camera/color/image_raw")
    go = graph.publisher(PoseStamped, "/seeded/cmd_pose")
    here = PoseStamped(header=Header(frame_id="base_link"), pose=convert.to_pose(np.eye(4)))
    go.publish(here)
    wait(lambda: images, "an image")
    seen = np.frombuffer(images[0].data, np.uint8)
    assert np.abs(np.median(seen.reshape(-1, 3), 0) - rgb[0]).max() < 12


def test_fields_of_any_kind_and_order():
    layout = np.dtype({"names": ["intensity", "x", "y", "z", "ring"], "formats": [">u2", ">f8", ">f8", ">f8", ">u1"],
                       "offsets": [0, 8, 16, 24, 2], "itemsize": 40})  # fmt: skip
    rows = np.zeros(3, layout)
    rows["x"], rows["y"], rows["z"], rows["intensity"] = (1, 2, 3), (4, 5, np.nan), (7, 8, 9), (10, 20, 30)
    kinds = {"intensity": PointField.UINT16, "x": PointField.FLOAT64, "y": PointField.FLOAT64, "z": PointField.FLOAT64}
    fields = [PointField(name=n, offset=layout.fields[n][1], datatype=k, count=1) for n, k in kinds.items()]
    msg = PointCloud2(height=1, width=3, fields=fields, is_bigendian=True, point_step=40, row_step=120, data=rows.tobytes())
    piece = piece_of_fields(convert_cloud.from_cloud_fields(msg), "x")
    np.testing.assert_array_equal(piece.xyz, [[1, 4, 7], [2, 5, 8], [3, np.nan, 9]])
    np.testing.assert_array_equal(piece.intensity, [10, 20, 30])
    msg.data = msg.data[:-1]
    with pytest.raises(SpatiaError, match="whose rows fill the data"):
        convert_cloud.from_cloud_fields(msg)
