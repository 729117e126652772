"""A rig of several cameras in a world node: one world, one stamp, each camera with its own topics, frames and lens."""

import contextlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import START, parameters, wait, wall_frame
from nav_msgs.msg import Path
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from spatia_ros import beside, geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.msg import GeneratedFrame
from spatia_ros.nodes import convert, convert_camera, convert_cloud, qos
from spatia_ros.nodes.rig import views as rig_views
from spatia_ros.nodes.transforms import NoTransform, TransformBuffer
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.types import SpatiaError

PERIOD_NS = 20_000_000
RIG = """
cameras:
  - {name: front, xyz_m: [0.1, 0, 0.2], width_px: 96, height_px: 64, hfov_deg: 60}
  - name: bent
    xyz_m: [0.1, 0.3, 0.2]
    rpy_rad: [0, 0, -0.1]
    width_px: 80
    height_px: 60
    intrinsics: {fx: 64, fy: 66, cx: 41, cy: 28.5}
    distortion: {model: plumb_bob, coefficients: [-0.25, 0.06, 0.001, -0.002]}
  - {name: rolling, xyz_m: [0.1, -0.3, 0.2], width_px: 80, height_px: 60, hfov_deg: 60,
     rolling_shutter: {readout_s: 0.02}}
  - {name: seldom, width_px: 48, height_px: 32, hfov_deg: 60, every: 3}
"""
SETTINGS = {
    "generator__name": "projection", "camera__width_px": 96, "camera__height_px": 64, "frame_rate_hz": 50.0,
    "motion__pace": "fast", "source__memory": "wall.spatia", "rig__file": "rig.yaml",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    memory = Memory(MemoryConfig(voxel_m=0.02))
    for y in (0.0, -0.9, 0.9):
        memory.integrate(wall_frame(START @ geometry.pose(np.eye(3), np.array([y, 0.0, -0.5]))))
    memory.save(path / "wall.spatia")
    (path / "rig.yaml").write_text(RIG)
    return path


@pytest.fixture(scope="module")
def make(graph, folder):
    def node(namespace, **changes):
        values = parameters(**{**SETTINGS, "data_dir": str(folder), **changes})
        return graph.add(WorldNode(context=graph.context, namespace=namespace, parameter_overrides=values))

    return node


@pytest.fixture(scope="module")
def world(make):
    return make("/rig")


@pytest.fixture(scope="module")
def go(graph, world):
    return graph.publisher(PoseStamped, "/rig/cmd_pose")


@pytest.fixture(scope="module")
def start(world):
    return world.rig.base_of(START)


def shifted(T_map_base, y):
    return T_map_base @ geometry.pose(np.eye(3), np.array([0.0, y, 0.0]))


def command(T_map_base):
    return PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(T_map_base))


class Tf:
    """What tf says of frames in the map."""

    def __init__(self, graph):
        self._buffer = TransformBuffer()
        self._moving = graph.collect(TFMessage, "/tf", qos.TF)
        self._still = graph.collect(TFMessage, "/tf_static", qos.TF_STATIC_IN)

    def pose(self, frame, stamp_ns):
        found = []

        def look():
            for messages, static in ((self._moving, False), (self._still, True)):
                while messages:
                    for transform in messages.pop(0).transforms:
                        self._buffer.insert(transform, static)
            with contextlib.suppress(NoTransform):
                found.append(self._buffer.lookup("map", frame, stamp_ns))
            return found

        wait(look, f"{frame} at {stamp_ns}")
        return found[0]


@pytest.fixture(scope="module")
def tf(graph, world):
    return Tf(graph)


def test_all_cameras_see_one_world_at_one_stamp_from_where_tf_has_them(graph, world, go, start, tf):
    names = ("front", "bent", "rolling")
    images = {n: graph.collect(Image, f"/rig/{n}/color/image_raw") for n in names}
    depths = {n: graph.collect(Image, f"/rig/{n}/depth/image_rect") for n in names}
    infos = {n: graph.collect(CameraInfo, f"/rig/{n}/depth/camera_info") for n in names}
    told = {n: graph.collect(GeneratedFrame, f"/rig/{n}/color/metadata") for n in names}
    go.publish(command(shifted(start, 0.1)))
    wait(lambda: all(told.values()) and all(depths.values()) and all(infos.values()), "a frame of every camera")
    stamp = images["front"][0].header.stamp
    for n in names:
        header = images[n][0].header
        assert header.stamp == stamp
        assert header.frame_id == f"{n}_color_optical_frame"
        assert header == depths[n][0].header == infos[n][0].header == told[n][0].header
        assert told[n][0].camera == n
        T_map_cam = tf.pose(header.frame_id, convert.time_ns(stamp))
        camera = next(c for c in world.rig.cameras if c.name == n)
        np.testing.assert_allclose(T_map_cam, shifted(start, 0.1) @ camera.T_rig_cam, atol=1e-6)
        truth = wall_frame(T_map_cam, camera=convert.from_camera_info(infos[n][0]))
        depth, middle = convert.from_depth(depths[n][0]), np.s_[12:-12, 16:-16]
        assert np.abs(depth[middle] - truth.depth[middle]).max() < 0.03
        if n != "bent":
            assert np.abs(convert.from_image(images[n][0])[middle].astype(int) - truth.rgb[middle]).mean() < 10


def test_a_lens_bends_as_its_calibration_says(graph, world, go, start, tf):
    """Points of the wall, projected by OpenCV with the published K and D, have their colour and depth in the raw images."""
    raw, straight = (graph.collect(Image, f"/rig/bent/color/image_{kind}") for kind in ("raw", "rect"))
    depth = graph.collect(Image, "/rig/bent/depth/image_raw")
    info, plain = (graph.collect(CameraInfo, f"/rig/bent/{kind}/camera_info") for kind in ("color", "depth"))
    cloud = graph.collect(PointCloud2, "/rig/bent/points")
    go.publish(command(start))
    wait(lambda: raw and straight and depth and info and plain and cloud, "the images")
    assert (info[0].distortion_model, list(info[0].d)) == ("plumb_bob", [-0.25, 0.06, 0.001, -0.002, 0.0])
    assert list(info[0].k) == list(plain[0].k) == [64, 0, 41, 0, 66, 28.5, 0, 0, 1]
    assert list(plain[0].d) == [0.0] * 5
    assert list(info[0].p) == [64, 0, 41, 0, 0, 66, 28.5, 0, 0, 0, 1, 0]
    assert convert_camera.from_lens_info(info[0]) == world.rig.cameras[1].lens
    T_map_cam = tf.pose("bent_color_optical_frame", convert.time_ns(raw[0].header.stamp))
    rng = np.random.default_rng(0)
    wall = np.stack([np.full(300, 2.0), rng.uniform(-0.6, 1.0, 300), rng.uniform(0.5, 1.5, 300)], -1)
    points = (wall - T_map_cam[:3, 3]) @ T_map_cam[:3, :3]
    K, D = np.array(info[0].k).reshape(3, 3), np.array(info[0].d)
    pixels = cv2.projectPoints(points[:, None], np.zeros(3), np.zeros(3), K, D)[0][:, 0]
    inside = ((pixels > 3) & (pixels < (76, 56))).all(1)
    u, v = np.round(pixels[inside]).astype(int).T
    assert inside.sum() > 60
    np.testing.assert_allclose(convert.from_depth(depth[0])[v, u], points[inside, 2], atol=0.03)
    y, z = wall[inside, 1], wall[inside, 2]
    painted = 127 + 100 * np.stack([np.sin(5 * y), np.sin(5 * z), np.sin(3 * y + 4 * z)], -1)
    assert np.abs(convert.from_image(raw[0])[v, u] - painted).mean() < 8
    flat = np.round(points[inside, :2] / points[inside, 2:] * (64, 66) + (41, 28.5)).astype(int)
    seen = ((flat >= 0) & (flat < (80, 60))).all(1)
    assert np.abs(convert.from_image(straight[0])[flat[seen, 1], flat[seen, 0]] - painted[seen]).mean() < 8
    assert (cloud[0].height, cloud[0].width, cloud[0].point_step, cloud[0].header) == (60, 80, 16, raw[0].header)
    xyz, _ = convert_cloud.from_cloud(cloud[0])
    np.testing.assert_allclose((xyz @ T_map_cam[:3, :3].T + T_map_cam[:3, 3])[:, 0], 2.0, atol=0.03)


def test_rows_are_exposed_from_where_tf_has_the_camera_at_their_time(graph, world, start, tf):
    """20 ms of readout while the rig goes 30 cm to the left in a period of 20 ms."""
    wait(lambda: not world.worker.busy, "the frame before")
    images = graph.collect(Image, "/rig/rolling/color/image_raw")
    path = graph.publisher(Path, "/rig/cmd_trajectory")
    msg = Path(header=convert.to_header(0, "map"))
    for i in range(2):
        pose = command(shifted(start, 0.3 * i))
        pose.header.stamp = convert.to_time(1 + i * PERIOD_NS)
        msg.poses.append(pose)
    path.publish(msg)
    wait(lambda: len(images) >= 2, "two images")
    image, stamp_ns = convert.from_image(images[1]).astype(int), convert.time_ns(images[1].header.stamp)
    camera = world.rig.cameras[2]
    assert stamp_ns - convert.time_ns(images[0].header.stamp) == PERIOD_NS
    still = wall_frame(tf.pose("rolling_color_optical_frame", stamp_ns), camera=camera.lens.camera).rgb
    for row in (2, 30, 57):
        at_ns = stamp_ns - round((1 - row / 59) * PERIOD_NS)
        truth = wall_frame(tf.pose("rolling_color_optical_frame", at_ns), camera=camera.lens.camera).rgb
        assert np.abs(image[row, 10:-10] - truth[row, 10:-10]).mean() < 10
    assert np.abs(image[2, 10:-10] - still[2, 10:-10].astype(int)).mean() > 30


def looked_through(monkeypatch):
    """Names of the cameras that are made besides the first, as they are made."""
    made = []

    def noted(world, camera, T_world_cam, name, **rest):
        made.append(name)
        return beside.beside(world, camera, T_world_cam, name, **rest)

    monkeypatch.setattr(rig_views, "beside", noted)
    return made


def test_only_cameras_that_somebody_listens_to_are_made_and_memory_is_the_same(graph, make, start, monkeypatch):
    made = looked_through(monkeypatch)
    alone, watched = make("/alone"), make("/watched")
    images = graph.collect(Image, "/watched/bent/provenance")
    clouds = []
    for name, node in (("alone", alone), ("watched", watched)):
        told = graph.collect(GeneratedFrame, f"/{name}/front/color/metadata")
        go = graph.publisher(PoseStamped, f"/{name}/cmd_pose")
        for i in range(4):
            go.publish(command(shifted(start, 0.3 * i)))
            wait(lambda told=told, i=i: len(told) > i, "a frame")
        wait(lambda node=node: not node.worker.busy, "the last frame")
        clouds.append(node.worker.submit(node.memory.points).result().xyz)
        assert made == ([] if name == "alone" else ["bent"] * 4)
    np.testing.assert_array_equal(*clouds)
    wait(lambda: len(images) == 4, "what was listened to")


def test_with_always_all_are_made_and_what_they_invent_is_remembered(graph, make, start, monkeypatch):
    made = looked_through(monkeypatch)
    nodes = [make("/some"), make("/every", rig__always=True)]
    monkeypatch.setattr("spatia_ros.generator.generators.ProjectionGenerator.sample", inventive)
    points = []
    for node in nodes:
        name = node.get_namespace()
        told = graph.collect(GeneratedFrame, f"{name}/front/color/metadata")
        go = graph.publisher(PoseStamped, f"{name}/cmd_pose")
        for i in range(4):
            go.publish(command(shifted(start, 0.02 * i)))
            wait(lambda told=told, i=i: len(told) > i, "a frame")
        wait(lambda node=node: not node.worker.busy, "the last frame")
        points.append(node.worker.submit(node.memory.points).result().xyz)
    assert made == ["bent", "rolling", "seldom", "bent", "rolling", "bent", "rolling", "bent", "rolling", "seldom"]
    assert len(points[1]) > len(points[0])


def inventive(self, told, stream, rng):
    """A generator that is sure of the depth it invents."""
    return [replace(each.filled(), depth_spread=np.full(each.view.depth.shape, 0.01, np.float32)) for each in told]


def test_compressed_depth_is_depth(graph, world, go, start):
    packed = graph.collect(CompressedImage, "/rig/front/depth/image_rect/compressedDepth")
    depth = graph.collect(Image, "/rig/front/depth/image_rect")
    go.publish(command(start))
    wait(lambda: packed and depth, "both")
    a, b = convert_camera.from_compressed_depth(packed[0]), convert.from_depth(depth[0])
    assert packed[0].format == "32FC1; compressedDepth png"
    assert ((a > 0) == (b > 0)).all()
    np.testing.assert_allclose(a, b, atol=0.001)
    head = np.frombuffer(bytes(packed[0].data)[4:12], "<f4")
    far = np.float32(65535)  # decoded as the transport does: depthParam[0] / (inverse - depthParam[1])
    assert 0.1 < head[0] / (far - head[1]) < 0.2


@pytest.mark.parametrize("depth", [0.2, 1.0, 3.0, 10.0, 60.0])
def test_compressed_depth_loses_this_much(depth):
    image = np.full((4, 6), depth, np.float32)
    back = convert_camera.from_compressed_depth(convert_camera.to_compressed_depth(image, convert.to_header(0, "c")))
    assert np.abs(back - image).max() <= 0.51 * depth**2 / 10100
    for unknown in (0.0, 0.1, 150.0):
        gone = convert_camera.to_compressed_depth(np.full((4, 6), unknown, np.float32), convert.to_header(0, "c"))
        assert not convert_camera.from_compressed_depth(gone).any()


def test_compressed_depth_that_is_none_is_refused():
    for form in ("jpeg", "32FC1; compressedDepth png"):
        wrong = CompressedImage(format=form, data=b"x" * 40)
        with pytest.raises(SpatiaError, match="expected"):
            convert_camera.from_compressed_depth(wrong)


def test_a_rig_file_that_is_none_is_one_sentence(graph, folder):
    (folder / "bad.yaml").write_text("cameras: [{name: a}]")
    values = parameters(**{**SETTINGS, "data_dir": str(folder), "rig__file": "bad.yaml"})
    node = WorldNode(context=graph.context, namespace="/bad", parameter_overrides=values)
    with pytest.raises(SpatiaError, match=r"bad\.yaml: cameras\.0\.width_px"):
        node.start()
    node.destroy_node()


def test_mounts_may_be_left_to_the_robots_own_description(graph, make):
    node = make("/described", rig__publish_static=False, frames__prefix="r/")
    assert [c.optical for c in node.rig.cameras][:2] == ["r/front_color_optical_frame", "r/bent_color_optical_frame"]
    (publisher,) = [p for p in node.publishers if p.topic_name == "/tf_static"]
    late = graph.client.create_subscription(TFMessage, "/tf_static", lambda m: seen.extend(m.transforms), qos.TF_STATIC_IN)
    seen = []
    wait(publisher.get_subscription_count, "a match")
    go = graph.publisher(PoseStamped, "/described/cmd_pose")
    told = graph.collect(GeneratedFrame, "/described/front/color/metadata")
    go.publish(command(np.eye(4)))
    wait(lambda: told, "a frame")
    assert not [t for t in seen if t.child_frame_id.startswith("r/")]
    graph.client.destroy_subscription(late)


def test_another_world_is_seen_through_the_same_cameras(graph, world, go, start, folder):
    standard = pytest.importorskip("simulation_interfaces.srv")
    answer = graph.call(standard.LoadWorld, "/rig/load_world", uri="wall.spatia")
    assert answer.result.result == answer.result.RESULT_OK, answer.result.error_message
    playing = pytest.importorskip("simulation_interfaces.msg").SimulationState(state=1)
    assert graph.call(standard.SetSimulationState, "/rig/set_simulation_state", state=playing).result.result == 1
    wait(lambda: not world.worker.busy, "rest")
    assert world.world.camera == world.rig.first.source == world.rig.cameras[0].lens.camera
    images = {n: graph.collect(Image, f"/rig/{n}/color/image_raw") for n in ("front", "bent")}
    go.publish(command(world.rig.base_of(START)))
    wait(lambda: all(images.values()), "both images")
    assert [(i[-1].width, i[-1].height) for i in images.values()] == [(96, 64), (80, 60)]
    assert images["front"][-1].header.stamp == images["bent"][-1].header.stamp
