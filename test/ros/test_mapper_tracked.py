"""The mapper node without poses: it tracks, says where the map is, and says when it is lost and found again."""

import sys
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from harness import parameters, wait
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from speckled_room import frame_at
from test_mapper_node import T_BASE_OPTICAL, TOPICS, Camera
from tiny_room import swaying

from spatia_ros import geometry
from spatia_ros.msg import SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.mapper_node import MapperNode
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import LoadMemory
from spatia_ros.types import Frame, SpatiaError

PERIOD_NS = 100_000_000
SLOW = 0.03
"""Seconds of the swaying path between frames: a few centimetres and degrees."""


def frame(k: int) -> Frame:
    return frame_at(swaying(SLOW * k), (10 + k) * PERIOD_NS)


def dark(k: int) -> Frame:
    """A frame with a hand over the camera."""
    f = frame(k)
    return Frame(np.zeros_like(f.rgb), np.zeros_like(f.depth), f.camera, f.T_world_cam, f.stamp_ns)


def begin(camera, node):
    """Calibration comes before the first image."""

    def told():
        camera._out["color/camera_info"].publish(convert.to_camera_info(frame(0).camera, convert.to_header(0, "camera_optical")))
        return node._sensor._camera is not None

    wait(told, "the calibration in the node")


def send(camera, node, frame, count=lambda node: node.status().frames):
    """One frame, again and again until it is in, as a camera that goes on sending."""
    before = count(node)
    for more in (2, 1, 0):
        camera.publish(frame, pose_first=None)
        try:
            wait(lambda: count(node) == before + 1, f"a frame at {frame.stamp_ns}", 60.0)
            return
        except AssertionError:
            if not more:
                raise


@pytest.fixture
def make(graph, tmp_path):
    nodes = []

    def node(namespace, **values):
        overrides = parameters(data_dir=str(tmp_path), memory__voxel_m=0.04, sensor__pose_source="tracked", **values)
        nodes.append(graph.add(MapperNode(context=graph.context, namespace=namespace, parameter_overrides=overrides)))
        return nodes[-1]

    yield node
    for it in nodes:
        graph.remove(it)


def ours(messages):
    """(time, T_map_base) of what the node published on /tf."""
    transforms = [t for msg in messages for t in msg.transforms if t.header.frame_id == "map"]
    assert all(t.child_frame_id == "base_link" for t in transforms)
    return [(convert.time_ns(t.header.stamp, "tf"), convert.from_transform(t.transform, "tf")) for t in transforms]


def test_the_camera_is_tracked_lost_said_so_and_found_again(graph, make):
    node = make("/track")
    tf = graph.collect(TFMessage, "/tf", qos.TF)
    status = graph.collect(SimStatus, "/track/mapper/status", qos.LATCHED)
    poses = graph.collect(PoseStamped, "/track/pose", qos.SENSOR_IN)
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
    camera = Camera(graph, "/track")
    begin(camera, node)
    for k in range(5):
        send(camera, node, frame(k))
    wait(lambda: len(ours(tf)) >= 5, "the map's transform")
    T_base0_world = T_BASE_OPTICAL @ geometry.inverse(frame(0).T_world_cam)
    for stamp_ns, T in ours(tf):
        k = stamp_ns // PERIOD_NS - 10
        true = T_base0_world @ frame(k).T_world_cam @ geometry.inverse(T_BASE_OPTICAL)
        assert np.linalg.norm(T[:3, 3] - true[:3, 3]) < 0.02
        assert geometry.rotation_error_deg(T[:3, :3], true[:3, :3]) < 1.0
    assert (poses[-1].header.frame_id, len(poses)) == ("map", 5)

    points = len(node.memory)
    send(camera, node, dark(5), lambda node: node.status().frames_lost)
    wait(lambda: status and status[-1].tracking == "lost", "the status to say so")

    def warned():
        return any(s.level == DiagnosticStatus.WARN and "lost" in s.message for m in diagnostics for s in m.status)

    wait(warned, "a warning in the diagnostics")
    assert (len(node.memory), len(ours(tf))) == (points, 5), "nothing is mapped and no pose is made up"

    send(camera, node, frame(4 + 2))
    assert node.status().tracking == "relocalised"
    wait(lambda: len(ours(tf)) == 6, "the map's transform again")
    true = T_base0_world @ frame(6).T_world_cam @ geometry.inverse(T_BASE_OPTICAL)
    assert np.linalg.norm(ours(tf)[-1][1][:3, 3] - true[:3, 3]) < 0.03
    wait(lambda: status[-1].tracking == "relocalised" and status[-1].frames_lost == 1, "the status")


def test_what_cannot_be_is_refused(graph, make, tmp_path):
    make("/no")
    answer = graph.call(LoadMemory, "/no/memory/load", path="there_is_none.spatia")
    assert not answer.success
    overrides = parameters(data_dir=str(tmp_path), sensor__pose_source="tracked")
    with pytest.raises(SpatiaError, match="tracked is for the mapper"):
        WorldNode(context=graph.context, namespace="/never", parameter_overrides=overrides)


def test_a_camera_that_hangs_on_nothing_starts_level(graph, make):
    """Without any tf the map's z is up if the camera was held level at first, and the map's transform is the camera's."""
    make("/alone")
    poses = graph.collect(PoseStamped, "/alone/pose", qos.SENSOR_IN)
    tf = graph.collect(TFMessage, "/tf", qos.TF)
    topics = ("color/image_raw", "depth/image_rect", "color/camera_info")
    out = {topic: graph.publisher(TOPICS[topic], f"/alone/{topic}", qos.SENSOR_OUT) for topic in topics}
    f = frame(0)
    header = convert.to_header(f.stamp_ns, "lonely_optical")

    def publish():
        out["color/camera_info"].publish(convert.to_camera_info(f.camera, header))
        out["color/image_raw"].publish(convert.to_image(f.rgb, header))
        out["depth/image_rect"].publish(convert.to_depth(f.depth, header))
        return bool(poses and tf)

    wait(publish, "the first pose")
    np.testing.assert_allclose(convert.from_pose(poses[0].pose, "pose"), convert.T_LINK_OPTICAL, atol=1e-9)
    [transform] = tf[0].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ("map", "lonely_optical")
    np.testing.assert_allclose(convert.from_transform(transform.transform, "tf"), convert.T_LINK_OPTICAL, atol=1e-9)
