"""Malformed input over real ROS messages: a counted drop or a clear error, the node alive, the memory as it was."""

import math

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TwistStamped
from harness import START, parameters, wait, wall_memory
from nav_msgs.msg import Path
from sensor_msgs.msg import CameraInfo, Image

from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import LoadMemory, Restore, SaveMemory, SavePly, SetMode, Snapshot

NAN = math.nan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder with a good memory, broken ones, and ways out of it; outside lies what must not be touched."""
    top = tmp_path_factory.mktemp("top")
    path = top / "data"
    path.mkdir()
    wall_memory().save(path / "wall.spatia")
    whole = (path / "wall.spatia").read_bytes()
    (path / "half.spatia").write_bytes(whole[: len(whole) // 2])
    at = len(whole) // 4  # among the points of its one chunk
    (path / "flipped.spatia").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    (path / "empty.spatia").touch()
    (path / "text.spatia").write_text("not a memory")
    (path / "folder.spatia").mkdir()
    (top / "outside.spatia").write_bytes(whole)
    (path / "way_out").symlink_to(top)
    (path / "link.spatia").symlink_to(top / "outside.spatia")
    return path


@pytest.fixture(scope="module")
def world(graph, folder):
    values = {"generator__name": "projection", "camera__width_px": 96, "camera__height_px": 64, "source__memory": "wall.spatia"}
    return graph.add(WorldNode(context=graph.context, parameter_overrides=parameters(data_dir=str(folder), **values)))


@pytest.fixture(scope="module")
def status(graph, world):
    messages = graph.collect(SimStatus, "/world/status", qos.LATCHED)
    wait(lambda: messages, "the status")
    return messages


@pytest.fixture(scope="module")
def told(graph, world):
    return graph.collect(GeneratedFrame, "/camera/color/metadata")


@pytest.fixture(scope="module")
def publishers(graph, world):
    kinds = {"cmd_pose": PoseStamped, "cmd_trajectory": Path, "cmd_vel": TwistStamped, "initialpose": PoseWithCovarianceStamped}
    return {topic: graph.publisher(kind, f"/{topic}") for topic, kind in kinds.items()}


@pytest.fixture(autouse=True)
def alive_and_unharmed(graph, world, status, told, publishers):
    """Before and after every test: the node makes a frame where it is told to, and the memory is the same."""
    points = len(wall_memory())
    yield
    frames = len(told)
    publishers["cmd_pose"].publish(pose_stamped())
    wait(lambda: len(told) == frames + 1, "a frame after the malformed input")
    assert told[-1].remembered_ratio > 0.9
    assert world.worker.submit(lambda: len(world.memory)).result(10.0) == points
    assert status[-1].memory_points == points


def pose_stamped(frame="map", stamp=(0, 0), **changes):
    msg = PoseStamped(header=convert.to_header(0, frame))
    msg.header.stamp.sec, msg.header.stamp.nanosec = stamp
    msg.pose = convert.to_pose(START @ np.linalg.inv(convert.T_LINK_OPTICAL))
    for name, value in changes.items():
        part, axis = name.split("_")
        setattr(getattr(msg.pose, part), axis, value)
    return msg


def zero_quaternion():
    msg = pose_stamped()
    msg.pose.orientation.x = msg.pose.orientation.y = msg.pose.orientation.z = msg.pose.orientation.w = 0.0
    return msg


def trajectory(*poses, frame="map"):
    return Path(header=convert.to_header(0, frame), poses=list(poses))


def twist(frame="base_link", **changes):
    msg = TwistStamped(header=convert.to_header(0, frame))
    for axis, value in changes.items():
        setattr(msg.twist.linear, axis, value)
    return msg


def initial(msg, covariance=0.0):
    out = PoseWithCovarianceStamped(header=msg.header)
    out.pose.pose, out.pose.covariance[0] = msg.pose, covariance
    return out


@pytest.mark.parametrize(
    ("topic", "msg", "reason", "words"),
    [
        ("cmd_pose", pose_stamped(position_x=NAN), "not_finite", "cmd_pose: expected finite numbers"),
        ("cmd_pose", pose_stamped(position_z=-math.inf), "not_finite", "cmd_pose: expected finite numbers"),
        ("cmd_pose", zero_quaternion(), "quaternion", "cmd_pose: expected a unit quaternion"),
        ("cmd_pose", pose_stamped(orientation_w=2.0), "quaternion", "cmd_pose: expected a unit quaternion"),
        ("cmd_pose", pose_stamped("nowhere"), "frame", "got frame 'nowhere'"),
        ("cmd_pose", pose_stamped(""), "frame", "expected a pose in map, odom, base_link"),
        ("cmd_pose", pose_stamped(stamp=(1, 1_000_000_000)), "stamp", "nanosec below 1e9"),
        ("cmd_pose", pose_stamped(stamp=(-1, 0)), "stamp", "sec >= 0"),
        ("cmd_trajectory", trajectory(), "size", "cmd_trajectory: expected 1.."),
        ("cmd_trajectory", trajectory(pose_stamped(), pose_stamped(position_y=NAN)), "not_finite", "cmd_trajectory.poses[1]"),
        ("cmd_trajectory", trajectory(pose_stamped(), zero_quaternion()), "quaternion", "cmd_trajectory.poses[1]"),
        ("cmd_trajectory", trajectory(pose_stamped(), frame="nowhere"), "frame", "got frame 'nowhere'"),
        ("cmd_trajectory", trajectory(pose_stamped(), pose_stamped("odom")), "frame", "expected the path's frame 'map'"),
        ("cmd_trajectory", trajectory(pose_stamped(stamp=(2, 0)), pose_stamped(stamp=(1, 0))), "stamp", "a stamp after"),
        ("cmd_vel", twist(x=NAN), "not_finite", "cmd_vel: expected finite velocities"),
        ("cmd_vel", twist("nowhere"), "frame", "expected a velocity in base_link"),
        ("initialpose", initial(pose_stamped(position_x=NAN)), "not_finite", "initialpose: expected finite"),
        ("initialpose", initial(zero_quaternion()), "quaternion", "initialpose: expected a unit"),
        ("initialpose", initial(pose_stamped(), NAN), "not_finite", "finite covariance"),
    ],
)
def test_a_malformed_command_is_dropped_counted_and_told(world, publishers, told, topic, msg, reason, words):
    key, frames = f"{topic}: {reason}", len(told)
    before = world.health.refused[key]
    publishers[topic].publish(msg)
    wait(lambda: world.health.refused[key] == before + 1, "the count of the drop")
    assert words in world.health.message
    assert len(told) == frames


def test_drops_are_seen_in_the_status_and_the_diagnostics(graph, world, publishers, status):
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    before = world.health.refusals
    for _ in range(3):
        publishers["cmd_pose"].publish(pose_stamped(position_x=NAN))
        wait(lambda n=before + 1: world.health.refusals >= n, "the drop")
        before = world.health.refusals
    wait(lambda: status[-1].messages_refused == before, "the status")
    assert "cmd_pose: expected finite numbers" in status[-1].message
    warned = lambda: [s for m in diagnostics for s in m.status if s.level == DiagnosticStatus.WARN]  # noqa: E731
    wait(warned, "a warning in /diagnostics")
    values = {v.key: v.value for v in warned()[-1].values}
    assert int(values["refused cmd_pose: not_finite"]) == world.health.refused["cmd_pose: not_finite"]
    wait(lambda: diagnostics[-1].status[0].level == DiagnosticStatus.OK, "all well again")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("half.spatia", "cut short or damaged"),
        ("flipped.spatia", "does not match the checksum of its part"),
        ("empty.spatia", "expected a memory file"),
        ("text.spatia", "expected a memory file"),
        ("missing.spatia", "expected a file"),
        ("folder.spatia", "expected a file"),
        ("", "expected the name of a file"),
        (".", "expected a file inside the data folder"),
        ("../outside.spatia", "expected a file inside the data folder"),
        ("way_out/outside.spatia", "expected a file inside the data folder"),
        ("link.spatia", "expected a file inside the data folder"),
        ("/etc/hostname", "expected a file inside the data folder"),
    ],
)
def test_a_memory_that_cannot_be_loaded_says_why(graph, world, path, words):
    answer = graph.call(LoadMemory, "/memory/load", path=path)
    assert not answer.success
    assert words in answer.message
    assert answer.points == len(wall_memory())


@pytest.mark.parametrize(
    ("kind", "service", "suffix"), [(SaveMemory, "memory/save", ".spatia"), (SavePly, "memory/save_ply", ".ply")]
)
@pytest.mark.parametrize("path", ["../new{}", "/new{}", "way_out/new{}", "new.py", "", "folder.spatia"])
def test_nothing_is_written_outside_the_folder_or_over_other_files(graph, world, folder, kind, service, suffix, path):
    before = sorted(p for p in folder.parent.rglob("*"))
    answer = graph.call(kind, f"/{service}", path=path.format(suffix))
    assert not answer.success
    assert answer.message.startswith("path: expected")
    assert sorted(p for p in folder.parent.rglob("*")) == before


def test_a_disk_that_refuses_is_an_error_in_words(graph, world):
    answer = graph.call(SaveMemory, "/memory/save", path="text.spatia/now.spatia")
    assert not answer.success
    assert "text.spatia" in answer.message


def test_other_services_refuse_in_words(graph, world):
    for kind, service, request, words in (
        (Restore, "/restore", {"name": "never"}, "expected one of []"),
        (Snapshot, "/snapshot", {"name": ""}, "expected a name"),
        (SetMode, "/memory/set_mode", {"mode": 200}, "expected one of"),
    ):
        answer = graph.call(kind, service, **request)
        assert not answer.success
        assert words in answer.message


def test_snapshots_are_bounded(graph, world):
    assert all(graph.call(Snapshot, "/snapshot", name=f"s{i}").success for i in range(4))
    assert not graph.call(Snapshot, "/snapshot", name="s4").success
    assert graph.call(Snapshot, "/snapshot", name="s3").success


def test_a_failing_generator_does_not_take_the_node_down(world, publishers, told, monkeypatch):
    """Out of memory in the middle of a frame: counted, told, and the next command works."""

    def fail(condition, stream, rng):
        raise MemoryError("no room for a frame")

    failed = world.health.failed
    with monkeypatch.context() as patch:
        patch.setattr(world._world.generator, "sample", fail)
        publishers["cmd_pose"].publish(pose_stamped())
        wait(lambda: world.health.failed == failed + 1, "the failure")
        wait(lambda: not world.worker.busy, "the end of the command")
    assert "MemoryError: no room for a frame" in world.health.message


def test_what_nobody_expected_does_not_take_the_node_down(world, publishers, monkeypatch):
    def fail(msg, name):
        raise RuntimeError("a bug")

    failed = world.health.failed
    with monkeypatch.context() as patch:
        patch.setattr(convert, "from_pose", fail)
        publishers["cmd_pose"].publish(pose_stamped())
        wait(lambda: world.health.failed == failed + 1, "the failure")
    assert world.health.message == "cmd_pose: RuntimeError: a bug"


@pytest.fixture
def sensor(graph, world):
    """The node in mapping mode, listening to a camera; back to generating afterwards."""
    assert graph.call(SetMode, "/memory/set_mode", mode=SimStatus.MAPPING).success
    topics = {"color/image_raw": Image, "depth/image_rect": Image, "color/camera_info": CameraInfo}
    yield {topic: graph.publisher(kind, f"/{topic}") for topic, kind in topics.items()}
    assert graph.call(SetMode, "/memory/set_mode", mode=SimStatus.GENERATING).success


def wrong_length():
    msg = convert.to_image(np.zeros((64, 96, 3), np.uint8), convert.to_header(1, "camera"))
    del msg.data[-1]
    return msg


def bayer():
    msg = convert.to_image(np.zeros((64, 96), np.uint8), convert.to_header(1, "camera"))
    msg.encoding = "bayer_rggb8"
    return msg


@pytest.mark.parametrize(
    ("topic", "msg", "reason"),
    [
        ("color/image_raw", wrong_length(), "size"),
        ("depth/image_rect", Image(encoding="32FC1", width=96, height=64, step=384), "size"),
        ("depth/image_rect", Image(encoding="16UC1", width=2**31, height=2**31, step=0), "size"),
        ("color/image_raw", bayer(), "encoding"),
        ("color/camera_info", CameraInfo(width=96, height=64, k=[NAN] * 9), "calibration"),
    ],
)
def test_a_malformed_sensor_message_is_dropped_and_counted(world, sensor, topic, msg, reason):
    key = f"{topic}: {reason}"
    before = world.health.refused[key]
    sensor[topic].publish(msg)
    wait(lambda: world.health.refused[key] == before + 1, "the count of the drop")
