"""Worlds of simulation_interfaces over real calls: loaded, unloaded, listed, described; and every code a request can get."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")

import trimesh
from geometry_msgs.msg import Point, Pose, PoseStamped
from harness import START, parameters, wait, wall_frame, wall_memory
from simulated import FAILED, INCORRECT_STATE, NOT_FOUND, Simulated
from simulation_interfaces.msg import Bounds, EntityFilters, Resource, TagsFilter
from simulation_interfaces.srv import (
    GetAvailableWorlds,
    GetCurrentWorld,
    GetEntities,
    GetEntityState,
    GetNamedPoseBounds,
    GetNamedPoses,
    LoadWorld,
    SetSimulationState,
    SpawnEntity,
    StepSimulation,
    UnloadWorld,
)

from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.nodes import convert
from spatia_ros.nodes.files import DataFolder
from spatia_ros.nodes.memory_mirror import MemoryMirror
from spatia_ros.nodes.settings import WorldSettings
from spatia_ros.nodes.simulation import worlds
from spatia_ros.nodes.simulation.entity_filter import Refused
from spatia_ros.nodes.simulation.play import State
from spatia_ros.nodes.simulation.spawning import resource_fields
from spatia_ros.nodes.simulation.world_calls import world_resource_of
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.sequence import write_tum
from spatia_ros.srv import EditMemory, Restore, SaveMemory, Snapshot

Code = LoadWorld.Response
LAB = """
name: lab
description: a wall with a cart before it
tags: [indoor, small]
place: wall.spatia
start: [0.2, 0.1, 1.0, 10]
actors:
  - {name: cart, kind: box, scale: 0.3, path: [[0, 1.5, 0, 0.8, 0], [10, 1.5, 5, 0.8, 0]]}
poses:
  dock: {pose: [1, 2, 0, 90], description: by the wall, tags: [parking], size: [1, 0.5, 2]}
  gate: {pose: [0, 0, 0, 0, 0, 0, 1]}
"""


def text(**changes):
    """The description above with other values of some keys, as YAML on one line each."""
    lines = {"place": "wall.spatia", **changes}
    return "\n".join(f"{key}: {value}" for key, value in lines.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    wall_memory().save(path / "wall.spatia")
    far = Memory(MemoryConfig(voxel_m=0.05))
    far.integrate(wall_frame(wall_x_m=3.0))
    far.save(path / "far.spatia")
    write_tum([wall_frame(START, (i + 1) * 100_000_000) for i in range(3)], path / "recorded")
    (path / "lab.yaml").write_text(LAB)
    (path / "walker.yaml").write_text("{kind: pedestrian, pose: [0, 0, 0, 0]}")
    (path / "script.yaml").write_text("actors: [{name: cart, kind: box, pose: [1, 0, 0, 0]}]")
    (path / "broken.spatia").write_bytes(b"not a memory")
    (path / "photo.jpg").write_bytes(b"nor a picture")
    (path / "more").mkdir()
    (path / "more" / "off.pcd").write_text("# .PCD v0.7")
    trimesh.creation.box((0.2, 0.4, 0.6)).export(path / "crate.ply")
    (path / "away.spatia").symlink_to("/etc/hostname")
    return path


@pytest.fixture(scope="module")
def sim(graph, folder):
    values = parameters(
        generator__name="projection", camera__width_px=96, camera__height_px=64, motion__pace="fast", frame_rate_hz=10.0,
        source__memory="wall.spatia", data_dir=str(folder),
    )  # fmt: skip
    node = graph.add(WorldNode(context=graph.context, namespace="/sim", parameter_overrides=values))
    return Simulated(graph, node, "/sim")


@pytest.fixture(scope="module")
def at(folder):
    """Worlds without a node."""
    return worlds.Worlds(DataFolder(str(folder)), WorldSettings(), np.eye(4))


def world_fields(uri="", resource_string=""):
    """The fields of a request to load, in the shape this host has."""
    if hasattr(LoadWorld.Request, "uri"):
        return {"uri": uri, "resource_string": resource_string}
    return {"world_resource": Resource(uri=uri, resource_string=resource_string)}


def names(sim):
    return list(sim.ask(GetEntities, filters=EntityFilters()).entities)


def position(sim, name):
    return convert.from_pose(sim.ask(GetEntityState, entity=name).state.pose)[:3, 3]


def depth_m(sim):
    """How far away the middle of the memory's picture is."""
    node = sim.node
    return float(node.memory.render_depth(node.world.camera, node.rig.camera_of(node.rig.pose.T_map_base))[32, 48])


def test_the_world_that_was_started_is_told(sim):
    world = sim.ask(GetCurrentWorld).world
    assert (world.name, world.world_resource.uri, list(world.tags)) == ("wall", "wall.spatia", ["memory"])


def test_a_loaded_world_is_stopped_as_it_began_and_everything_of_the_old_one_is_gone(graph, sim):
    start = sim.ask(GetEntityState, entity="ego").state.header.stamp
    sim.ask(SpawnEntity, name="ball", **resource_fields(uri="library:ball"))
    assert graph.call(Snapshot, "/sim/snapshot", name="here").success
    loaded = sim.ask(LoadWorld, **world_fields("far.spatia"))
    assert (loaded.world.name, loaded.world.world_resource.uri) == ("far", "far.spatia")
    assert sim.ask(GetCurrentWorld).world == loaded.world
    assert sim.state is State.STOPPED
    assert names(sim) == ["ego", "camera"]
    assert depth_m(sim) == pytest.approx(3.0, abs=0.05)
    assert not graph.call(Restore, "/sim/restore", name="here").success
    assert sim.ask(GetEntityState, entity="ego").state.header.stamp == start
    sim.become(State.PAUSED)
    assert len(sim.step(2)) == 2
    sim.become(State.STOPPED)  # resets to this world's start, not to the first's
    assert depth_m(sim) == pytest.approx(3.0, abs=0.05)
    assert sim.node.memory.config.voxel_m == 0.05


def test_a_copy_of_the_memory_follows_from_world_to_world(graph, sim):
    """By the updates alone, voxels of 2 and of 5 cm."""
    mirror = MemoryMirror(graph.client, "/sim/world/memory/update")
    for uri in ("wall.spatia", "far.spatia", "builtin:empty", "wall.spatia"):
        sim.ask(LoadWorld, **world_fields(uri))
        wait(lambda: mirror.started and len(mirror) == len(sim.node.memory), f"the points of {uri}")
    sim.become(State.PAUSED)
    assert graph.call(EditMemory, "/sim/memory/edit", operation=EditMemory.Request.REMOVE, sphere=[2.0, 0.0, 1.0, 0.3]).success
    edited = len(sim.node.memory)
    wait(lambda: len(mirror) == edited, "the edit")
    sim.become(State.STOPPED)
    assert len(sim.node.memory) > edited
    wait(lambda: len(mirror) == len(sim.node.memory), "the points of the start")
    mirror.close()


def test_a_description_is_loaded_with_actors_start_and_named_poses(sim):
    loaded = sim.ask(LoadWorld, **world_fields(resource_string=LAB)).world
    assert (loaded.name, loaded.description, list(loaded.tags)) == ("lab", "a wall with a cart before it", ["indoor", "small"])
    assert (loaded.world_resource.uri, loaded.world_resource.resource_string) == ("", LAB)
    assert names(sim) == ["ego", "camera", "cart"]
    np.testing.assert_allclose(position(sim, "ego"), (0.2, 0.1, 1.0), atol=1e-9)
    np.testing.assert_allclose(position(sim, "cart"), (1.5, 0, 0.8), atol=1e-6)
    assert depth_m(sim) == pytest.approx(1.8 / np.cos(np.radians(10)), abs=0.05)
    poses = {each.name: each for each in sim.ask(GetNamedPoses).poses}
    assert list(poses) == ["start", "dock", "gate"]
    np.testing.assert_allclose(convert.from_pose(poses["dock"].pose)[:3, 3], (1, 2, 0), atol=1e-9)
    np.testing.assert_allclose(convert.from_pose(poses["start"].pose)[:3, 3], (0.2, 0.1, 1.0), atol=1e-9)
    assert [each.name for each in sim.ask(GetNamedPoses, tags=TagsFilter(tags=["parking", "ego"])).poses] == ["start", "dock"]
    both = TagsFilter(tags=["parking", "ego"], filter_mode=TagsFilter.FILTER_MODE_ALL)
    assert list(sim.ask(GetNamedPoses, tags=both).poses) == []
    at_dock = PoseStamped(pose=poses["dock"].pose)
    sim.ask(SpawnEntity, name="ball", initial_pose=at_dock, **resource_fields(uri="library:ball"))
    np.testing.assert_allclose(position(sim, "ball"), (1, 2, 0), atol=1e-6)


def test_named_poses_have_the_bounds_they_were_given(sim):
    sim.ask(LoadWorld, **world_fields("lab.yaml"))
    bounds = sim.ask(GetNamedPoseBounds, name="dock").bounds
    upper, lower = bounds.points
    assert bounds.type == Bounds.TYPE_BOX
    assert (upper.x, upper.y, upper.z, lower.x, lower.y, lower.z) == (0.5, 0.25, 1.0, -0.5, -0.25, -1.0)
    assert sim.ask(GetNamedPoseBounds, name="gate").bounds.type == Bounds.TYPE_EMPTY
    sim.ask(GetNamedPoseBounds, NOT_FOUND, name="nowhere")


def test_a_recording_and_the_room_that_comes_with_the_program_are_loaded(sim):
    sim.ask(LoadWorld, **world_fields("file:recorded"))
    assert depth_m(sim) == pytest.approx(2.0, abs=0.05)
    sim.ask(LoadWorld, **world_fields(resource_string="{place: 'builtin:room', frames: 1}"))
    assert len(sim.node.memory) > 1000
    loaded = sim.ask(LoadWorld, **world_fields("builtin:empty")).world
    assert (loaded.name, list(loaded.tags)) == ("builtin:empty", ["builtin"])
    assert len(sim.node.memory) == 0


def test_without_a_world_nothing_can_be_played(graph, sim):
    sim.ask(LoadWorld, **world_fields("lab.yaml"))
    assert sim.ask(UnloadWorld).result.result == 1
    assert sim.state is State.NO_WORLD
    assert len(sim.node.memory) == 0
    sim.ask(UnloadWorld, UnloadWorld.Response.NO_WORLD_LOADED)
    sim.ask(GetCurrentWorld, GetCurrentWorld.Response.NO_WORLD_LOADED)
    for target in (State.PLAYING, State.PAUSED, State.STOPPED):
        sim.become(target, SetSimulationState.Response.INCORRECT_TRANSITION)
    sim.ask(GetEntities, INCORRECT_STATE, filters=EntityFilters())
    sim.ask(SpawnEntity, INCORRECT_STATE, name="ball", **resource_fields(uri="library:ball"))
    sim.ask(StepSimulation, FAILED, steps=1)
    refused = sim.node.health.refusals
    go = graph.publisher(PoseStamped, "/sim/cmd_pose")
    go.publish(PoseStamped(header=convert.to_header(0, "map"), pose=Pose(position=Point(z=1.0))))
    wait(lambda: sim.node.health.refusals > refused, "the command to be refused")
    assert "no world" in sim.node.health.message
    assert not graph.call(SaveMemory, "/sim/memory/save", path="now.spatia").success
    sim.ask(LoadWorld, **world_fields("lab.yaml"))
    assert sim.state is State.STOPPED


def test_what_cannot_be_loaded_leaves_everything_as_it_was(sim):
    sim.ask(LoadWorld, **world_fields("lab.yaml"))
    sim.become(State.PAUSED)
    sim.step()
    before = sim.ask(GetEntityState, entity="ego").state
    for request, code in (
        (world_fields("broken.spatia"), Code.RESOURCE_PARSE_ERROR),
        (world_fields("nothing.spatia"), Code.MISSING_ASSETS),
        (world_fields(), Code.NO_RESOURCE),
        (world_fields("", text(actors="[{name: ego, kind: box, pose: [0, 0, 0, 0]}]")), Code.RESOURCE_PARSE_ERROR),
    ):
        sim.ask(LoadWorld, code, **request)
        assert sim.state is State.PAUSED
        assert sim.ask(GetCurrentWorld).world.name == "lab"
        assert sim.ask(GetEntityState, entity="ego").state == before


def test_while_a_world_is_loading_the_simulation_rests(graph, sim, monkeypatch):
    sim.ask(LoadWorld, **world_fields("lab.yaml"))
    opening, open_now, real = threading.Event(), threading.Event(), worlds.open_seed

    def slowly(*arguments):
        opening.set()
        assert open_now.wait(60.0)
        return real(*arguments)

    monkeypatch.setattr(worlds, "open_seed", slowly)
    asked = threading.Thread(target=lambda: sim.ask(LoadWorld, **world_fields("far.spatia")))
    asked.start()
    assert opening.wait(60.0)
    assert sim.state is State.LOADING_WORLD
    sim.ask(GetEntities, INCORRECT_STATE, filters=EntityFilters())
    sim.ask(GetCurrentWorld, GetCurrentWorld.Response.NO_WORLD_LOADED)
    for target in (State.PLAYING, State.PAUSED, State.STOPPED):
        sim.become(target, SetSimulationState.Response.INCORRECT_TRANSITION)
    sim.ask(StepSimulation, FAILED, steps=1)
    open_now.set()
    asked.join()
    assert sim.state is State.STOPPED
    assert sim.ask(GetCurrentWorld).world.name == "far"


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("builtin:moon", Code.MISSING_ASSETS),
        ("../wall.spatia", Code.MISSING_ASSETS),
        ("away.spatia", Code.MISSING_ASSETS),
        ("file:///etc/hostname", Code.MISSING_ASSETS),
        ("more", Code.UNSUPPORTED_FORMAT),
        ("photo.jpg", Code.UNSUPPORTED_FORMAT),
        ("http://example.org/wall.spatia", Code.UNSUPPORTED_FORMAT),
        ("file://elsewhere/wall.spatia", Code.UNSUPPORTED_FORMAT),
        ("http://[wall", Code.UNSUPPORTED_FORMAT),
        ("x://[[]", Code.UNSUPPORTED_FORMAT),
        ("walker.yaml", Code.RESOURCE_PARSE_ERROR),
    ],
)
def test_a_uri_that_is_none_is_refused_with_its_code(at, uri, code):
    with pytest.raises(Refused) as refused:
        at.plan(uri, "")
    assert refused.value.code == code
    assert str(refused.value)


@pytest.mark.parametrize(
    ("described", "code"),
    [
        ("place: [", Code.RESOURCE_PARSE_ERROR),
        ("name: nowhere", Code.RESOURCE_PARSE_ERROR),
        ("!!python/object/apply:os.getcwd []", Code.RESOURCE_PARSE_ERROR),
        ("place: &a wall.spatia\nname: *a", Code.RESOURCE_PARSE_ERROR),
        ("#" * (worlds.MAX_TEXT_BYTES + 1), Code.RESOURCE_PARSE_ERROR),
        (text(start="[0, 0, nan, 0]"), Code.RESOURCE_PARSE_ERROR),
        (text(start="[0, 0, 0, 1, 1, 1, 1]"), Code.RESOURCE_PARSE_ERROR),
        (text(tags="[" + "a, " * 33 + "]"), Code.RESOURCE_PARSE_ERROR),
        (text(name='"\\x07"'), Code.RESOURCE_PARSE_ERROR),
        (text(frames="2"), Code.RESOURCE_PARSE_ERROR),
        (text(place="recorded", every="0"), Code.RESOURCE_PARSE_ERROR),
        (text(poses="{dock: {size: [1, 1, 1]}}"), Code.RESOURCE_PARSE_ERROR),
        (text(poses="{dock: {pose: [0, 0, 0, 0], size: [-1, 1, 1]}}"), Code.RESOURCE_PARSE_ERROR),
        (text(actors="[{kind: box}]"), Code.RESOURCE_PARSE_ERROR),
        (text(actors="[{kind: box, pose: [0, 0, 0, 0], wings: 2}]"), Code.RESOURCE_PARSE_ERROR),
        (text(place="lab.yaml"), Code.UNSUPPORTED_FORMAT),
        (text(place="moon.spatia"), Code.MISSING_ASSETS),
    ],
)
def test_a_description_that_is_none_is_refused_with_its_code(at, described, code):
    for lenient in (False, True):
        with pytest.raises(Refused) as refused:
            at.plan("", described, lenient=lenient)
        assert refused.value.code == code, refused.value


@pytest.mark.parametrize(
    ("actors", "code"),
    [
        ("[{kind: dragon, pose: [0, 0, 0, 0]}]", Code.MISSING_ASSETS),
        ("[{file: dragon.ply, pose: [0, 0, 0, 0]}]", Code.MISSING_ASSETS),
        ("[{file: ../dragon.ply, pose: [0, 0, 0, 0]}]", Code.MISSING_ASSETS),
        ("[{file: wall.spatia, pose: [0, 0, 0, 0]}]", Code.UNSUPPORTED_ASSETS),
        ("nobody.yaml", Code.MISSING_ASSETS),
        ("crate.ply", Code.UNSUPPORTED_ASSETS),
    ],
)
def test_assets_that_are_missing_or_of_no_use_fail_or_are_left_out(at, actors, code):
    with pytest.raises(Refused) as refused:
        at.plan("", text(actors=actors))
    assert refused.value.code == code
    plan = at.plan("", text(actors=actors), lenient=True)
    assert (len(plan.cast), len(plan.left_out)) == (0, 1)


def test_good_assets_stay_when_bad_ones_are_left_out(at):
    at_zero = "pose: [0, 0, 0, 0]"
    entries = f"[{{kind: box, {at_zero}}}, {{kind: dragon, {at_zero}}}, {{file: crate.ply, {at_zero}}}]"
    assert len(at.plan("", text(actors=entries), lenient=True).cast) == 2
    assert [actor.name for actor in at.plan("", text(actors="script.yaml")).cast] == ["cart"]


def test_elements_that_nobody_knows_are_left_out_or_refused(at, sim):
    described = text(weather="rain", poses="{dock: {pose: [0, 0, 0, 0], colour: red}}")
    assert at.plan("", described).left_out == ["weather", "poses.dock.colour"]
    said = sim.ask(LoadWorld, Code.UNSUPPORTED_ELEMENTS, fail_on_unsupported_element=True, **world_fields("", described))
    assert "weather" in said.result.error_message
    assert "weather" in sim.ask(LoadWorld, **world_fields("", described)).result.error_message


def uris(answer):
    return [world.world_resource.uri for world in answer.worlds]


def test_every_world_that_is_listed_can_be_planned_and_says_what_it_is(sim, at):
    every = sim.ask(GetAvailableWorlds)
    assert uris(every) == [
        "builtin:room", "builtin:empty", "broken.spatia", "crate.ply", "far.spatia", "lab.yaml", "recorded", "wall.spatia",
    ]  # fmt: skip
    for world in every.worlds:
        plan = at.plan(world.world_resource.uri, "")
        assert (plan.label.name, list(plan.label.tags)) == (world.name, list(world.tags))
        assert world.description


def test_worlds_are_found_by_their_tags(sim):
    assert uris(sim.ask(GetAvailableWorlds, filter=TagsFilter(tags=["small", "recording"]))) == ["lab.yaml", "recorded"]
    both = TagsFilter(tags=["small", "indoor"], filter_mode=TagsFilter.FILTER_MODE_ALL)
    assert uris(sim.ask(GetAvailableWorlds, filter=both)) == ["lab.yaml"]
    sim.ask(GetAvailableWorlds, FAILED, filter=TagsFilter(tags=["x"], filter_mode=7))


def test_more_sources_are_folders_of_the_data_folder(sim):
    usual = uris(sim.ask(GetAvailableWorlds))
    assert uris(sim.ask(GetAvailableWorlds, additional_sources=["more", "file:more"])) == [*usual, "more/off.pcd"]
    for source in ("https://example.org/worlds", "nowhere", "../elsewhere", "wall.spatia", "http://[more"):
        sim.ask(GetAvailableWorlds, FAILED, additional_sources=[source])
        going_on = sim.ask(GetAvailableWorlds, additional_sources=[source, "more"], continue_on_error=True)
        assert uris(going_on) == [*usual, "more/off.pcd"]
        assert source in going_on.result.error_message
    offline = sim.ask(GetAvailableWorlds, additional_sources=["https://example.org/worlds"], offline_only=True)
    assert uris(offline) == usual


def test_a_data_folder_that_is_gone_is_told(tmp_path):
    at = worlds.Worlds(DataFolder(str(tmp_path / "gone")), WorldSettings(), np.eye(4))
    with pytest.raises(Refused) as refused:
        at.available([], offline=False, go_on=False)
    assert refused.value.code == GetAvailableWorlds.Response.DEFAULT_SOURCES_FAILED
    found, failed = at.available([], offline=False, go_on=True)
    assert ([label.uri for label in found], len(failed)) == (["builtin:room", "builtin:empty"], 1)


def test_a_request_of_the_2_x_shape_is_read_as_well():
    """Where the host has simulation_interfaces 2: the resource is a message of its own (a stand-in here, with 1.x installed)."""
    asked = SimpleNamespace(world_resource=Resource(uri="wall.spatia", resource_string="not looked at"))
    assert world_resource_of(asked) == ("wall.spatia", "not looked at")
