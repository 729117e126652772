"""Bags and ROS itself: rclpy reads what we write, and we read what rclpy makes."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from spatia_ros.geometry import look_at
from spatia_ros.sequence import open_sequence, write_bag
from spatia_ros.types import Camera, Frame

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs")

from builtin_interfaces.msg import Time  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

TYPES = {
    "sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CameraInfo": CameraInfo,
    "nav_msgs/msg/Odometry": Odometry, "tf2_msgs/msg/TFMessage": tf2_msgs.TFMessage,
}


def frame() -> Frame:
    rng = np.random.default_rng(0)
    T = look_at(np.array((1.0, 2.0, 3.0)), np.array((4.0, 4.0, 2.0)), np.array((0.0, 0.0, 1.0)))
    depth = rng.uniform(0.5, 3, (6, 8)).astype(np.float32)
    return Frame(rng.integers(0, 255, (6, 8, 3), np.uint8), depth, Camera(8, 6, 9.0, 9.0, 4.0, 3.0), T, 1_234_567_890)


def test_rclpy_reads_every_message_of_a_written_bag(tmp_path: Path) -> None:
    read = {}
    with Reader(write_bag([frame()], tmp_path / "one.mcap")) as reader:
        for connection, _, data in reader.messages():
            read[connection.topic] = deserialize_message(bytes(data), TYPES[connection.msgtype])
    image = read["/camera/color/image_raw"]
    assert image.header.stamp == Time(sec=1, nanosec=234_567_890)
    np.testing.assert_array_equal(np.frombuffer(image.data, np.uint8).reshape(6, 8, 3), frame().rgb)
    depth = np.frombuffer(read["/camera/depth/image_rect"].data, np.float32)
    np.testing.assert_array_equal(depth.reshape(6, 8), frame().depth)
    chain = {t.child_frame_id: t.header.frame_id for t in read["/tf_static"].transforms + read["/tf"].transforms}
    assert chain == {
        "odom": "map", "base_link": "odom", "camera_link": "base_link", "camera_color_optical_frame": "camera_link",
    }
    assert read["/odom"].child_frame_id == "base_link"


def test_messages_serialized_by_rclpy_are_read(tmp_path: Path) -> None:
    """The same bag, every message taken apart and put together again by ROS."""
    store = get_typestore(Stores.ROS2_JAZZY)
    with (
        Reader(write_bag([frame()], tmp_path / "ours.mcap")) as reader,
        Writer(tmp_path / "ros", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer,
    ):
        topics = {c.topic: writer.add_connection(c.topic, c.msgtype, typestore=store) for c in reader.connections}
        for connection, time, data in reader.messages():
            message = deserialize_message(bytes(data), TYPES[connection.msgtype])
            writer.write(topics[connection.topic], time, serialize_message(message))
    read = open_sequence(tmp_path / "ros").frame(0)
    np.testing.assert_array_equal(read.rgb, frame().rgb)
    np.testing.assert_array_equal(read.depth, frame().depth)
    np.testing.assert_allclose(read.T_world_cam, frame().T_world_cam, atol=1e-9)
