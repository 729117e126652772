"""The checker's rules: a good frame passes, and each promise that is broken is noticed."""

from array import array

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import PointCloud2
from tf2_msgs.msg import TFMessage

from spatia_ros import geometry
from spatia_ros.msg import GeneratedFrame, MemoryUpdate, SimStatus
from spatia_ros.nodes import convert, convert_cloud
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.settings import FrameSettings
from spatia_ros.nodes.soak.checker import StatusRules
from spatia_ros.nodes.soak.frames import OVERTAKEN, SLOW_LENGTH, FrameRules
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.nodes.soak.map import MapCopy
from spatia_ros.types import Camera

PERIOD = 100_000_000
CAMERA = Camera.from_fov(8, 6, 1.2)


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def rules(ledger):
    return FrameRules(ledger, Rig(FrameSettings()), PERIOD)


def frame(k, x=0.0, **told):
    """All messages of the frame at k periods, by name, the rig at x."""
    rig = Rig(FrameSettings())
    rig.move(geometry.pose(np.eye(3), np.array([x, 0.0, 0.0])), 0.1, jump=False)
    stamp, header = k * PERIOD, convert.to_header(k * PERIOD, rig.optical)
    rgb, depth = np.zeros((6, 8, 3), np.uint8), np.ones((6, 8), np.float32)
    return {
        "told": GeneratedFrame(header=header, synthetic=True, clip_length=1, **told),
        "colour": convert.to_image(rgb, header), "colour_info": convert.to_camera_info(CAMERA, header),
        "depth": convert.to_depth(depth, header), "depth_info": convert.to_camera_info(CAMERA, header),
        "pose": PoseStamped(header=convert.to_header(stamp, "map"), pose=convert.to_pose(rig.pose.T_map_base)),
        "odom": rig.odometry(stamp), "tf": TFMessage(transforms=rig.transforms(stamp)),
    }  # fmt: skip


def give(rules, messages, leave_out=()):
    for name, msg in messages.items():
        if name == "tf":
            rules.take_tf(msg)
        elif name not in leave_out:
            rules.take(name, msg)


def test_good_frames_pass(rules, ledger):
    for k in range(1, 6):
        give(rules, frame(k, 0.1 * k))
    assert (rules.heard, ledger.wrong, rules.settled) == (5, [], True)
    assert ledger.counts["checks"] > 50


def unlike(name, change):
    """A frame with one message changed."""
    messages = frame(2)
    change(messages[name])
    return messages


def _set(path, value):
    def change(msg):
        *way, last = path.split(".")
        for part in way:
            msg = getattr(msg, part)
        setattr(msg, last, value)

    return change


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (frame(3), "expected 100000000"),
        (unlike("told", _set("synthetic", False)), "synthetic is False"),
        (unlike("told", _set("remembered_ratio", 1.5)), "shares"),
        (unlike("colour", _set("width", 9)), "colour: rgb8"),
        (unlike("colour", _set("header.frame_id", "map")), "colour: frame 'map'"),
        (unlike("depth", _set("encoding", "16UC1")), "depth: 16UC1"),
        (unlike("depth_info", _set("height", 5)), "its camera_info"),
        (unlike("colour_info", _set("k", [float("nan")] * 9)), "calibration"),
        (unlike("depth", lambda msg: msg.data.__setitem__(slice(0, 4), array("B", bytes(4)))), "expected metres or NaN"),
        (unlike("pose", _set("pose.position.x", 1e-5)), "tf: 1e-05 from the pose"),
        (unlike("odom", _set("pose.pose.position.y", 1e-5)), "odom: 1e-05 from tf"),
        (frame(2, x=0.6), "odom: jumped by 0.600 m"),
    ],
)  # fmt: skip
def test_a_broken_promise_is_noticed(rules, ledger, messages, words):
    give(rules, frame(1))
    assert ledger.wrong == []
    give(rules, messages)
    assert any(words in said for said in ledger.wrong), ledger.wrong


def test_a_stamp_that_falls_is_noticed_unless_time_began_anew(rules, ledger):
    give(rules, frame(5))
    give(rules, frame(4))
    assert "comes after" in ledger.wrong[0]
    before = ledger.counts["wrong"]
    rules.end(killed=False)
    give(rules, frame(1))
    assert ledger.counts["wrong"] == before


def test_a_kill_does_not_excuse_a_stamp_that_falls(rules, ledger):
    give(rules, frame(5))
    rules.end(killed=True, stamps_fall=False)
    give(rules, frame(9))  # later by any time
    assert ledger.wrong == []
    rules.end(killed=True, stamps_fall=False)
    give(rules, frame(4))
    assert ledger.wrong


def test_a_path_with_stamps_of_its_own_keeps_them(rules, ledger):
    for index, k in enumerate((1, 3, 5)):
        give(rules, {**frame(k), "told": _slow(k, index)})
    assert ledger.wrong == []


def _slow(k, index):
    msg = frame(k)["told"]
    msg.clip_length, msg.clip_index = SLOW_LENGTH, index
    return msg


def test_a_message_that_never_comes_is_noticed(rules, ledger):
    give(rules, frame(1), leave_out=("depth",))
    assert not rules.settled
    for k in range(2, 2 + OVERTAKEN):
        give(rules, frame(k))
    assert "depth never came" in ledger.wrong[0]


def test_half_a_frame_is_excused_by_a_kill_alone(rules, ledger):
    give(rules, frame(1), leave_out=("depth",))
    rules.end(killed=True)
    assert ledger.wrong == []
    give(rules, frame(2), leave_out=("depth",))
    rules.end(killed=False)
    assert "depth never came" in ledger.wrong[0]


def update(sequence, points, removed=(), clear=False):
    voxels = np.array([v for v, _ in points], np.int32).reshape(-1, 3)
    rgb = np.array([c for _, c in points], np.uint8).reshape(-1, 3)
    xyz, header = (voxels * 0.1).astype(np.float32), convert.to_header(0, "map")
    cloud = convert_cloud.to_cloud(xyz, rgb, header) if points else PointCloud2()
    return MemoryUpdate(
        sequence=sequence, clear=clear, added_voxels=voxels.ravel().tolist(), added=cloud,
        removed_voxels=np.array(removed, np.int32).ravel().tolist(),
    )  # fmt: skip


def test_updates_make_the_map_and_a_gap_or_another_map_is_noticed(ledger):
    copy, red, blue = MapCopy(ledger), (255, 0, 0), (0, 0, 255)
    copy.apply(update(3, [((9, 9, 9), red)]))  # before the first whole map: says nothing
    copy.apply(update(4, [((0, 0, 0), red), ((1, 0, 0), red), ((2, 0, 0), red)], clear=True))
    copy.apply(update(5, [((1, 0, 0), blue)], removed=[(2, 0, 0)]))
    xyz, rgb = np.float32([[0.1, 0, 0], [0, 0, 0]]), np.uint8([blue, red])
    copy.compare(xyz, rgb)
    assert ledger.wrong == []
    copy.compare(xyz + np.float32(0.001), rgb)
    copy.compare(xyz, rgb[::-1])
    copy.compare(xyz[:1], rgb[:1])
    copy.apply(update(7, []))
    found = ("from its counterpart", "a colour differs by 255", "2 points and 1 ", "7 came after 5")
    assert len(ledger.wrong) == 4
    assert all(words in said for words, said in zip(found, ledger.wrong, strict=True))


def status(**values):
    msg = SimStatus(mode=SimStatus.GENERATING, **values)
    msg.header.frame_id = "map"
    return msg


def test_the_status_is_held_to_what_was_heard(ledger):
    rules = StatusRules(ledger)
    rules.take(status(frames=10))
    rules.settle(heard=4)  # from here on
    rules.take(status(frames=13))
    rules.settle(heard=7)
    assert ledger.wrong == []
    rules.take(status(frames=15))
    rules.settle(heard=8)
    rules.take(status(frames=14, frame_ms=float("nan")))
    found = ("counts 2 more, 1 were heard", "frame_ms", "frames fell from 15 to 14")
    assert all(words in said for words, said in zip(found, ledger.wrong, strict=True))

