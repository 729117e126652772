"""The action navigate_to_object: a phrase becomes a flight to a view of the thing; cancelling; refusals in words."""

import numpy as np
import pytest
from action_client import Client
from geometry_msgs.msg import PoseStamped
from harness import START, parameters, wait, wall_frame
from nav_msgs.msg import Odometry

from spatia_ros import geometry
from spatia_ros.action import NavigateToObject
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory, Points
from spatia_ros.memory.edit import Editor
from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import SetMode

Answer, Feedback = NavigateToObject.Result, NavigateToObject.Feedback
CRATE = np.array([1.7, 0.3, 1.1])


def standing(x):
    """Looking along x from (x, 0, 1): T_world_cam [4, 4]."""
    T = START.copy()
    T[0, 3] = x
    return T


def command(T_map_base):
    return PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(T_map_base))


@pytest.fixture(scope="module")
def node(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    memory = Memory(MemoryConfig(voxel_m=0.02))
    for k, back_m in enumerate((0.0, -0.8, -1.5)):  # seen from behind, too: the camera has room to move
        memory.integrate(wall_frame(standing(back_m), k))
    line = np.arange(0, 0.2, 0.02) - 0.1
    xyz = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3).astype(np.float32)
    Editor(memory).add(Points.measured(xyz, np.full(xyz.shape, (250, 0, 0), np.uint8)), geometry.pose(np.eye(3), CRATE), "crate")
    memory.save(folder / "crate.spatia")
    values = parameters(
        generator__name="projection", camera__width_px=96, camera__height_px=64, motion__pace="fast",
        source__memory="crate.spatia", data_dir=str(folder),
    )  # fmt: skip
    made = graph.add(WorldNode(context=graph.context, namespace="/goto", parameter_overrides=values))
    yield made
    graph.remove(made)


@pytest.fixture(scope="module")
def client(graph, node):
    out = Client(graph.client, NavigateToObject, "/goto/navigate_to_object")
    wait(out.server_is_ready, "the action")
    yield out
    out.destroy()


@pytest.fixture
def send(client):
    """Sends a goal; gives back its handle and the feedback as it comes."""

    def go(phrase, **goal):
        heard = []
        sent = client.send_goal_async(NavigateToObject.Goal(phrase=phrase, **goal), lambda m: heard.append(m.feedback))
        wait(sent.done, "the goal to be taken")
        assert sent.result().accepted
        return sent.result(), heard

    return go


def outcome(handle):
    future = handle.get_result_async()
    wait(future.done, "a result")
    return future.result().result


def test_a_phrase_becomes_a_flight_to_a_view_of_the_thing(graph, node, send):
    told = graph.collect(GeneratedFrame, "/goto/camera/color/metadata")
    odom = graph.collect(Odometry, "/goto/odom")
    looked = outcome(send("the red crate", look_only=True)[0])
    assert looked.success, looked.message
    assert (looked.code, looked.object, looked.frames) == (Answer.REACHED, "crate", 0)
    assert told == []
    handle, heard = send("the red crate")
    found = outcome(handle)
    assert found.success, found.message
    np.testing.assert_allclose((found.position.x, found.position.y, found.position.z), CRATE, atol=0.05)
    assert (found.low.x, found.high.x) == pytest.approx((1.6, 1.8), abs=0.04)
    assert found.frames == len(found.path.poses) > 1
    wait(lambda: len(told) == found.frames and len(odom) == found.frames, "every frame of the way")
    end = convert.from_pose(found.path.poses[-1].pose)
    np.testing.assert_allclose(node.rig.pose.T_map_base, end, atol=1e-9)
    assert found.distance == pytest.approx(np.linalg.norm(end[:3, 3] - CRATE), abs=0.05)
    left, top, right, bottom = found.box
    assert 0 <= left < right <= 96
    assert 0 <= top < bottom <= 64
    wait(lambda: heard[-1].frames_done == found.frames, "the last feedback")
    assert heard[0].stage == Feedback.SEARCHING
    assert {f.frames_total for f in heard[1:]} == {found.frames}


def test_what_is_not_there_is_not_found_and_the_nearest_are_named(node, send):
    lost = outcome(send("the blue piano")[0])
    assert (lost.code, lost.success, lost.frames, list(lost.path.poses)) == (Answer.NOT_FOUND, False, 0, [])
    assert lost.message
    assert "crate" in " ".join(lost.candidates)


@pytest.mark.parametrize("phrase", ["", "?!", "x" * 5000, "the\0crate"])
def test_a_phrase_that_is_none_is_answered(node, send, phrase):
    answer = outcome(send(phrase)[0])
    assert answer.code in (Answer.FAILED, Answer.NOT_FOUND)
    assert answer.message


def test_cancelled_the_flight_ends_within_a_frame(graph, node, send):
    """Slowly, in real time: cancelled after the first frames, no more than the one in progress still comes."""
    from rclpy.parameter import Parameter

    go = graph.publisher(PoseStamped, "/goto/cmd_pose")
    told = graph.collect(GeneratedFrame, "/goto/camera/color/metadata")
    go.publish(command(node.rig.base_of(START)))
    wait(lambda: told, "the way back")
    assert node.set_parameters([Parameter("motion.pace", value="real_time")])[0].successful
    handle, heard = send("the crate")
    wait(lambda: any(f.frames_done >= 2 for f in heard), "the flight's beginning")
    cancelled = handle.cancel_goal_async()
    wait(cancelled.done, "the cancelling")
    answer = outcome(handle)
    assert (answer.code, answer.success) == (Answer.CANCELED, False)
    assert 2 <= answer.frames < len(answer.path.poses)
    go.publish(command(node.rig.base_of(START)))
    wait(lambda: told[-1].clip_length == 1 and len(told) > answer.frames, "the frame of the next command")
    assert len(told) - 2 == answer.frames  # one before the flight, one after it


def test_a_newer_goal_or_command_takes_the_place_of_the_flight(graph, node, send):
    go = graph.publisher(PoseStamped, "/goto/cmd_pose")
    go.publish(command(node.rig.base_of(START)))
    wait(lambda: np.allclose(node.rig.pose.T_map_base, node.rig.base_of(START)) and not node.worker.busy, "the way back")
    first, heard = send("the crate")
    wait(lambda: any(f.frames_done for f in heard), "a frame")
    second, later = send("the crate")
    assert outcome(first).code == Answer.REPLACED
    wait(lambda: any(f.frames_done for f in later), "a frame")
    go.publish(command(node.rig.base_of(standing(-0.2))))
    assert outcome(second).code == Answer.REPLACED
    assert graph.call(SetMode, "/goto/memory/set_mode", mode=SimStatus.MAPPING).success
    refused = outcome(send("the crate")[0])
    assert refused.code == Answer.FAILED
    assert "mapping a sensor" in refused.message
