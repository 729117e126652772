"""Two robots in one place: two worlds from one memory, on one /tf."""

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import wait, walled_world
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import Image
from standard_client import Transforms, stamp_ns

ROBOTS = ("robot1", "robot2")


@pytest.fixture(scope="module")
def robots(graph, tmp_path_factory):
    """By robot, its images and odometry after it was told to go somewhere; and what was said on /tf."""
    folder = tmp_path_factory.mktemp("robots")
    viewer = graph.add(Node("viewer", context=graph.context))
    viewer.tf, out = Transforms(viewer), {}
    for robot in ROBOTS:
        walled_world(graph, folder, robot, frame_rate_hz=50.0, frames__prefix=f"{robot}/")
        out[robot] = (graph.collect(Image, f"/{robot}/camera/color/image_raw"), graph.collect(Odometry, f"/{robot}/odom"))
    return viewer, out


def go(graph, robot, frame, x=0.0, y=0.0, z=0.0):
    message = PoseStamped()
    message.header.frame_id, message.pose.orientation.w = frame, 1.0
    message.pose.position.x, message.pose.position.y, message.pose.position.z = x, y, z
    graph.publisher(PoseStamped, f"/{robot}/cmd_pose").publish(message)


def test_they_share_the_map_and_nothing_else(graph, robots):
    viewer, out = robots
    for robot in ROBOTS:
        go(graph, robot, "map", z=1.0)
        wait(lambda robot=robot: all(out[robot]), f"a frame of {robot}")
    first, second = (np.frombuffer(out[robot][0][-1].data, np.uint8) for robot in ROBOTS)
    np.testing.assert_array_equal(first, second, err_msg="the same place from the same pose")
    before = len(out["robot2"][0])
    go(graph, "robot1", "robot1/base_link", x=0.1)
    wait(lambda: len(out["robot1"][0]) > 1, "robot1 to move")
    assert len(out["robot2"][0]) == before, "the other stays"
    assert out["robot1"][0][-1].header.frame_id == "robot1/camera_color_optical_frame"
    at = out["robot1"][1][-1]
    assert (at.header.frame_id, at.child_frame_id) == ("robot1/odom", "robot1/base_link")
    stamp = stamp_ns(at.header.stamp)
    wait(lambda: viewer.tf.chain("map", "robot1/base_link", stamp) is not None, "robot1 on /tf")
    np.testing.assert_allclose(viewer.tf.chain("map", "robot1/base_link", stamp)[:3, 3], (0.1, 0.0, 1.0), atol=1e-6)
    assert viewer.tf.parents["robot1/odom"] == viewer.tf.parents["robot2/odom"] == {"map"}
    assert all(len(parents) == 1 for parents in viewer.tf.parents.values()), "one tree"


def test_a_command_in_the_other_robots_frame_is_refused(graph, robots):
    _, out = robots
    frames = len(out["robot2"][0])
    go(graph, "robot2", "robot1/base_link", x=0.1)
    world = next(n for n in graph._nodes if n.get_namespace() == "/robot2")
    wait(lambda: world.health.refusals, "a refusal")
    assert len(out["robot2"][0]) == frames
