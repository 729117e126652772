"""Pace and deadline in a running node: when frames are made, what gives way, and that it is said."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from harness import Graph, wait, walled_world
from nav_msgs.msg import Path
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from test_world_node import nudge, path_command

from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert, qos

PERIOD_NS = 1_000_000
SETTINGS = {"frame_rate_hz": 1000.0, "motion__pace": "real_time"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def graph():
    with Graph() as it:
        yield it


@pytest.fixture
def make(graph, folder):
    nodes = []

    def node(namespace, **changes):
        nodes.append(walled_world(graph, folder, namespace, **{**SETTINGS, **changes}))
        return nodes[-1]

    yield node
    for each in nodes:
        graph.remove(each)


def stamps(messages):
    return [convert.time_ns(m.header.stamp) for m in messages]


def test_a_rate_that_no_machine_keeps_gives_way_visibly_and_comes_back(graph, make):
    """A frame a millisecond is asked for: memory alone is drawn already, so the rate gives way; the grid of stamps stays."""
    node = make("/late", deadline__policy="degrade", deadline__late_frames=2, deadline__slowest=3, motion__stream=True)
    frames = graph.collect(GeneratedFrame, "/late/camera/color/metadata")
    status = graph.collect(SimStatus, "/late/world/status", qos.LATCHED)
    reports = graph.collect(DiagnosticArray, "/diagnostics")
    wait(lambda: any(f.quality == SimStatus.LOWER_RATE for f in frames), "a frame at a lower rate")
    wait(lambda: any(s.quality == SimStatus.LOWER_RATE for s in status), "the status of it")
    said = "deadline: memory alone is drawn, and frames come more rarely"
    wait(lambda: any(s.message == said for m in reports for s in m.status if s.name == "late/world"), "the diagnostics of it")
    wait(lambda: status[-1].frames_late > 0 and status[-1].rate_hz > 0, "frames that are late, and their rate")
    every = node.frames.relief.rung.every
    assert every in (2, 3)
    times = np.array(stamps(frames))
    steps = np.diff(times) // PERIOD_NS
    assert (np.diff(times) % PERIOD_NS == 0).all()
    assert {2, 3} & set(steps.tolist())
    for frame, step in zip(frames[1:], steps, strict=True):
        assert (step > 1) == (frame.quality == SimStatus.LOWER_RATE)
    node.set_parameters([Parameter("deadline.policy", value="keep")])
    wait(lambda: frames[-1].quality == SimStatus.FULL, "a frame as configured")
    wait(lambda: status[-1].quality == SimStatus.FULL, "the status of it")


def test_kept_frames_are_late_and_counted_and_none_is_left_out(graph, make):
    node = make("/kept")
    frames = graph.collect(GeneratedFrame, "/kept/camera/color/metadata")
    start = node.rig.pose.T_map_base
    graph.publisher(Path, "/kept/cmd_trajectory").publish(path_command([start @ nudge(0.01 * i) for i in range(6)]))
    wait(lambda: len(frames) == 6, "every frame of the path")
    assert [f.clip_index for f in frames] == list(range(6))
    assert {(f.quality, f.sampling_steps) for f in frames} == {(SimStatus.FULL, 0)}
    assert set(np.diff(stamps(frames)).tolist()) == {PERIOD_NS}
    status = SimStatus()
    node.frames.fill(status)
    assert status.frames == 6
    assert status.frames_late > 0
    assert status.frame_ms_p99 >= status.frame_ms > 0
    assert status.jitter_ms > 0


def test_as_fast_as_possible_a_velocity_lasts_by_the_time_of_its_frames(graph, make):
    """0.1 s of driving at 1 m/s in frames of 10 ms of simulated time: ten of them, one after the other, 10 cm in all."""
    node = make("/fast", motion__pace="fast", frame_rate_hz=100.0, motion__twist_timeout_s=0.1)
    images = graph.collect(Image, "/fast/camera/color/image_raw")
    start = node.rig.pose.T_map_base
    go = TwistStamped()
    go.twist.linear.x = 1.0
    graph.publisher(TwistStamped, "/fast/cmd_vel").publish(go)
    wait(lambda: len(images) == 10 and not node.worker.busy, "ten frames")
    assert set(np.diff(stamps(images)).tolist()) == {10_000_000}
    np.testing.assert_allclose(node.rig.pose.T_map_base, start @ nudge(0.1), atol=1e-9)
    status = SimStatus()
    node.frames.fill(status)
    assert (status.frames_late, status.jitter_ms) == (0, 0.0), "nothing is due, so nothing is late"


def test_stepped_frames_come_when_they_are_asked_for(graph, make):
    node = make("/steps", motion__pace="stepped", frame_rate_hz=10.0)
    images = graph.collect(Image, "/steps/camera/color/image_raw")
    start = node.rig.pose.T_map_base
    graph.publisher(Path, "/steps/cmd_trajectory").publish(path_command([start @ nudge(0.1 * i) for i in range(3)]))
    wait(lambda: node.worker._newest is not None, "the path")
    assert node.worker.submit(lambda: node.frames.made).result(30.0) == 0
    with node.play.steps(2) as steps:
        assert list(steps) == [1, 2]
    np.testing.assert_allclose(node.rig.pose.T_map_base, start @ nudge(0.1), atol=1e-9)
    with node.play.steps(3) as steps:
        assert list(steps) == [1, 2, 3]
    np.testing.assert_allclose(node.rig.pose.T_map_base, start @ nudge(0.2), atol=1e-9)
    wait(lambda: len(images) == 5, "five images")
    assert set(np.diff(stamps(images)).tolist()) == {100_000_000}
