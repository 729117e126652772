"""The action generate_trajectory: every frame of a path, recorded; cancelled, replaced, refused in words."""

import numpy as np
import pytest
from action_client import Goals, cancel, outcome
from geometry_msgs.msg import Pose, PoseStamped, Quaternion
from harness import START, wait, walled_world
from nav_msgs.msg import Path
from rclpy.action import ActionServer
from rclpy.exceptions import InvalidHandle
from rclpy.parameter import Parameter

from spatia_ros.action import GenerateTrajectory
from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.record import files
from spatia_ros.record.run_folder import RunFolder
from spatia_ros.sequence import open_sequence
from spatia_ros.srv import SetMode

BENT = Pose(orientation=Quaternion(x=1.0, w=1.0))


def path_of(poses, frame="map", stamps_ns=None):
    stamps_ns = stamps_ns or [0] * len(poses)
    headers = [convert.to_header(t, frame) for t in stamps_ns]
    each = [PoseStamped(header=header, pose=convert.to_pose(T)) for header, T in zip(headers, poses, strict=True)]
    return Path(header=convert.to_header(0, frame), poses=each)


def way(node, count, step_m=0.01):
    poses = np.tile(node.rig.base_of(START), (count, 1, 1))
    poses[:, 1, 3] += step_m * np.arange(count)
    return poses


@pytest.fixture(scope="module")
def node(graph, tmp_path_factory):
    made = walled_world(graph, tmp_path_factory.mktemp("data"), "/fly")
    yield made
    graph.remove(made)


@pytest.fixture(scope="module")
def goals(graph, node):
    out = Goals(graph, GenerateTrajectory, "/fly/generate_trajectory")
    yield out
    out.close()


def test_every_frame_of_the_path_is_made_published_and_recorded(graph, node, goals):
    told = graph.collect(GeneratedFrame, "/fly/camera/color/metadata")
    poses, stamps_ns = way(node, 5), [0, 10**8, 3 * 10**8, 4 * 10**8, 5 * 10**8]
    handle, heard = goals.send(path=path_of(poses, stamps_ns=stamps_ns), record="runs/first", seed=-1)
    answer = outcome(handle)
    assert (answer.success, answer.message, answer.frames) == (True, "", 5)
    wait(lambda: len(told) == 5 and heard and heard[-1].frames_done == 5, "every frame, and the last feedback")
    assert all(f.frames_total == 5 for f in heard)
    assert heard[-1].eta.sec == heard[-1].eta.nanosec == 0
    got = [convert.from_pose(p.pose) for p in answer.path.poses]
    np.testing.assert_allclose(got, poses, atol=1e-12)
    published_ns = [convert.time_ns(m.header.stamp, "stamp") for m in told]
    assert [convert.time_ns(p.header.stamp, "stamp") for p in answer.path.poses] == published_ns
    assert np.diff(published_ns).tolist() == np.diff(stamps_ns).tolist()
    measures = dict(zip(answer.figure_names, answer.figure_values, strict=True))
    assert measures["frame_ms_p50"] > 0
    assert measures["remembered_ratio"] > 0.9

    folder = node.files.root / "runs" / "first"
    assert answer.folder == str(folder)
    recorded = open_sequence(folder)
    assert recorded.stamps_ns.tolist() == published_ns
    for i, T in enumerate(poses):
        frame = recorded.frame(i)
        np.testing.assert_allclose(frame.T_world_cam, node.rig.camera_of(T), atol=1e-8)
        seen = frame.depth[frame.depth > 0]
        np.testing.assert_allclose(seen, (2.0 - frame.T_world_cam[0, 3]), atol=0.02)
    run = RunFolder(folder, {"action": "generate_trajectory", "camera": "camera"}, recorded.frame(0).camera)
    assert run.reopen()["complete"]
    assert len(run) == 5
    assert run[4].provenance.shape == (64, 96)
    assert (folder / "memory.spatia").is_file()
    assert (folder / "figures.json").is_file()


def test_an_existing_folder_is_not_written_into(node, goals):
    (node.files.root / "kept").mkdir()
    answer = goals.result(path=path_of(way(node, 2)), record="kept", seed=-1)
    assert (answer.success, answer.frames) == (False, 0)
    assert "'kept' exists" in answer.message
    assert list((node.files.root / "kept").iterdir()) == []


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        ({"cameras": ["nose"]}, "cameras: expected some of ['camera'], each once, got ['nose']"),
        ({"cameras": ["camera", "camera"]}, "each once"),
        ({"prompt": "a red room"}, "generator 'projection' reads no text"),
        ({"record": "../elsewhere"}, "inside the data folder"),
        ({"path": Path(header=convert.to_header(0, "map"))}, "expected 1.."),
        ({"path": path_of([np.eye(4)], "moon")}, "got frame 'moon'"),
        ({"path": Path(header=convert.to_header(0, "map"), poses=[PoseStamped(pose=BENT)])}, "path.poses[0]"),
    ],
)
def test_what_cannot_be_flown_is_refused_in_words(node, goals, goal, says):
    answer = goals.result(**{"path": path_of(way(node, 2)), "seed": -1, **goal})
    assert (answer.success, answer.frames, list(answer.path.poses)) == (False, 0, [])
    assert says in answer.message
    assert not (node.files.root.parent / "elsewhere").exists()


def test_cancelled_it_keeps_what_was_made(graph, node, goals):
    assert node.set_parameters([Parameter("motion.pace", value="real_time")])[0].successful
    handle, heard = goals.send(path=path_of(way(node, 50)), record="cut", seed=-1)
    wait(lambda: any(f.frames_done >= 2 for f in heard), "the flight's beginning")
    cancel(handle)
    answer = outcome(handle)
    assert not answer.success
    assert 2 <= answer.frames < 50
    assert answer.message == "cancelled"
    assert len(open_sequence(node.files.root / "cut")) == answer.frames == len(answer.path.poses)
    assert list((node.files.root / "cut").glob("memory-*.spatia"))


def test_a_newer_goal_or_command_takes_over(graph, node, goals):
    go = graph.publisher(PoseStamped, "/fly/cmd_pose")
    first, heard = goals.send(path=path_of(way(node, 50)), seed=-1)
    wait(lambda: heard, "a frame")
    second, later = goals.send(path=path_of(way(node, 50)), seed=-1)
    assert "newer goal or command" in outcome(first).message
    wait(lambda: later, "a frame of the second")
    go.publish(path_of(way(node, 1)).poses[0])
    answer = outcome(second)
    assert "newer goal or command" in answer.message
    assert 0 < answer.frames < 50


def test_a_full_disk_aborts_the_goal_and_not_the_node(node, goals, monkeypatch):
    """Refused by the disk from the third frame on."""
    assert node.set_parameters([Parameter("motion.pace", value="fast")])[0].successful
    real, wrote = files.os.replace, []

    def full(source, target):
        wrote.append(target)
        if sum("rgb/" in str(each) for each in wrote) > 2:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    answer = goals.result(path=path_of(way(node, 6)), record="full", seed=-1)
    monkeypatch.undo()
    assert not answer.success
    assert "No space left on device" in answer.message
    assert len(open_sequence(node.files.root / "full")) == 2
    assert goals.result(path=path_of(way(node, 2)), seed=-1).success


def test_a_node_that_is_deactivated_ends_its_flight(node, goals):
    assert node.set_parameters([Parameter("motion.pace", value="real_time")])[0].successful
    handle, heard = goals.send(path=path_of(way(node, 50)), record="stopped", seed=-1)
    wait(lambda: heard, "the flight's beginning")
    node.trigger_deactivate()
    answer = outcome(handle)
    assert (answer.success, answer.message) == (False, "the node stopped working")
    assert len(open_sequence(node.files.root / "stopped").stamps_ns) == answer.frames > 0
    assert "expected an active node" in goals.result(path=path_of(way(node, 2)), seed=-1).message
    node.trigger_activate()
    assert node.set_parameters([Parameter("motion.pace", value="fast")])[0].successful
    assert goals.result(path=path_of(way(node, 2)), seed=-1).success


def test_while_a_sensor_is_mapped_nothing_is_flown(graph, node, goals):
    assert graph.call(SetMode, "/fly/memory/set_mode", mode=SimStatus.MAPPING).success
    assert "mapping a sensor" in goals.result(path=path_of(way(node, 2)), seed=-1).message
    assert graph.call(SetMode, "/fly/memory/set_mode", mode=SimStatus.GENERATING).success


def test_a_goal_for_a_node_that_is_starting_waits_until_it_has(graph, node, goals, monkeypatch):
    states = iter(["configuring", "activating", "activating"])
    monkeypatch.setattr(type(node), "state", property(lambda self: next(states, "active")))
    assert goals.result(path=path_of(way(node, 2)), seed=-1).success
    assert next(states, None) is None


def test_an_action_that_is_gone_is_not_waited_for(graph):
    """What an executor does with one that goes between its two looks; rclpy's own ends the executor's spin here."""
    endpoints = Endpoints(graph.client)
    server = endpoints.action(GenerateTrajectory, "/gone/soon", lambda _: None)
    endpoints.destroy(server)
    with pytest.raises(InvalidHandle):
        server.__enter__()
    nothing = object()
    server.add_to_wait_set(nothing)
    assert not server.is_ready(nothing)
    with pytest.raises(TypeError):
        ActionServer.add_to_wait_set(server, nothing)
