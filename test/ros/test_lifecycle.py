"""The managed lifecycle: every state and transition, what each of them frees, and that failures lead back to a start."""

import gc
import threading
import weakref

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from harness import parameters, wait, walled_world
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from spatia_ros.nodes import convert, heartbeat, qos, seeding, world_node
from spatia_ros.nodes.mapper_node import MapperNode
from spatia_ros.nodes.tools import cycle
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import SaveMemory
from spatia_ros.types import SpatiaError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def make(graph, folder):
    """Nodes that are not started, taken down after the test."""
    nodes = []

    def node(namespace, kind=WorldNode, **values):
        if kind is WorldNode:
            nodes.append(walled_world(graph, folder, namespace, start=False, **values))
        else:
            overrides = parameters(data_dir=str(folder), **values)
            nodes.append(graph.add(kind(context=graph.context, namespace=namespace, parameter_overrides=overrides), start=False))
        return nodes[-1]

    yield node
    for each in nodes:
        graph.remove(each)


def change(graph, name, transition):
    return graph.call(ChangeState, f"{name}/change_state", transition=Transition(id=transition)).success


def state(graph, name):
    return graph.call(GetState, f"{name}/get_state").current_state.id


def endpoints(node):
    """What a node has open on the graph."""
    kinds = (node.publishers, node.subscriptions, node.services, node.clients)
    names = [getattr(e, "topic_name", None) or e.srv_name for kind in kinds for e in kind]
    return sorted(names), len(list(node.timers)), len(list(node.waitables))


def threads():
    """All but those of the executor, which come as they are needed."""
    return sorted(thread.name for thread in threading.enumerate() if not thread.name.startswith("ThreadPoolExecutor"))


@pytest.mark.parametrize("kind", [WorldNode, MapperNode])
def test_every_state_is_walked_through_and_cleanup_leaves_nothing(graph, make, kind):
    node = make("/walk", kind)
    name, bare, before = f"/walk/{node.get_name()}", endpoints(node), threads()
    assert state(graph, name) == State.PRIMARY_STATE_UNCONFIGURED
    for _ in range(2):
        assert change(graph, name, Transition.TRANSITION_CONFIGURE)
        assert state(graph, name) == State.PRIMARY_STATE_INACTIVE
        memory, opened = weakref.ref(node.memory), endpoints(node)
        assert len(opened[0]) > len(bare[0])
        assert change(graph, name, Transition.TRANSITION_ACTIVATE)
        assert state(graph, name) == State.PRIMARY_STATE_ACTIVE
        assert change(graph, name, Transition.TRANSITION_DEACTIVATE)
        assert (state(graph, name), endpoints(node)) == (State.PRIMARY_STATE_INACTIVE, opened)
        assert change(graph, name, Transition.TRANSITION_CLEANUP)
        assert (state(graph, name), endpoints(node)) == (State.PRIMARY_STATE_UNCONFIGURED, bare)
        assert threads() == before
        gc.collect()
        assert memory() is None, "the memory is still held by something"
    assert change(graph, name, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert state(graph, name) == State.PRIMARY_STATE_FINALIZED


def test_an_inactive_node_refuses_commands_and_goes_on_afterwards(graph, make, folder):
    node = make("/rest")
    node.start()
    images, go = graph.collect(Image, "/rest/camera/color/image_raw"), graph.publisher(PoseStamped, "/rest/cmd_pose")
    command = PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(np.eye(4)))
    go.publish(command)
    wait(lambda: len(images) == 1, "a frame")
    assert change(graph, "/rest/world", Transition.TRANSITION_DEACTIVATE)
    go.publish(command)
    wait(lambda: node.health.refused["cmd_pose: inactive"] == 1, "the refusal")
    answer = graph.call(SaveMemory, "/rest/memory/save", path="rest.spatia")
    assert not answer.success
    assert "expected an active node, it is inactive" in answer.message
    assert not (folder / "rest.spatia").exists()
    points = len(node.memory)
    assert change(graph, "/rest/world", Transition.TRANSITION_ACTIVATE)
    assert (len(node.memory), len(images)) == (points, 1), "nothing is lost, nothing was made"
    go.publish(command)
    wait(lambda: len(images) == 2, "a frame after the rest")
    assert convert.time_ns(images[1].header.stamp) > convert.time_ns(images[0].header.stamp)


def test_the_heartbeat_tells_the_state_and_stops_while_the_work_hangs(graph, make):
    node = make("/beat", heartbeat__period_s=0.05, heartbeat__hang_s=0.2)
    lost = []
    events = SubscriptionEventCallbacks(liveliness=lambda event: lost.append(event.not_alive_count))
    beats, profile = [], heartbeat.profile(0.05)
    graph.client.create_subscription(State, "/beat/world/heartbeat", beats.append, profile, event_callbacks=events)
    wait(lambda: beats and beats[-1].id == State.PRIMARY_STATE_UNCONFIGURED, "a beat of the bare node")
    node.start()
    wait(lambda: beats[-1].label == "active", "a beat of the active node")
    release = threading.Event()
    node.worker.submit(release.wait)
    wait(lambda: lost and lost[-1] == 1, "DDS to tell that nobody says to be alive")
    count = len(beats)
    assert node.worker.at_it_s >= 0.2
    release.set()
    wait(lambda: len(beats) > count, "beats again")
    node.trigger_deactivate()
    wait(lambda: beats[-1].label == "inactive", "a beat of the inactive node")


def test_diagnostics_tell_what_there_is_to_know(graph, make):
    node = make("/told")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics", qos.SENSOR_OUT)
    node.start()
    node.health.fail("trial", RuntimeError("made up"))
    wanted = {
        "state", "rate_hz", "frame_ms", "frame_ms_p99", "commands_dropped", "memory_points", "resident_mb", "threads",
        "open_files", "last_error", "checkpoint",
    }  # fmt: skip

    def told():
        statuses = [s for m in diagnostics for s in m.status if s.name == "told/world"]
        values = {v.key: v.value for s in statuses[-1:] for v in s.values}
        return values if values.get("state") == "active" and values["last_error"] != "none" else None

    wait(told, "a report of the active node")
    assert wanted <= told().keys()
    assert told()["last_error"] == "trial: RuntimeError: made up"
    assert float(told()["resident_mb"]) > 10


def test_parameters_are_read_again_at_configure(graph, make):
    node = make("/again")
    assert node.set_parameters([Parameter("camera.width_px", value=128)])[0].successful
    node.start()
    assert node.world.camera.width == 128
    refused = node.set_parameters([Parameter("camera.width_px", value=64)])[0]
    assert not refused.successful
    assert "camera.width_px: may be set while unconfigured only" in refused.reason
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.set_parameters([Parameter("camera.width_px", value=64)])[0].successful
    node.start()
    assert node.world.camera.width == 64


def test_an_illegal_transition_is_answered_and_survived(graph, make):
    """In rclpy it raises out of spin()."""
    node = make("/illegal")
    for wrong in (Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CLEANUP, 99, 255):
        assert not change(graph, "/illegal/world", wrong)
    request = {"transition": Transition(label="no such transition")}
    assert not graph.call(ChangeState, "/illegal/world/change_state", **request).success
    assert node.health.refused["change_state: invalid"] == 4
    assert state(graph, "/illegal/world") == State.PRIMARY_STATE_UNCONFIGURED
    offered = graph.call(GetAvailableTransitions, "/illegal/world/get_available_transitions").available_transitions
    assert "configure" in {t.transition.label for t in offered}
    assert change(graph, "/illegal/world", Transition.TRANSITION_CONFIGURE)


def test_settings_that_cannot_be_met_fail_configure_and_can_be_mended(graph, make):
    node = make("/mend", source__memory="missing.spatia")
    bare = endpoints(node)
    assert not change(graph, "/mend/world", Transition.TRANSITION_CONFIGURE)
    assert (node.state, endpoints(node), node.face) == ("unconfigured", bare, None)
    assert "missing.spatia is not one" in node.health.message
    with pytest.raises(SpatiaError, match=r"missing\.spatia is not one"):
        node.start()
    assert node.set_parameters([Parameter("source.memory", value="wall.spatia")])[0].successful
    assert change(graph, "/mend/world", Transition.TRANSITION_CONFIGURE)


@pytest.mark.parametrize("module", [seeding, world_node], ids=["configure", "activate"])
def test_an_engine_that_fails_leaves_an_unconfigured_node_that_can_be_started(graph, make, monkeypatch, module):
    """Out of memory while the weights are loaded, or at the first frame of the warm-up."""
    node = make("/engine")
    bare = endpoints(node)

    def fail(*arguments, **keywords):
        raise MemoryError("no room for the weights")

    with monkeypatch.context() as patch:
        patch.setattr(module, "open_generator" if module is seeding else "warm_up", fail)
        with pytest.raises(MemoryError):
            node.start()
    assert (node.state, endpoints(node), node.face) == ("unconfigured", bare, None)
    assert "MemoryError: no room for the weights" in node.health.message
    node.start()
    assert node.state == "active"


def test_a_run_of_failing_frames_frees_everything_and_the_node_can_be_started_again(graph, make, monkeypatch):
    node = make("/run", motion__stream=True)
    node.start()
    failed = []

    def fail(condition, stream, rng):
        failed.append(1)
        raise RuntimeError("the engine is gone")

    with monkeypatch.context() as patch:
        patch.setattr(node.world.generator, "sample", fail)
        wait(lambda: node.state == "unconfigured", "the end of the work")
    assert len(failed) >= 5
    assert "the engine is gone" in str(node.failure)
    assert node.face is None
    node.start()
    wait(lambda: node.status().frames > 0, "a frame")


def test_what_an_executor_still_held_at_cleanup_is_freed_soon_after(make):
    node = make("/held")
    node.start()
    held, gone = [node.face], weakref.ref(node.face)
    gc.disable()  # what is freed, the node frees
    try:
        node.trigger_deactivate()
        node.trigger_cleanup()
        assert gone() is held[0]
        held.clear()
        assert gone() is not None, "the parts of a face know each other"
        wait(lambda: gone() is None, "the face to be freed")
    finally:
        gc.enable()


def test_cycles_hold_nothing(make):
    """Ten times around; a memory, a thread or a file that one of them left would be seen."""
    node = make("/around")
    holds = cycle.cycle(node, 10, cycle.frames(2), lambda k, held: None)
    assert holds[-1].files == holds[0].files == min(held.files for held in holds), [held.files for held in holds]
    assert holds[-1].threads <= holds[1].threads + 4, "the executor's own come as they are needed, up to four"
    assert cycle.growth_per_cycle(holds) < 1_500_000, "the smallest memory is 4 MB"
