"""What every ROS test gets: a domain of its own, the environment images need, and a graph to talk in."""

import contextlib
import importlib.util
import os

import pytest

from spatia_ros.nodes.environment import ros_environment

HAS_ROS = all(importlib.util.find_spec(name) for name in ("rclpy", "tf2_msgs"))
if not HAS_ROS:
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header():
    return [] if HAS_ROS else "test/ros is skipped: ROS 2 (rclpy, tf2_msgs) is not importable here; make test sets it up"


@contextlib.contextmanager
def own_domain():
    """A ROS_DOMAIN_ID that no other test on this machine has."""
    if importlib.util.find_spec("domain_coordinator") is None:
        yield os.getpid() % 100 + 1
        return
    from domain_coordinator import domain_id

    with domain_id() as number:
        yield number


@pytest.fixture(scope="session", autouse=True)
def domain():
    """This process and its children talk among themselves only."""
    before = dict(os.environ)
    with own_domain() as number:
        # LD_LIBRARY_PATH and malloc's settings would need a new process; the rest is read when ROS starts.
        wanted = {k: v for k, v in ros_environment(os.environ).items() if k.startswith(("FAST", "ROS_", "RMW_", "AMENT_"))}
        os.environ.update(wanted, ROS_DOMAIN_ID=str(number))
        yield number
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def graph():
    """A ROS context with a client in it; nodes are added by the tests."""
    from harness import Graph

    with Graph() as it:
        yield it


@pytest.fixture
def publisher(graph):
    """Makes publishers of the graph's client that are gone after the test."""
    from spatia_ros.nodes import qos

    made = []

    def make(kind, topic, profile=qos.SENSOR_OUT):
        made.append(graph.client.create_publisher(kind, topic, profile))
        return made[-1]

    yield make
    for each in made:
        graph.client.destroy_publisher(each)
