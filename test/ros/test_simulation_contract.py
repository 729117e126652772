"""simulation_interfaces as a whole: every type is served, every advertised feature is proven, and a client's whole day."""

import ast
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")

import simulation_interfaces.action
import simulation_interfaces.srv
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Twist, Vector3
from harness import parameters, wait, wall_memory
from rclpy.action import get_action_names_and_types
from simulated import FAILED, SUCCEEDED, Simulated, name_of
from simulation_interfaces.msg import (
    EntityCategory,
    EntityFilters,
    EntityInfo,
    EntityState,
    Resource,
    SimulatorFeatures,
    TagsFilter,
)
from simulation_interfaces.msg import SpawnEntity as SpawnRequest
from simulation_interfaces.srv import (
    DeleteEntity,
    GetAvailableWorlds,
    GetCurrentWorld,
    GetEntities,
    GetEntitiesStates,
    GetEntityBounds,
    GetEntityInfo,
    GetEntityState,
    GetNamedPoses,
    GetSimulatorFeatures,
    GetSpawnables,
    LoadWorld,
    ResetSimulation,
    SetEntityInfo,
    SetEntityState,
    SpawnEntities,
    SpawnEntity,
    UnloadWorld,
)

from spatia_ros import geometry
from spatia_ros.nodes import convert
from spatia_ros.nodes.simulation import spawning
from spatia_ros.nodes.simulation.entities import Entities, state_fields
from spatia_ros.nodes.simulation.entity_filter import Refused
from spatia_ros.nodes.simulation.play import State
from spatia_ros.nodes.simulation.spawning import resource_fields
from spatia_ros.nodes.simulation.world_calls import world_resource_of
from spatia_ros.nodes.world_node import WorldNode

ENTITIES, STATE, WORLDS = "test_entities", "test_simulation_state", "test_simulation_worlds"
HERE = Path(__file__).stem
RIGS = Path(__file__).resolve().parents[2] / "config" / "rigs"
PROVEN = {
    "SPAWNING": (ENTITIES, "test_a_library_actor_is_spawned_where_it_is_asked_for"),
    "DELETING": (ENTITIES, "test_what_is_deleted_is_gone"),
    "NAMED_POSES": (WORLDS, "test_a_description_is_loaded_with_actors_start_and_named_poses"),
    "POSE_BOUNDS": (WORLDS, "test_named_poses_have_the_bounds_they_were_given"),
    "ENTITY_TAGS": (ENTITIES, "test_entities_are_found_by_what_they_are"),
    "ENTITY_BOUNDS": (ENTITIES, "test_bounds_are_along_the_entity_s_own_axes"),
    "ENTITY_BOUNDS_BOX": (ENTITIES, "test_entities_are_found_by_where_they_are"),
    "ENTITY_BOUNDS_CONVEX": (ENTITIES, "test_entities_are_found_in_a_hull"),
    "ENTITY_CATEGORIES": (ENTITIES, "test_entities_are_found_by_what_they_are"),
    "SPAWNING_RESOURCE_STRING": (ENTITIES, "test_an_entry_of_a_script_is_spawned_and_its_seconds_begin_then"),
    "ENTITY_STATE_GETTING": (ENTITIES, "test_states_are_those_of_the_newest_frame"),
    "ENTITY_STATE_SETTING": (ENTITIES, "test_an_actor_is_put_elsewhere_with_its_path"),
    "ENTITY_INFO_GETTING": (ENTITIES, "test_entities_are_found_by_what_they_are"),
    "ENTITY_INFO_SETTING": (HERE, "test_what_is_told_of_an_entity_is_told_on_and_found_by"),
    "SPAWNABLES": (ENTITIES, "test_everything_that_is_listed_can_be_spawned"),
    "SIMULATION_RESET": (STATE, "test_after_a_full_reset_the_same_commands_give_the_same_frames"),
    "SIMULATION_RESET_TIME": (STATE, "test_a_reset_takes_back_its_scope_and_nothing_else"),
    "SIMULATION_RESET_STATE": (STATE, "test_a_reset_takes_back_its_scope_and_nothing_else"),
    "SIMULATION_RESET_SPAWNED": (STATE, "test_a_reset_takes_back_its_scope_and_nothing_else"),
    "SIMULATION_STATE_GETTING": (STATE, "test_a_simulator_starts_in_the_state_it_was_told_and_says_so"),
    "SIMULATION_STATE_SETTING": (STATE, "test_states_are_asked_for_and_refused_as_the_standard_has_it"),
    "SIMULATION_STATE_PAUSE": (STATE, "test_paused_commands_are_taken_and_steps_make_exactly_their_frames"),
    "STEP_SIMULATION_SINGLE": (STATE, "test_paused_commands_are_taken_and_steps_make_exactly_their_frames"),
    "STEP_SIMULATION_MULTIPLE": (STATE, "test_paused_commands_are_taken_and_steps_make_exactly_their_frames"),
    "STEP_SIMULATION_ACTION": (STATE, "test_the_action_tells_every_step"),
    "WORLD_LOADING": (WORLDS, "test_a_loaded_world_is_stopped_as_it_began_and_everything_of_the_old_one_is_gone"),
    "WORLD_RESOURCE_STRING": (WORLDS, "test_a_description_is_loaded_with_actors_start_and_named_poses"),
    "WORLD_TAGS": (WORLDS, "test_worlds_are_found_by_their_tags"),
    "WORLD_UNLOADING": (WORLDS, "test_without_a_world_nothing_can_be_played"),
    "WORLD_INFO_GETTING": (WORLDS, "test_the_world_that_was_started_is_told"),
    "AVAILABLE_WORLDS": (WORLDS, "test_every_world_that_is_listed_can_be_planned_and_says_what_it_is"),
    "SPAWNING_ENTITIES": (HERE, "test_several_are_spawned_at_once_each_with_its_own_result"),
}
"""Every feature there is, and the test that proves it here."""
SERVICES = {k: v for k, v in vars(simulation_interfaces.srv).items() if k[0].isupper() and hasattr(v, "Request")}
ACTIONS = {k: v for k, v in vars(simulation_interfaces.action).items() if k[0].isupper() and hasattr(v, "Goal")}


@pytest.fixture(scope="module")
def sim(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    wall_memory().save(folder / "wall.spatia")
    values = parameters(
        generator__name="projection", camera__width_px=96, camera__height_px=64, motion__pace="fast", frame_rate_hz=10.0,
        source__memory="wall.spatia", data_dir=str(folder),
    )  # fmt: skip
    node = graph.add(WorldNode(context=graph.context, namespace="/sim", parameter_overrides=values))
    return Simulated(graph, node, "/sim")


def advertised(sim):
    return set(sim.graph.call(GetSimulatorFeatures, "/sim/get_simulator_features").features.features)


def test_only_what_a_test_proves_is_advertised(sim):
    assert advertised(sim) == {getattr(SimulatorFeatures, name) for name in PROVEN}
    for module, test in PROVEN.values():
        tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text())
        assert test in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}, f"{module}::{test}"


def test_nothing_of_the_standard_is_missing(sim):
    known = {getattr(SimulatorFeatures, name, None) for name in dir(type(SimulatorFeatures)) if name.isupper()}
    known = {value for value in known if isinstance(value, int)}
    assert len(known) >= len(PROVEN)
    assert advertised(sim) == known


def test_every_service_and_action_is_served_by_its_name_and_type(graph, sim):
    assert len(SERVICES) >= 22, "as many as 1.5 has"
    assert list(ACTIONS) == ["SimulateSteps"]
    wanted = {f"/sim/{name_of(kind)}": [f"simulation_interfaces/srv/{name}"] for name, kind in SERVICES.items()}
    wait(lambda: wanted.keys() <= dict(graph.client.get_service_names_and_types()).keys(), "all services")
    there = dict(graph.client.get_service_names_and_types())
    assert {name: there[name] for name in wanted} == wanted
    actions = dict(get_action_names_and_types(graph.client))
    assert actions["/sim/simulate_steps"] == ["simulation_interfaces/action/SimulateSteps"]


def spawn_request(name, **resource):
    return SpawnRequest(name=name, entity_resource=Resource(**resource))


def test_several_are_spawned_at_once_each_with_its_own_result(sim):
    wanted = [
        spawn_request("a", uri="library:ball"), spawn_request("a", uri="library:ball"), spawn_request("b", uri="library:dragon"),
        spawn_request("c", resource_string="{kind: box, pose: [1, 0, 0, 0]}"),
    ]  # fmt: skip
    answer = sim.ask(SpawnEntities, SpawnEntities.Response.ENTITIES_SPAWN_FAILED, spawn_requests=wanted)
    Code = SpawnEntity.Response
    assert [each.result.result for each in answer.results] == [1, Code.NAME_NOT_UNIQUE, Code.MISSING_ASSETS, 1]
    assert [each.entity_name for each in answer.results] == ["a", "", "", "c"]
    assert list(sim.ask(GetEntities, filters=EntityFilters()).entities) == ["ego", "camera", "a", "c"]
    more = sim.ask(SpawnEntities, spawn_requests=[spawn_request("d", uri="library:ball")])
    assert [each.entity_name for each in more.results] == ["d"]
    sim.ask(SpawnEntities, spawn_requests=[])
    sim.ask(SpawnEntities, FAILED, spawn_requests=[spawn_request("e", uri="library:ball")] * 257)
    sim.ask(ResetSimulation, scope=ResetSimulation.Request.SCOPE_SPAWNED)


def test_what_is_told_of_an_entity_is_told_on_and_found_by(sim):
    sim.ask(SpawnEntity, name="cone", **resource_fields(uri="library:ball"))
    before = sim.ask(GetEntityInfo, entity="cone").info
    static = EntityCategory(category=EntityCategory.CATEGORY_STATIC_OBJECT)
    for entity in ("cone", "ego"):
        told = EntityInfo(category=static, description="marks the way", tags=["cone", "orange"])
        sim.ask(SetEntityInfo, entity=entity, info=told)
        assert sim.ask(GetEntityInfo, entity=entity).info == told
    by_tag, by_category = EntityFilters(tags=TagsFilter(tags=["orange"])), EntityFilters(categories=[static])
    for filters in (by_tag, by_category):
        assert list(sim.ask(GetEntities, filters=filters).entities) == ["ego", "cone"]
    for info in (
        EntityInfo(category=EntityCategory(category=3)), EntityInfo(description="x" * 1001), EntityInfo(tags=["x"] * 65),
        EntityInfo(tags=["x" * 1001]),
    ):  # fmt: skip
        sim.ask(SetEntityInfo, FAILED, entity="cone", info=info)
    sim.ask(DeleteEntity, entity="cone")
    sim.ask(SpawnEntity, name="cone", **resource_fields(uri="library:ball"))
    assert sim.ask(GetEntityInfo, entity="cone").info.tags == before.tags, "another one of the same name"
    sim.ask(ResetSimulation)
    assert list(sim.ask(GetEntities, filters=by_tag).entities) == []


def world_fields(resource):
    """The fields of a request to load a world, in the shape this host has."""
    return {"uri": resource.uri} if hasattr(LoadWorld.Request, "uri") else {"world_resource": resource}


def test_a_client_s_whole_day(sim):
    """Look round, load, spawn, watch, step, put things back, leave: each call once, in the order a client makes them."""
    assert SimulatorFeatures.WORLD_LOADING in advertised(sim)
    listed = [world.world_resource for world in sim.ask(GetAvailableWorlds).worlds]
    chosen = next(resource for resource in listed if resource.uri == "wall.spatia")
    fields = world_fields(chosen)
    assert sim.ask(LoadWorld, **fields).world == sim.ask(GetCurrentWorld).world
    assert sim.state is State.STOPPED
    start = next(pose for pose in sim.ask(GetNamedPoses).poses if pose.name == "start")
    ball = next(each for each in sim.ask(GetSpawnables).spawnables if "ball" in each.description or "ball" in str(each))
    resource = getattr(ball, "entity_resource", ball)
    ahead = PoseStamped(pose=Pose(position=Point(x=1.0), orientation=start.pose.orientation))
    ahead.header.frame_id = "ego"
    spawned = sim.ask(SpawnEntity, name="ball", initial_pose=ahead, **resource_fields(uri=resource.uri)).entity_name
    sim.become(State.PAUSED)
    first = sim.step()
    sim.ask(SetEntityState, entity=spawned, **state_fields(EntityState(pose=Pose(position=Point(x=9.0)))))
    (second,) = sim.step()
    assert bytes(second.data) != bytes(first[0].data), "the ball is out of sight"
    assert sim.ask(GetEntityState, entity=spawned).state.pose.position.x == 9.0
    states = sim.ask(GetEntitiesStates, filters=EntityFilters(filter="ball"))
    assert (list(states.entities), states.states[0].pose.position.x) == (["ball"], 9.0)
    assert len(sim.ask(GetEntityBounds, entity=spawned).bounds.points) == 2
    status, result = sim.end(sim.steps(2))
    assert (status, result.result) == (SUCCEEDED, 1)
    sim.become(State.STOPPED)
    assert list(sim.ask(GetEntities, filters=EntityFilters()).entities) == ["ego", "camera"]
    sim.ask(UnloadWorld)
    assert sim.state is State.NO_WORLD
    sim.ask(LoadWorld, **fields)
    sim.become(State.PLAYING)


def test_every_camera_of_a_rig_is_an_entity_in_every_world(graph, sim, tmp_path):
    wall_memory().save(tmp_path / "wall.spatia")
    values = parameters(
        generator__name="projection", rig__file=str(RIGS / "mobile_base.yaml"), data_dir=str(tmp_path),
        simulation__start="paused",
    )  # fmt: skip
    node = graph.add(WorldNode(context=graph.context, namespace="/rigged", parameter_overrides=values))
    rigged = Simulated(graph, node, "/rigged", camera="front")
    for _ in range(2):
        assert list(rigged.ask(GetEntities, filters=EntityFilters()).entities) == ["ego", "front", "left", "rear"]
        ego, front = (convert.from_pose(rigged.ask(GetEntityState, entity=name).state.pose) for name in ("ego", "front"))
        np.testing.assert_allclose(geometry.inverse(ego) @ front, geometry.pose(np.eye(3), np.array([0.15, 0, 0.3])), atol=1e-9)
        (image,) = rigged.step()
        assert (image.width, image.height) == (320, 240)
        rigged.ask(LoadWorld, **world_fields(Resource(uri="wall.spatia")))
        rigged.become(State.PAUSED)
    graph.remove(node)


# The 2.x shapes. Where 1.x is installed there are no such types: stand-ins with the same fields are read by the same code.
# (All other tests here hold with either version installed.)


def test_requests_of_the_2_x_shape_name_their_resource_in_a_message_of_its_own(sim):
    ball = Resource(uri="library:ball")
    assert spawning.actor_of(SimpleNamespace(entity_resource=ball), sim.node.files).kind == "ball"
    wall = Resource(uri="wall.spatia")
    assert world_resource_of(SimpleNamespace(world_resource=wall)) == ("wall.spatia", "")


def test_requests_of_the_2_x_shape_say_which_parts_of_a_state_are_meant(sim):
    sim.ask(SpawnEntity, name="crate", **resource_fields(uri="library:box"))
    entities, node = Entities(sim.node.face), sim.node
    state = EntityState(pose=Pose(position=Point(x=3.0)), twist=Twist(linear=Vector3(x=1.0)))

    def asked(**flags):
        meant = {"set_pose": False, "set_twist": False, "set_acceleration": False} | flags
        request = SimpleNamespace(entity="crate", state=state, **meant)
        return node.worker.submit(lambda: entities.set_state(request)).result

    def x():
        return sim.ask(GetEntityState, entity="crate").state.pose.position.x

    asked()()
    assert x() == 0.0
    asked(set_pose=True)()
    assert x() == 3.0
    with pytest.raises(Refused, match="velocity"):
        asked(set_twist=True)()
    state.pose.orientation = Quaternion(w=0.0)
    asked()()  # what is not meant is not looked at
    assert np.isfinite(x())
