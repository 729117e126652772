"""The world as the robot of a navigation stack: a controller that knows cmd_vel, initialpose, odom, tf and clock alone."""

import threading

import numpy as np
import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped
from harness import wait, walled_world
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from standard_client import Transforms, matrix, now_ns, stamp_ns

RATE_HZ, SPEED, TURN = 40.0, 0.8, 1.6
SETTINGS = {"frame_rate_hz": RATE_HZ, "motion__pace": "real_time", "motion__twist_model": "unicycle", "publish_clock": True}
START, GOAL = (-0.4, -0.2, 0.5), (0.5, 0.4)


class Controller(Node):
    """Turns to the goal and drives there; all it knows it was told by messages. Time is the simulation's."""

    def __init__(self, context):
        clock = Parameter("use_sim_time", value=True)
        super().__init__("controller", context=context, parameter_overrides=[clock])
        self.tf, self.odometry, self.ticks, self.goal, self.arrived = Transforms(self), [], [], None, threading.Event()
        self.velocity = self.create_publisher(TwistStamped, "cmd_vel", 1)
        self.initial = self.create_publisher(PoseWithCovarianceStamped, "initialpose", 1)
        self.create_subscription(Odometry, "odom", self.on_odometry, 50)
        self.create_subscription(Clock, "/clock", lambda m: self.ticks.append(stamp_ns(m.clock)), 50)

    def place(self, x, y, yaw):
        """What rviz's button sends."""
        message = PoseWithCovarianceStamped()
        message.header.frame_id = "map"
        message.pose.pose.position.x, message.pose.pose.position.y = x, y
        message.pose.pose.orientation.z, message.pose.pose.orientation.w = np.sin(yaw / 2), np.cos(yaw / 2)
        self.initial.publish(message)

    def drive(self, forward, turn):
        message = TwistStamped()
        message.header.stamp, message.header.frame_id = self.get_clock().now().to_msg(), "base_link"
        message.twist.linear.x, message.twist.angular.z = float(forward), float(turn)
        self.velocity.publish(message)

    def where(self):
        """The base in the map at the newest odometry: x, y, yaw; None before anything is known."""
        T = self.tf.chain("map", "base_link", stamp_ns(self.odometry[-1].header.stamp)) if self.odometry else None
        return None if T is None else (T[0, 3], T[1, 3], np.arctan2(T[1, 0], T[0, 0]))

    def on_odometry(self, message):
        self.odometry.append(message)
        if self.goal is not None and (at := self.where()) is not None:
            self.steer(*at)

    def steer(self, x, y, yaw):
        way = np.array(self.goal) - (x, y)
        if np.hypot(*way) < 0.05:
            self.goal = None
            self.arrived.set()
            return self.drive(0, 0)
        off = (np.arctan2(way[1], way[0]) - yaw + np.pi) % (2 * np.pi) - np.pi
        return self.drive(min(SPEED, 2 * np.hypot(*way)) if abs(off) < 0.3 else 0.0, np.clip(3 * off, -TURN, TURN))


@pytest.fixture(scope="module")
def driven(graph, tmp_path_factory):
    """A controller that was put somewhere and has driven to its goal."""
    folder = tmp_path_factory.mktemp("navigation")
    walled_world(graph, folder, **SETTINGS)
    robot = graph.add(Controller(graph.context))
    wait(lambda: robot.velocity.get_subscription_count() and robot.initial.get_subscription_count(), "the robot")
    wait(
        lambda: robot.count_publishers("/odom") and robot.count_publishers("/tf") and robot.count_publishers("/clock"), "odometry"
    )
    wait(lambda: robot.tf.poses["odom"], "map -> odom")
    before = robot.tf.at("odom", 2**62).copy()
    robot.place(*START)
    wait(lambda: robot.where() is not None and np.allclose(robot.where(), START, atol=1e-6), "the robot where it was put")
    placed = len(robot.odometry)
    robot.goal = GOAL
    robot.drive(0, 0.01)  # odometry comes with frames: the first push makes one
    wait(robot.arrived.is_set, "the goal")
    count = len(robot.odometry)
    robot.drive(0, 0)
    return robot, before, placed, count


def test_it_gets_there(driven):
    robot, _, placed, count = driven
    assert np.hypot(*np.subtract(robot.where()[:2], GOAL)) < 0.1
    assert count - placed > 20, "many small steps, no leap"


def test_the_tree_is_rep_105s_and_every_frame_has_one_parent(driven):
    robot, *_ = driven
    assert robot.tf.parents["odom"] == {"map"}
    assert robot.tf.parents["base_link"] == {"odom"}
    assert all(len(parents) == 1 for parents in robot.tf.parents.values())
    assert {m.header.frame_id for m in robot.odometry} == {"odom"}
    assert {m.child_frame_id for m in robot.odometry} == {"base_link"}


def test_a_new_place_moves_odom_in_the_map_and_driving_does_not(driven):
    robot, before, placed, count = driven
    stamps = [stamp_ns(m.header.stamp) for m in robot.odometry]
    there = robot.tf.at("odom", stamps[placed - 1])
    assert np.linalg.norm(there[:3, 3] - before[:3, 3]) > 0.1
    for stamp in stamps[placed:count]:
        np.testing.assert_allclose(robot.tf.at("odom", stamp), there, atol=1e-9)


def test_the_base_never_jumps_in_odom(driven):
    robot, *_ = driven
    T = [matrix(m.pose.pose.position, m.pose.pose.orientation) for m in robot.odometry]
    times = [stamp_ns(m.header.stamp) * 1e-9 for m in robot.odometry]
    for a, b, t, u in zip(T, T[1:], times, times[1:], strict=False):
        assert u > t
        assert np.linalg.norm(b[:3, 3] - a[:3, 3]) <= SPEED * (u - t) + 1e-6
        assert np.arccos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1)) <= TURN * (u - t) + 1e-6


def test_odometry_is_what_tf_says(driven):
    robot, _, placed, count = driven
    for message in robot.odometry[placed:count]:
        at = robot.tf.at("base_link", stamp_ns(message.header.stamp))
        np.testing.assert_allclose(matrix(message.pose.pose.position, message.pose.pose.orientation), at, atol=1e-9)


def test_its_twist_is_the_motion_that_was_made(driven):
    robot, _, placed, count = driven
    checked = 0
    for a, b in zip(robot.odometry[placed:count], robot.odometry[placed + 1 : count], strict=False):
        period_s = (stamp_ns(b.header.stamp) - stamp_ns(a.header.stamp)) * 1e-9
        moved = np.linalg.norm(np.subtract(*[(m.pose.pose.position.x, m.pose.pose.position.y) for m in (b, a)]))
        assert abs(b.twist.twist.linear.y) < 1e-9, "wheels"
        assert abs(b.twist.twist.linear.x) == pytest.approx(moved / period_s, abs=0.001)
        checked += moved > 0.001
    assert checked > 5


def test_there_is_one_clock_and_everything_is_on_it(driven):
    robot, *_ = driven
    assert robot.count_publishers("/clock") == 1
    assert robot.ticks == sorted(set(robot.ticks))
    assert {stamp_ns(m.header.stamp) for m in robot.odometry} <= set(robot.ticks)
    wait(lambda: now_ns(robot) == robot.ticks[-1], "the client's own clock at the last tick")
    steps = np.diff(robot.ticks)
    np.testing.assert_allclose(steps / (1e9 / RATE_HZ), np.round(steps / (1e9 / RATE_HZ)), atol=1e-6, err_msg="a uniform grid")
