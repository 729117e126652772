"""Reading and writing rosbag2: topics found or refused, encodings, poses by TF and odometry, damaged files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from recordings import recording
from rosbags.rosbag2 import StoragePlugin, Writer

from spatia_ros.geometry import inverse, look_at, quat_xyzw
from spatia_ros.sequence import BagTopics, open_sequence, write_bag, write_tum
from spatia_ros.sequence.bag_messages import Messages
from spatia_ros.sequence.tf_tree import T_BODY_OPTICAL, TfTree
from spatia_ros.types import Camera, Frame, SpatiaError

CAMERA = Camera(24, 16, 20.0, 21.0, 12.5, 7.75)
MS = 1_000_000
T_BASE_CAMERA = look_at(np.array((0.2, 0.0, 0.5)), np.array((1.2, 0.1, 0.4)), np.array((0.0, 0.0, 1.0)))
made = Messages()


def frames(n: int = 4) -> list[Frame]:
    """A camera that moves along x and turns, over random pictures."""
    rng = np.random.default_rng(1)
    out = []
    for k in range(n):
        T = look_at(np.array((0.1 * k, 0.0, 1.0)), np.array((0.1 * k + 0.05 * k * k, 2.0, 1.0)), np.array((0.0, 0.0, 1.0)))
        depth = np.round(rng.uniform(0.5, 4.0, (16, 24)), 3).astype(np.float32)
        depth[rng.random(depth.shape) < 0.2] = 0
        out.append(Frame(rng.integers(0, 255, (16, 24, 3), np.uint8), depth, CAMERA, T, 5_000 * MS + k * 100 * MS))
    return out


def assert_same(sequence: Any, truth: list[Frame], pose_atol: float = 1e-9) -> None:
    assert sequence.stamps_ns.tolist() == [f.stamp_ns for f in truth]
    for i, frame in enumerate(truth):
        read = sequence.frame(i)
        np.testing.assert_array_equal(read.rgb, frame.rgb)
        np.testing.assert_array_equal(read.depth, frame.depth)
        np.testing.assert_allclose(read.T_world_cam, frame.T_world_cam, atol=pose_atol)
        assert read.camera == frame.camera


def write_messages(path: Path, messages: list[tuple[str, str, int, Any]], plugin: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """A bag of ``(topic, type, log time, message)``."""
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        topics: dict[str, Any] = {}
        for topic, kind, time, message in messages:
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=made.store)
            writer.write(topics[topic], time, made.store.serialize_cdr(message, kind))
    return path


def camera_messages(frame: Frame, frame_id: str = "optical", prefix: str = "/cam") -> list[tuple[str, str, int, Any]]:
    """Colour, its info and registered depth of one frame."""
    header = made.header(frame.stamp_ns, frame_id)
    return [
        (f"{prefix}/color/image_raw", "sensor_msgs/msg/Image", frame.stamp_ns, made.image(header, frame.rgb, "rgb8")),
        (f"{prefix}/color/camera_info", "sensor_msgs/msg/CameraInfo", frame.stamp_ns, made.info(header, frame.camera)),
        (f"{prefix}/depth/image", "sensor_msgs/msg/Image", frame.stamp_ns, made.image(header, frame.depth, "32FC1")),
    ]


def tf(topic: str, stamp_ns: int, *links: tuple[str, str, np.ndarray]) -> tuple[str, str, int, Any]:
    return (topic, "tf2_msgs/msg/TFMessage", stamp_ns, made.tf(stamp_ns, *links))


def odometry(stamp_ns: int, T: np.ndarray, child: str = "base_link") -> tuple[str, str, int, Any]:
    message = made.odometry(stamp_ns, T)
    message.child_frame_id = child
    return ("/odom", "nav_msgs/msg/Odometry", stamp_ns, message)


@pytest.mark.parametrize("name", ["walk.mcap", "walk"])
@pytest.mark.parametrize("depth", ["32FC1", "16UC1"])
def test_what_is_written_is_read(tmp_path: Path, name: str, depth: Any) -> None:
    path = write_bag(frames(), tmp_path / name, depth=depth)
    assert_same(open_sequence(path), frames())
    assert_same(open_sequence(path, BagTopics(pose="/odom")), frames())
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_folder_without_metadata_is_not_a_bag(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    with pytest.raises(SpatiaError, match="expected a TUM RGB-D folder"):
        open_sequence(tmp_path / "bag")


def test_the_bag_carries_what_ros_expects(tmp_path: Path) -> None:
    from rosbags.highlevel import AnyReader

    with AnyReader([write_bag(frames(), tmp_path / "walk.mcap")]) as reader:
        kinds = {c.topic: (c.msgtype, c.msgcount) for c in reader.connections}
        read = {topic: [] for topic in kinds}
        for connection, time, data in reader.messages():
            read[connection.topic].append((time, reader.deserialize(data, connection.msgtype)))
    assert kinds["/tf_static"] == ("tf2_msgs/msg/TFMessage", 1)
    assert kinds["/camera/depth/image_rect"] == ("sensor_msgs/msg/Image", 4)
    time, image = read["/camera/color/image_raw"][2]
    assert time == frames()[2].stamp_ns == image.header.stamp.sec * 1000 * MS + image.header.stamp.nanosec
    assert (image.encoding, image.step, image.header.frame_id) == ("rgb8", 72, "camera_color_optical_frame")
    info = read["/camera/color/camera_info"][0][1]
    assert info.k.tolist() == [20.0, 0, 12.0, 0, 21.0, 7.25, 0, 0, 1]  # centres at integers
    depth = read["/camera/depth/image_rect"][0][1].data.view(np.float32)
    assert np.isnan(depth).sum() == (frames()[0].depth == 0).sum()  # REP-118
    base = read["/tf"][0][1].transforms[0]
    assert (base.header.frame_id, base.child_frame_id) == ("odom", "base_link")
    forward = frames()[0].T_world_cam[:3, 2]  # base_link looks along its x where the camera looks along its z
    odom = read["/odom"][0][1].pose.pose.orientation
    T = np.eye(4)
    T[:3, :3] = cv2_rotation(odom)
    np.testing.assert_allclose(T[:3, 0], forward, atol=1e-9)


def cv2_rotation(q: Any) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()


@pytest.mark.parametrize("writer", [write_bag, write_tum])
def test_recordings_are_never_overwritten_and_never_left_half_done(tmp_path: Path, writer: Callable[..., Path]) -> None:
    path = tmp_path / "walk"
    writer(frames(2), path)
    with pytest.raises(SpatiaError, match="not overwritten"):
        writer(frames(2), path)
    with pytest.raises(SpatiaError, match="times from 0 that increase"):
        writer(frames(2) + frames(1), tmp_path / "other")
    with pytest.raises(SpatiaError, match="at least one frame"):
        writer([], tmp_path / "other")
    assert [p.name for p in tmp_path.iterdir()] == ["walk"]


def test_tum_round_trip_by_way_of_a_bag(tmp_path: Path) -> None:
    assert_same(open_sequence(write_tum(frames(), tmp_path / "walk")), frames(), pose_atol=1e-8)
    bag = open_sequence(write_bag(frames(), tmp_path / "walk.mcap"))
    assert_same(open_sequence(write_tum(bag, tmp_path / "again")), frames(), pose_atol=1e-8)


def test_a_rectified_topic_uses_p_and_a_raw_one_k_and_d(tmp_path: Path) -> None:
    for name, fx in (("image_rect", 30.0), ("image_raw", 20.0)):
        messages = [tf("/tf_static", 0, ("map", "optical", np.eye(4)))]
        for frame in frames(1):
            colour, info, depth = camera_messages(frame)
            info[3].p = np.array([30.0, 0, 12, 0, 0, 31, 7.25, 0, 0, 0, 1, 0])
            messages += [(f"/cam/color/{name}", *colour[1:]), info, depth]
        assert open_sequence(write_messages(tmp_path / name, messages)).camera.fx == fx


def test_lounge_to_mcap_and_back(tmp_path: Path) -> None:
    lounge = open_sequence(recording("lounge"))
    back = open_sequence(write_bag((lounge.frame(i) for i in range(12)), tmp_path / "lounge.mcap"))
    assert_same(back, [lounge.frame(i) for i in range(12)], pose_atol=1e-6)


def test_poses_by_a_chain_of_moving_and_static_tf(tmp_path: Path) -> None:
    """map -> odom jumps, odom -> base_link at other times than the images, base_link -> camera is static."""
    truth, messages = frames(3), []
    T_map_odom = look_at(np.zeros(3), np.array((1.0, 2.0, 0.3)), np.array((0.0, 0.0, 1.0)))
    for k in range(-1, 4):
        stamp = 5_000 * MS + k * 100 * MS
        T_map_camera = np.eye(4)
        T_map_camera[:3, 3] = (0.1 * k, 0.2, 0.3)
        T_odom_base = inverse(T_map_odom) @ T_map_camera @ inverse(T_BASE_CAMERA)
        messages.append(tf("/tf", stamp, ("map", "odom", T_map_odom), ("odom", "base_link", T_odom_base)))
    messages.append(tf("/tf_static", 5_000 * MS, ("base_link", "optical", T_BASE_CAMERA)))
    for frame in truth:
        messages += camera_messages(Frame(frame.rgb, frame.depth, CAMERA, frame.T_world_cam, frame.stamp_ns + 30 * MS))
    sequence = open_sequence(write_messages(tmp_path / "bag", messages))
    np.testing.assert_allclose(sequence.T_world_cam[:, :3, 3], [(0.1 * k + 0.03, 0.2, 0.3) for k in range(3)], atol=1e-9)
    inside = open_sequence(tmp_path / "bag", BagTopics(world_frame="odom"))
    np.testing.assert_allclose(T_map_odom @ inside.T_world_cam[1], sequence.T_world_cam[1], atol=1e-9)


def test_frames_outside_the_tf_are_dropped_and_counted(tmp_path: Path) -> None:
    messages = [tf("/tf", f.stamp_ns, ("odom", "optical", f.T_world_cam)) for f in frames(5)[1:4]]
    for frame in frames(5):
        messages += camera_messages(frame)
    sequence = open_sequence(write_messages(tmp_path / "bag", messages))
    assert sequence.dropped == {"without depth": 0, "without pose": 2}
    assert_same(sequence, frames(5)[1:4])


def test_odometry_joined_by_static_tf(tmp_path: Path) -> None:
    messages = [tf("/tf_static", 0, ("base_link", "optical", T_BASE_CAMERA))]
    for frame in frames():
        messages += [odometry(frame.stamp_ns, frame.T_world_cam @ inverse(T_BASE_CAMERA)), *camera_messages(frame)]
    assert_same(open_sequence(write_messages(tmp_path / "bag", messages), BagTopics(pose="/odom")), frames())


def test_odometry_alone_means_a_camera_that_looks_along_x(tmp_path: Path) -> None:
    messages = []
    for frame in frames():
        messages += [odometry(frame.stamp_ns, frame.T_world_cam @ inverse(T_BODY_OPTICAL)), *camera_messages(frame)]
    assert_same(open_sequence(write_messages(tmp_path / "bag", messages)), frames())


def test_the_body_to_optical_rotation_is_rep_103() -> None:
    optical = {"right": (1, 0, 0), "down": (0, 1, 0), "forward": (0, 0, 1)}
    body = {"right": (0, -1, 0), "down": (0, 0, -1), "forward": (1, 0, 0)}
    for name, vector in optical.items():
        np.testing.assert_array_equal(T_BODY_OPTICAL[:3, :3] @ vector, body[name])


def test_pose_stamped_needs_to_know_its_frame(tmp_path: Path) -> None:
    messages = [tf("/tf_static", 0, ("marker", "optical", T_BASE_CAMERA))]
    for frame in frames():
        T = frame.T_world_cam @ inverse(T_BASE_CAMERA)
        pose = made.make("geometry_msgs/msg/Pose", made.make("geometry_msgs/msg/Point", *T[:3, 3]), made.rotation(T))
        stamped = made.make("geometry_msgs/msg/PoseStamped", made.header(frame.stamp_ns, "room"), pose)
        messages += [("/mocap", "geometry_msgs/msg/PoseStamped", frame.stamp_ns, stamped), *camera_messages(frame)]
    path = write_messages(tmp_path / "bag", messages)
    with pytest.raises(SpatiaError, match="name it as pose_frame"):
        open_sequence(path, BagTopics(pose="/mocap"))
    assert_same(open_sequence(path, BagTopics(pose="/mocap", pose_frame="marker")), frames())


def test_no_poses_at_all_says_what_to_do(tmp_path: Path) -> None:
    path = write_messages(tmp_path / "bag", camera_messages(frames(1)[0]))
    with pytest.raises(SpatiaError, match=r"expected poses of 'optical'.*name a pose topic or a world_frame"):
        open_sequence(path)


def test_two_cameras_are_ambiguous_until_named(tmp_path: Path) -> None:
    messages = [tf("/tf_static", 0, ("map", "left", np.eye(4)), ("map", "right", np.eye(4)))]
    for frame in frames():
        messages += camera_messages(frame, "left", "/left") + camera_messages(frame, "right", "/right")
    path = write_messages(tmp_path / "bag", messages)
    with pytest.raises(SpatiaError, match="colour: expected one topic, got /left/color/image_raw, /right/color/image_raw"):
        open_sequence(path)
    sequence = open_sequence(path, BagTopics(colour="/right/color/image_raw"))
    np.testing.assert_array_equal(sequence.frame(1).rgb, frames()[1].rgb)
    with pytest.raises(SpatiaError, match="registered to colour"):
        open_sequence(path, BagTopics(colour="/right/color/image_raw", depth="/left/depth/image"))
    with pytest.raises(SpatiaError, match="depth: expected /none to be sensor_msgs"):
        open_sequence(path, BagTopics(depth="/none"))


def test_topics_yaml_beside_the_bag_names_what_is_meant(tmp_path: Path) -> None:
    messages = [tf("/tf_static", 0, ("map", "left", np.eye(4)), ("map", "right", np.eye(4)))]
    for frame in frames():
        messages += camera_messages(frame, "left", "/left") + camera_messages(frame, "right", "/right")
    path = write_messages(tmp_path / "bag", messages)
    file = shutil.copy(next(path.glob("*.mcap")), tmp_path / "one.mcap")
    for bag, beside in ((path, path / "topics.yaml"), (file, tmp_path / "one.mcap.topics.yaml")):
        beside.write_text("colour: /left/color/image_raw\n")
        assert len(open_sequence(bag)) == 4
        beside.write_text("color: /left/color/image_raw\n")
        with pytest.raises(SpatiaError, match="expected names for some of colour, depth"):
            open_sequence(bag)


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_both_storages(tmp_path: Path, plugin: StoragePlugin) -> None:
    messages = [tf("/tf_static", 0, ("map", "optical", np.eye(4)))]
    for frame in frames():
        messages += camera_messages(frame)
    path = write_messages(tmp_path / "bag", messages, plugin)
    still = [Frame(f.rgb, f.depth, CAMERA, np.eye(4), f.stamp_ns) for f in frames()]
    assert_same(open_sequence(path), still)
    (file,) = (p for p in path.iterdir() if p.suffix in (".mcap", ".db3"))
    assert_same(open_sequence(file), still)


def test_compressed_colour_and_depth(tmp_path: Path) -> None:
    messages = [tf("/tf_static", 0, ("map", "optical", np.eye(4)))]
    for frame in frames():
        header = made.header(frame.stamp_ns, "optical")
        png = cv2.imencode(".png", cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR))[1].reshape(-1)
        mm = cv2.imencode(".png", np.round(frame.depth * 1000).astype(np.uint16))[1].reshape(-1)
        quantised = np.concatenate([np.zeros(12, np.uint8), mm])
        for topic, text, data in (
            ("/cam/color/image_raw/compressed", "rgb8; png compressed bgr8", png),
            ("/cam/depth/image/compressedDepth", "16UC1; compressedDepth png", quantised),
        ):
            message = made.make("sensor_msgs/msg/CompressedImage", header, text, data)
            messages.append((topic, "sensor_msgs/msg/CompressedImage", frame.stamp_ns, message))
        messages.append(camera_messages(frame)[1])
    still = [Frame(f.rgb, f.depth, CAMERA, np.eye(4), f.stamp_ns) for f in frames()]
    assert_same(open_sequence(write_messages(tmp_path / "bag", messages)), still)


def test_tf_refuses_second_parents_loops_and_nonsense() -> None:
    tree = TfTree()
    tree.add("/a", "b", np.eye(4), 0, static=True)
    with pytest.raises(SpatiaError, match="one parent"):
        tree.add("c", "b", np.eye(4), 0, static=True)
    with pytest.raises(SpatiaError, match="finite"):
        tree.add("b", "c", np.full((4, 4), np.nan), 0, static=False)
    tree.add("b", "a", np.eye(4), 0, static=True)
    with pytest.raises(SpatiaError, match="loop a -> b -> a"):
        tree.ancestors("a")


def test_tf_between_siblings() -> None:
    tree = TfTree()
    left, right = np.eye(4), np.eye(4)
    left[0, 3], right[1, 3] = -1.0, 2.0
    tree.add("base", "left", left, 0, static=True)
    tree.add("base", "right", right, 0, static=True)
    T, known = tree.poses("left", "right", np.zeros(1, np.int64))
    assert known.all()
    np.testing.assert_allclose(T[0, :3, 3], (1.0, 2.0, 0.0))
    assert tree.constant("left", "right")
    with pytest.raises(SpatiaError, match="join 'left' and 'moon', got the frames"):
        tree.poses("left", "moon", np.zeros(1, np.int64))


def test_zero_quaternion_in_tf_is_named(tmp_path: Path) -> None:
    topic, kind, stamp, message = tf("/tf", 5_000 * MS, ("map", "optical", np.eye(4)))
    message.transforms[0].transform.rotation.w = 0.0
    path = write_messages(tmp_path / "bag", [(topic, kind, stamp, message), *camera_messages(frames(1)[0])])
    with pytest.raises(SpatiaError, match="/tf: map -> optical: expected a unit quaternion"):
        open_sequence(path)


def read_all(path: Path) -> None:
    for _ in open_sequence(path).frames():
        pass


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_damaged_bags_give_an_error_and_nothing_else(tmp_path: Path, plugin: StoragePlugin) -> None:
    messages = [tf("/tf_static", 0, ("map", "optical", np.eye(4)))]
    for frame in frames(2):
        messages += camera_messages(frame)
    folder = write_messages(tmp_path / "bag", messages, plugin)
    (file,) = (p for p in folder.iterdir() if p.suffix in (".mcap", ".db3"))
    good = file.read_bytes()
    rng = np.random.default_rng(2)
    refused = 0
    for k in range(60):
        data = bytearray(good[: rng.integers(len(good))]) if k % 3 == 0 else bytearray(good)
        for at in rng.integers(0, max(1, len(data)), int(rng.integers(0 if k % 3 == 0 else 1, 40))):
            if at < len(data):
                data[at] = rng.integers(256)
        broken = tmp_path / f"broken{file.suffix}"
        broken.write_bytes(bytes(data))
        try:
            read_all(broken)
        except SpatiaError:
            refused += 1
    assert refused > 20


def test_a_bag_whose_metadata_lies_is_refused(tmp_path: Path) -> None:
    path = write_bag(frames(2), tmp_path / "walk")
    shutil.copytree(path, tmp_path / "other")
    meta = tmp_path / "other" / "metadata.yaml"
    good = meta.read_text()
    for text in ("", "- 1\n", good.replace("walk.mcap", "../../secret.mcap"), good.replace("mcap", "cap")):
        meta.write_text(text)
        with pytest.raises(SpatiaError, match="expected a readable rosbag2 recording"):
            open_sequence(tmp_path / "other")


def test_the_nav2_recording_has_no_images() -> None:
    with pytest.raises(SpatiaError, match="colour: expected a topic that can be it, got /amcl_pose"):
        open_sequence(recording("evo_reference") / "nav2_turtlebot.mcap")


def test_a_chain_from_a_recording_of_nav2() -> None:
    """TF of a simulated TurtleBot: the odometry topic and odom -> base_link say the same."""
    from spatia_ros.sequence.bag import _poses_of_topic, _tree
    from spatia_ros.sequence.bag_file import BagFile

    bag = BagFile(recording("evo_reference") / "nav2_turtlebot.mcap")
    tree = _tree(bag)
    stamps = np.array([s.stamp_ns for s in bag.stamps("/odom")])[100:200:10]
    by_topic, known = _poses_of_topic(bag, tree, "/odom", "", "base_link", stamps)
    by_tf, tracked = tree.poses("odom", "base_link", stamps)
    assert known.all()
    assert tracked.mean() > 0.5
    assert quat_xyzw(by_topic[0]).shape == (4,)
    np.testing.assert_allclose(by_topic[tracked], by_tf[tracked], atol=0.02)
