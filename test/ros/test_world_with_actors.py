"""A world that begins with actors: snapshots, other memories, sensors and other axes leave them where they belong."""

import numpy as np
import pytest

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")

from geometry_msgs.msg import Point, Pose, PoseStamped
from harness import START, parameters, wait, wall_frame, wall_memory
from simulation_interfaces.srv import DeleteEntity, GetEntityState, SpawnEntity
from std_msgs.msg import Header

from spatia_ros.msg import ActorStates, SimStatus
from spatia_ros.nodes import convert
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import LoadMemory, Restore, SetAnimationTime, SetMode, Snapshot
from spatia_ros.types import SpatiaError

SCRIPT = """
clock: {pattern: freeze, start_s: 1.0, length_s: 60.0, at_s: 0.0}
actors:
  - {name: crate, kind: box, scale: 0.5, colour: red, path: [[0, 1.2, 0, 0.8, 0], [10, 1.2, 10, 0.8, 0]]}
"""


@pytest.fixture(scope="module")
def make(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    wall_memory().save(folder / "wall.spatia")
    (folder / "cast.yaml").write_text(SCRIPT)
    (folder / "bad.yaml").write_text("actors:\n  - {kind: dragon, pose: [0, 0, 0, 0]}\n")

    def node(namespace, **changes):
        values = parameters(
            generator__name="projection", camera__width_px=96, camera__height_px=64, motion__pace="fast",
            source__memory="wall.spatia", data_dir=str(folder), **changes,
        )  # fmt: skip
        return graph.add(WorldNode(context=graph.context, namespace=namespace, parameter_overrides=values))

    return node


class Watched:
    """A node, and what it says of its actors, a frame at a time."""

    def __init__(self, graph, node, namespace):
        self.graph, self.node, self.namespace = graph, node, namespace
        self._go = graph.publisher(PoseStamped, f"{namespace}/cmd_pose")
        self._states = graph.collect(ActorStates, f"{namespace}/actors/states")

    def frame(self):
        before = len(self._states)
        self._go.publish(PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(self.node.rig.base_of(START))))
        wait(lambda: len(self._states) > before, "a frame")
        return self._states[-1]

    def call(self, kind, service, **request):
        return self.graph.call(kind, f"{self.namespace}/{service}", **request)


@pytest.fixture(scope="module")
def world(graph, make):
    return Watched(graph, make("/cast", source__actors="cast.yaml"), "/cast")


def test_a_script_is_there_from_the_first_frame(world, make):
    (seen,) = world.frame().actors
    assert (seen.name, seen.kind, seen.animation_s) == ("crate", "box", 1.0)
    np.testing.assert_allclose((seen.pose.position.x, seen.pose.position.y, seen.pose.position.z), (1.2, 1.0, 0.8), atol=1e-9)
    with pytest.raises(SpatiaError, match=r"bad.yaml:2: .*expected one of"):
        make("/cast_bad", source__actors="bad.yaml")


def test_a_snapshot_brings_back_who_was_there_and_when(world):
    before = world.frame()
    assert world.call(Snapshot, "snapshot", name="then").success
    assert world.call(SetAnimationTime, "set_animation_time", mode=SetAnimationTime.Request.RATE, rate=-3.0).success
    world.frame()
    assert world.call(DeleteEntity, "delete_entity", entity="crate").result.result == 1
    assert list(world.frame().actors) == []
    assert world.call(Restore, "restore", name="then").success
    again = world.frame()
    assert [a.pose for a in again.actors] == [a.pose for a in before.actors]
    assert again.animation_s == before.animation_s


def test_another_memory_or_a_sensor_takes_no_time_from_the_actors(world):
    told = world.call(SetAnimationTime, "set_animation_time", mode=SetAnimationTime.Request.REAL)
    world_s = told.time_s
    assert world.call(LoadMemory, "memory/load", path="wall.spatia").success
    assert world.call(SetMode, "memory/set_mode", mode=SimStatus.MAPPING).success
    sensed = wall_frame(stamp_ns=1_700_000_000_000_000_000)
    world.node.worker.submit(lambda: world.node.observe(sensed, "map")).result()
    assert world.call(SetMode, "memory/set_mode", mode=SimStatus.GENERATING).success
    asked = world.call(SetAnimationTime, "set_animation_time", mode=SetAnimationTime.Request.GET)
    assert asked.time_s == pytest.approx(world_s, abs=1e-6)
    assert world.frame().animation_s == pytest.approx(world_s + 0.1, abs=1e-6)


def test_in_a_world_with_other_axes_everything_is_told_in_the_map(graph, make):
    node = make("/cast_axes", frames__map_up="-y")
    turned = Watched(graph, node, "/cast_axes")
    base = node.rig.pose.T_map_base
    at = PoseStamped(header=Header(frame_id="base_link"), pose=Pose(position=Point(x=1.2)))
    answer = turned.call(SpawnEntity, "spawn_entity", name="ball", uri="library:ball", initial_pose=at)
    assert answer.result.result == 1, answer.result.error_message
    (seen,) = turned.frame().actors
    T = convert.from_pose(seen.pose)
    np.testing.assert_allclose(T, base @ [[1, 0, 0, 1.2], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], atol=1e-6)
    state = turned.call(GetEntityState, "get_entity_state", entity="ball").state
    assert state.pose == seen.pose
    assert seen.pixels > 50
    low, high = ([getattr(p, axis) for axis in "xyz"] for p in (seen.low, seen.high))
    middle = (T @ [0, 0, 0.2, 1])[:3]  # a ball of 20 cm stands on its origin
    np.testing.assert_allclose((np.array(low) + high) / 2, middle, atol=0.02)
    graph.remove(node)
