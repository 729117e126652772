"""A bag of a flown world in other people's programs: rosbags, mcap and its ROS 2 support, evo."""

import dataclasses
import threading
import time
from array import array
from collections import Counter

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import wait, walled_world
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import Image

from spatia_ros.nodes import convert
from spatia_ros.nodes.tools.recorder import record

POSES = 4
WAIT_FOR = ["camera/color/image_raw", "camera/depth/image_rect", "camera/color/metadata", "odom", "/tf", "world/status", "pose"]


@pytest.fixture(scope="module")
def bag(graph, tmp_path_factory):
    """What our recorder made of a world that was commanded to four places."""
    folder = tmp_path_factory.mktemp("bag")
    walled_world(graph, folder, frame_rate_hz=50.0)
    seen = graph.collect(Image, "/camera/color/image_raw")
    command = graph.publisher(PoseStamped, "/cmd_pose")
    stop, ready = threading.Event(), threading.Event()
    recorder = threading.Thread(target=lambda: record(folder / "run.mcap", WAIT_FOR, stop, ready.set))
    recorder.start()
    wait(ready.is_set, "the recorder")
    for k in range(POSES):
        pose = np.eye(4)
        pose[:3, 3] = (0.05 * k, 0.02 * k**2, 1.0)
        command.publish(PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(pose)))
        wait(lambda k=k: len(seen) > k, "a frame")
    time.sleep(1.0)  # the rest of the last frame is on its way: nothing tells when the recorder has it all
    stop.set()
    recorder.join(30)
    assert not recorder.is_alive()
    return folder / "run.mcap"


def by_rosbags(bag):
    """(topic, log time, message) of every message, in the order of the bag."""
    with AnyReader([bag]) as reader:
        return [(c.topic, t, reader.deserialize(data, c.msgtype)) for c, t, data in reader.messages()]


def by_mcap(bag):
    """The same by the reference reader of MCAP, which checks every checksum, and its decoder of ROS 2 messages."""
    with bag.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        return [(channel.topic, message.log_time, decoded) for _, channel, message, decoded in reader.iter_decoded_messages()]


def plain(value):
    """A message of either program as plain values."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return np.frombuffer(value, np.uint8)
    if isinstance(value, (list, tuple, array, np.ndarray)):
        numbers = np.asarray(value) if len(value) and isinstance(value[0], (int, float, np.generic)) else None
        return [plain(each) for each in value] if numbers is None else numbers
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.name[0].islower()}
    if isinstance(value, (str, int, float)):
        return value
    return {name: plain(getattr(value, name)) for name in value.__slots__}


def test_both_readers_find_every_message_and_the_same_in_it(bag):
    one, other = by_rosbags(bag), by_mcap(bag)
    counts = Counter(topic for topic, _, _ in one)
    assert counts == Counter(topic for topic, _, _ in other)
    assert counts["/camera/color/image_raw"] == counts["/camera/color/camera_info"] == counts["/camera/color/metadata"] == POSES
    assert counts["/cmd_pose"] == POSES
    one, other = (sorted(entries, key=lambda entry: (entry[1], entry[0])) for entries in (one, other))
    for (topic, _, a), (_, _, b) in zip(one, other, strict=True):
        np.testing.assert_equal(plain(a), plain(b), err_msg=topic)


def test_the_pixels_are_those_that_were_published(bag):
    images = [m for topic, _, m in by_mcap(bag) if topic == "/camera/color/image_raw"]
    ours = [m for topic, _, m in by_rosbags(bag) if topic == "/camera/color/image_raw"]
    for a, b in zip(images, ours, strict=True):
        pixels = np.frombuffer(bytes(a.data), np.uint8).reshape(a.height, a.width, 3)
        np.testing.assert_array_equal(pixels.ravel(), b.data)
        assert pixels.std() > 5, "a painted wall"


def test_every_topic_brings_its_definition_and_its_quality_of_service(bag):
    with bag.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary.statistics.message_count == len(by_mcap(bag))
    for channel in summary.channels.values():
        schema = summary.schemas[channel.schema_id]
        assert (schema.encoding, channel.message_encoding) == ("ros2msg", "cdr")
        assert schema.data, channel.topic
        assert "reliability" in channel.metadata["offered_qos_profiles"]
    kinds = {c.topic: summary.schemas[c.schema_id].name for c in summary.channels.values()}
    assert kinds["/camera/color/metadata"] == "spatia_ros/msg/GeneratedFrame"
    assert kinds["/tf"] == "tf2_msgs/msg/TFMessage"


@pytest.mark.parametrize(("topic", "height_m"), [("/odom", 0.0), ("/pose", 1.0)])
def test_evo_reads_the_path_out_of_the_bag(bag, topic, height_m):
    """The first command lies a metre up: too far for odom, which moves in the map instead."""
    from evo.tools.file_interface import read_bag_trajectory

    with Reader(bag) as reader:
        path = read_bag_trajectory(reader, topic)
    moved = path.positions_xyz[-1] - path.positions_xyz[0]
    assert path.num_poses >= POSES
    np.testing.assert_allclose(path.positions_xyz[-1], (0.15, 0.18, height_m), atol=1e-6)
    assert np.linalg.norm(moved) > 0.2
