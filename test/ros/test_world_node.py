"""The world node over real ROS messages: what is commanded is what is seen, and where tf says it was seen from."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TwistStamped
from harness import CAMERA, START, Graph, wait, wall_frame, wall_memory, walled_world
from nav_msgs.msg import Odometry, Path
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from spatia_ros import geometry
from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert, convert_cloud, qos
from spatia_ros.nodes.transforms import NoTransform, TransformBuffer
from spatia_ros.srv import LoadMemory, Restore, SaveMemory, SavePly, SetMode, Snapshot

MOUNT = {"frames__camera_xyz_m": [0.1, 0.0, 0.2], "frames__camera_rpy_rad": [0.0, 0.1, 0.0]}
SETTINGS = {"frame_rate_hz": 100.0, "motion__twist_timeout_s": 60.0, **MOUNT}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def make(graph, folder):
    """Nodes in namespaces of their own, all in one graph."""
    return lambda namespace, **changes: walled_world(graph, folder, namespace, **{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def world(make):
    return make("/main")


def nudge(x=0.0, y=0.0, yaw=0.0):
    return geometry.pose(Rotation.from_euler("z", yaw).as_matrix(), np.array([x, y, 0.0]))


def pose_command(T_map_base, frame="map"):
    return PoseStamped(header=convert.to_header(0, frame), pose=convert.to_pose(T_map_base))


def path_command(poses, stamps_ns=None):
    stamps = stamps_ns or [0] * len(poses)
    path = Path(header=convert.to_header(0, "map"))
    for stamp_ns, T in zip(stamps, poses, strict=True):
        path.poses.append(PoseStamped(header=convert.to_header(stamp_ns, ""), pose=convert.to_pose(T)))
    return path


class Watch:
    """What the node in a namespace publishes."""

    def __init__(self, graph: Graph, namespace: str):
        self.tf = TransformBuffer()
        self.transforms = graph.collect(TFMessage, "/tf", qos.TF)
        self.static = graph.collect(TFMessage, "/tf_static", qos.TF_STATIC_IN)
        self.images = graph.collect(Image, f"{namespace}/camera/color/image_raw")

    def pose_at(self, image):
        """The pose of an image's frame in the map at its stamp, as tf has it (once it came, too)."""
        found = []

        def look():
            for messages, static in ((self.transforms, False), (self.static, True)):
                while messages:
                    for transform in messages.pop(0).transforms:
                        self.tf.insert(transform, static)
            with contextlib.suppress(NoTransform):
                found.append(self.tf.lookup("map", image.header.frame_id, convert.time_ns(image.header.stamp)))
            return found

        wait(look, "the transforms of an image")
        return found[0]


@pytest.fixture(scope="module")
def watch(graph, world):
    return Watch(graph, "/main")


@pytest.fixture(scope="module")
def go(graph, world):
    return graph.publisher(PoseStamped, "/main/cmd_pose")


@pytest.fixture(scope="module")
def start(world):
    """The rig at its seed's first pose."""
    return world.rig.base_of(START)


def see(watch, publish, frames=1):
    """The images that a command makes."""
    before = len(watch.images)
    publish()
    wait(lambda: len(watch.images) >= before + frames, f"{frames} images")
    return watch.images[before : before + frames]


def test_an_image_was_made_from_the_pose_that_tf_has_at_its_stamp(watch, go, world, start):
    for step in (nudge(0.1), nudge(0.2, -0.3, 0.4), nudge(-3.0, 2.0, -1.0)):
        T_map_base = start @ step
        (image,) = see(watch, lambda T=T_map_base: go.publish(pose_command(T)))
        T_map_optical = watch.pose_at(image)
        np.testing.assert_allclose(T_map_optical, T_map_base @ world.rig.T_base_link @ convert.T_LINK_OPTICAL, atol=1e-6)


def test_the_image_shows_the_place(watch, go, world, start, graph):
    """Remembered pixels are what a camera there would see, by its own calibration: colour and depth."""
    depth = graph.collect(Image, "/main/camera/depth/image_rect")
    info = graph.collect(CameraInfo, "/main/camera/color/camera_info")
    (image,) = see(watch, lambda: go.publish(pose_command(start @ nudge(0.3, 0.1))))
    wait(lambda: depth and info, "depth and calibration")
    camera = convert.from_camera_info(info[-1])
    assert (camera.width, camera.height) == (96, 64)
    truth = wall_frame(world.rig.camera_of(start @ nudge(0.3, 0.1)), camera=camera)
    middle = (slice(12, -12), slice(16, -16))
    assert image.header == depth[-1].header == info[-1].header
    assert np.abs(convert.from_depth(depth[-1])[middle] - truth.depth[middle]).max() < 0.02
    assert np.abs(convert.from_image(image)[middle].astype(int) - truth.rgb[middle]).mean() < 8


def test_depth_and_calibration_at_rest_agree_with_the_seed(watch, go, start):
    (image,) = see(watch, lambda: go.publish(pose_command(start)))
    assert np.abs(convert.from_image(image)[8:-8, 8:-8].astype(int) - wall_frame().rgb[8:-8, 8:-8]).mean() < 4


def test_a_command_may_be_relative_to_the_rig(watch, go, start):
    see(watch, lambda: go.publish(pose_command(start)))
    (image,) = see(watch, lambda: go.publish(pose_command(nudge(0.25), "base_link")))
    forward = watch.pose_at(image)[:3, 3] - (start @ nudge(0.25))[:3, 3]
    assert np.linalg.norm(forward) == pytest.approx(np.hypot(0.1, 0.2), abs=1e-6)  # the camera's place on the rig


def test_a_trajectory_is_exactly_its_frames_in_order(graph, watch, start):
    told = graph.collect(GeneratedFrame, "/main/camera/color/metadata")
    path = graph.publisher(Path, "/main/cmd_trajectory")
    poses = [start @ nudge(0.02 * i) for i in range(7)]
    images = see(watch, lambda: path.publish(path_command(poses, [1000 + i * i * 10_000_000 for i in range(7)])), 7)
    wait(lambda: len(told) >= 7, "metadata")
    assert [(m.clip_index, m.clip_length) for m in told] == [(i, 7) for i in range(7)]
    assert all(m.synthetic and m.model == "projection" and 0 < m.remembered_ratio <= 1 for m in told)
    stamps = np.array([convert.time_ns(i.header.stamp) for i in images])
    assert (np.diff(stamps) == np.diff(np.arange(7) ** 2) * 10_000_000).all()
    assert [m.header for m in told] == [i.header for i in images]
    for T, image in zip(poses, images, strict=True):
        shift = watch.pose_at(image)[:3, 3] - watch.pose_at(images[0])[:3, 3]
        np.testing.assert_allclose(shift, T[:3, 3] - poses[0][:3, 3], atol=1e-6)
    (after,) = see(watch, lambda: path.publish(path_command([start])))
    assert convert.time_ns(after.header.stamp) == stamps[-1] + 10_000_000  # no eighth frame came between


def test_a_frame_says_what_made_it(graph, world, go, start, monkeypatch):
    told = graph.collect(GeneratedFrame, "/main/camera/color/metadata")
    monkeypatch.setattr(world._world.generator, "engine", SimpleNamespace(sha256="0123abcd"), raising=False)
    go.publish(pose_command(start))
    wait(lambda: told, "metadata")
    assert (told[0].synthetic, told[0].model, told[0].engine_sha256, told[0].seed) == (True, "projection", "0123abcd", 0)
    assert told[0].total_ms >= told[0].render_ms + told[0].generate_ms > 0


def test_a_velocity_moves_the_rig_until_it_is_zero(graph, world, watch, go, start):
    """1 m/s forward at 100 Hz: each frame is a centimetre on; then the rig stands."""
    odom = graph.collect(Odometry, "/main/odom")
    drive = graph.publisher(TwistStamped, "/main/cmd_vel")
    see(watch, lambda: go.publish(pose_command(start)))
    twist = TwistStamped(header=convert.to_header(0, "base_link"), twist=convert.to_twist(np.array([1.0, 0, 0, 0, 0, 0])))
    images = see(watch, lambda: drive.publish(twist), 5)
    places = [watch.pose_at(image)[:3, 3] for image in images]
    np.testing.assert_allclose(np.diff(places, axis=0), np.tile(0.01 * start[:3, 0], (4, 1)), atol=1e-6)
    assert odom[-1].child_frame_id == "base_link"
    assert odom[-1].twist.twist.linear.x == pytest.approx(1.0)
    drive.publish(TwistStamped())
    wait(lambda: not world.worker.busy, "the end of the motion")


def test_the_pose_button_jumps_the_map_and_not_odom(graph, watch, start, go):
    odom = graph.collect(Odometry, "/main/odom")
    teleport = graph.publisher(PoseWithCovarianceStamped, "/main/initialpose")
    see(watch, lambda: go.publish(pose_command(start)))
    see(watch, lambda: go.publish(pose_command(start @ nudge(0.1))))
    msg = PoseWithCovarianceStamped(header=convert.to_header(0, "map"))
    msg.pose.pose = convert.to_pose(start @ nudge(0.2))
    see(watch, lambda: teleport.publish(msg))
    wait(lambda: len(odom) == 3, "odometry")
    first, moved, jumped = (convert.from_pose(m.pose.pose) for m in odom)
    np.testing.assert_allclose(geometry.inverse(first) @ moved, nudge(0.1), atol=1e-9)
    np.testing.assert_array_equal(moved, jumped)


def test_snapshot_then_restore_then_the_same_commands_give_the_same_frames(graph, watch, start):
    path = graph.publisher(Path, "/main/cmd_trajectory")
    away = path_command([start @ nudge(0.05 * i, 0.1 * i, 0.1 * i) for i in range(4)])
    assert graph.call(Snapshot, "/main/snapshot", name="here").success
    first = [bytes(image.data) for image in see(watch, lambda: path.publish(away), 4)]
    restored = graph.call(Restore, "/main/restore", name="here")
    assert restored.success
    again = see(watch, lambda: path.publish(away), 4)
    assert [bytes(image.data) for image in again] == first
    unknown = graph.call(Restore, "/main/restore", name="nowhere")
    assert not unknown.success
    assert "['here']" in unknown.message


def test_who_comes_late_gets_the_memory_and_the_status(graph, world):
    for topic, kind in (("memory/points", PointCloud2), ("status", SimStatus)):
        first = graph.collect(kind, f"/main/world/{topic}", qos.LATCHED)
        wait(lambda first=first: first, topic)
        late = graph.collect(kind, f"/main/world/{topic}", qos.LATCHED)
        wait(lambda late=late: late, f"{topic}, latched")
    xyz, rgb = convert_cloud.from_cloud(graph_cloud := first_cloud(graph))
    assert graph_cloud.header.frame_id == "map"
    assert len(xyz) > 1000
    seen = wall_frame(camera=CAMERA)
    np.testing.assert_allclose(xyz[:, 0], 2.0, atol=0.02)  # the wall
    assert np.abs(rgb.mean(0) - seen.rgb.reshape(-1, 3).mean(0)).max() < 12


def first_cloud(graph):
    clouds = graph.collect(PointCloud2, "/main/world/memory/points", qos.LATCHED)
    wait(lambda: clouds, "the cloud")
    return clouds[-1]


def test_what_nobody_wants_is_not_made(graph, make, monkeypatch):
    """Provenance, depth and JPEG are converted only once somebody subscribes."""
    make("/lazy")
    go = graph.publisher(PoseStamped, "/lazy/cmd_pose")
    told = graph.collect(GeneratedFrame, "/lazy/camera/color/metadata")
    made = []

    def noted(name, original):
        return lambda *arguments: (made.append(name), original(*arguments))[1]

    for name in ("to_depth", "to_compressed", "to_image"):
        monkeypatch.setattr(convert, name, noted(name, getattr(convert, name)))
    go.publish(pose_command(np.eye(4)))
    wait(lambda: told, "a frame")
    assert made == []
    jpeg = graph.collect(CompressedImage, "/lazy/camera/color/image_raw/compressed")
    provenance = graph.collect(Image, "/lazy/camera/provenance")
    go.publish(pose_command(np.eye(4)))
    wait(lambda: jpeg and provenance, "JPEG and provenance")
    assert sorted(made) == ["to_compressed", "to_image"]
    assert provenance[0].encoding == "mono8"


def test_save_and_load_bring_the_memory_back(graph, world, folder):
    saved = graph.call(SaveMemory, "/main/memory/save", path="saved/now.spatia")
    assert saved.success, saved.message
    ply = graph.call(SavePly, "/main/memory/save_ply", path="now.ply")
    assert ply.success, ply.message
    assert (folder / "now.ply").read_bytes().startswith(b"ply")
    loaded = graph.call(LoadMemory, "/main/memory/load", path="wall.spatia")
    assert loaded.success, loaded.message
    assert loaded.points == len(wall_memory())
    back = graph.call(LoadMemory, "/main/memory/load", path="saved/now.spatia")
    assert back.points == saved.points == ply.points


def test_frozen_frames_leave_the_memory_alone_and_mapping_takes_no_commands(graph, world, watch, go, start):
    status = graph.collect(SimStatus, "/main/world/status", qos.LATCHED)
    assert graph.call(SetMode, "/main/memory/set_mode", mode=SimStatus.FROZEN).previous_mode == SimStatus.GENERATING
    wait(lambda: status and status[-1].mode == SimStatus.FROZEN, "the new mode")
    points = status[-1].memory_points
    see(watch, lambda: go.publish(pose_command(start @ nudge(0.0, 0.3, 0.5))))
    assert graph.call(SetMode, "/main/memory/set_mode", mode=SimStatus.MAPPING).success
    refused, frames = world.health.refused["cmd_pose: mode"], len(watch.images)
    go.publish(pose_command(start))
    wait(lambda: world.health.refused["cmd_pose: mode"] == refused + 1, "the refusal")
    assert graph.call(SetMode, "/main/memory/set_mode", mode=SimStatus.GENERATING).previous_mode == SimStatus.MAPPING
    wait(lambda: status[-1].mode == SimStatus.GENERATING, "the old mode")
    assert (len(watch.images), status[-1].memory_points) == (frames, points)
    wrong = graph.call(SetMode, "/main/memory/set_mode", mode=7)
    assert not wrong.success
    assert "expected one of" in wrong.message


def test_a_stream_goes_on_by_itself_and_the_clock_with_it(graph, make):
    """Live parameter on: frames without commands; as the source of /clock, the clock is each frame's stamp."""
    node = make("/stream", publish_clock=True)
    clock = graph.collect(Clock, "/clock")
    told = graph.collect(GeneratedFrame, "/stream/camera/color/metadata")
    assert node.set_parameters([Parameter("motion.stream", value=True)])[0].successful
    wait(lambda: len(told) >= 5, "a stream of frames")
    assert node.set_parameters([Parameter("motion.stream", value=False)])[0].successful
    stamps = [convert.time_ns(m.header.stamp) for m in told]
    assert (np.diff(stamps) == 10_000_000).all()
    wait(lambda: len(clock) >= len(stamps), "the clock")
    assert set(stamps) <= {convert.time_ns(m.clock) for m in clock}


def test_stamps_follow_a_simulated_clock(graph, make):
    node = make("/simulated", use_sim_time=True)
    told = graph.collect(GeneratedFrame, "/simulated/camera/color/metadata")
    go = graph.publisher(PoseStamped, "/simulated/cmd_pose")
    clock = graph.client.create_publisher(Clock, "/clock", qos.SENSOR_OUT)
    for now_s in (1000, 1060):

        def tick(now_s=now_s):
            clock.publish(Clock(clock=convert.to_time(now_s * 1_000_000_000)))
            return node.get_clock().now().nanoseconds == now_s * 1_000_000_000

        wait(tick, "the simulated time")
        frames = len(told)
        go.publish(pose_command(np.eye(4)))
        wait(lambda frames=frames: len(told) > frames, "a frame")
        late_ns = now_s * 1_000_000_000 - convert.time_ns(told[-1].header.stamp)
        assert 0 <= late_ns < 10_000_000  # the newest tick of the 100 Hz grid


def test_the_newest_command_wins_and_drops_are_told(graph, world, watch, start):
    """A path is given up for a later pose; what was lost is counted, in the status and in the diagnostics."""
    status = graph.collect(SimStatus, "/main/world/status", qos.LATCHED)
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics", qos.SENSOR_OUT)
    path, go = graph.publisher(Path, "/main/cmd_trajectory"), graph.publisher(PoseStamped, "/main/cmd_pose")
    dropped, frames = world.worker.dropped, len(watch.images)
    path.publish(path_command([start @ nudge(0.0001 * i) for i in range(2000)]))
    wait(lambda: len(watch.images) > frames, "the path's beginning")
    target = start @ nudge(0.0, 0.0, 0.3)
    go.publish(pose_command(target))
    wait(lambda: world.worker.dropped == dropped + 1 and not world.worker.busy, "the path's end")
    np.testing.assert_allclose(world.rig.pose.T_map_base, target, atol=1e-9)
    wait(lambda: status[-1].commands_dropped == dropped + 1, "the status")

    def reported():
        values = [v for m in diagnostics for s in m.status if s.name == "main/world" for v in s.values]
        return {v.key: v.value for v in values}

    wait(lambda: reported().get("commands_dropped") == str(dropped + 1), "the diagnostics")


def test_quality_of_service_can_be_overridden(graph, make):
    name = "qos_overrides./best/camera/color/image_raw.publisher.reliability"
    node = make("/best", **{name.replace(".", "__"): "best_effort"})
    (image,) = node.get_publishers_info_by_topic("/best/camera/color/image_raw")
    (depth,) = node.get_publishers_info_by_topic("/best/camera/depth/image_rect")
    assert (image.qos_profile.reliability.name, depth.qos_profile.reliability.name) == ("BEST_EFFORT", "RELIABLE")
