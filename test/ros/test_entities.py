"""Entities of simulation_interfaces: what each call does and every result code it gives, over real calls."""

import numpy as np
import pytest

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")

from types import SimpleNamespace

from geometry_msgs.msg import Accel, Point, Pose, PoseStamped, Quaternion, Twist, Vector3
from harness import START, parameters, wait, wall_memory
from simulation_interfaces.msg import (
    Bounds,
    EntityCategory,
    EntityFilters,
    EntityInfo,
    EntityState,
    Resource,
    Result,
    SimulatorFeatures,
    Spawnable,
    TagsFilter,
)
from simulation_interfaces.srv import (
    DeleteEntity,
    GetEntities,
    GetEntitiesStates,
    GetEntityBounds,
    GetEntityInfo,
    GetEntityState,
    GetSpawnables,
    SetEntityState,
    SpawnEntity,
)
from std_msgs.msg import Header

from spatia_ros.msg import ActorStates, GeneratedFrame, SimStatus
from spatia_ros.nodes import convert
from spatia_ros.nodes.files import DataFolder
from spatia_ros.nodes.simulation import spawning
from spatia_ros.nodes.simulation.entities import state_fields
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import SetMode

OK, FAILED, NOT_FOUND = Result.RESULT_OK, Result.RESULT_OPERATION_FAILED, Result.RESULT_NOT_FOUND
Code = SpawnEntity.Response
WALKER = "{kind: pedestrian, colour: green, path: [[0, 0, 0, 0, 0], [10, 10, 0, 0, 0]]}"
OFFICIAL = {
    Bounds: "e8624fe51f0f5548197542697d924c5699ac7198f1e4c68e50c3ca2af73f5b3f",
    EntityFilters: "8e7b12e8ea062f14c55de4877221fe1b7cd9749665a7ad8a4ab855fc4b148303",
    EntityInfo: "3b9a2e7fa00f9a59d325b6e47904044c421561a385682027c7fc06c359806319",
    EntityState: "2e0464a85eb80a939025075d6c20761eca6a4cb9d6baf2c0ba373467c8b598d0",
    Resource: "2bb1939cf80f8d2f284afba53cbec60b5ff33759bd39b714128ea8867a34c51a",
    Result: "cf43a306adff3337a0a47143d8f5689933bc70a30478f13b077dc1fe3bc5ad17",
    SimulatorFeatures: "8b101c8529bc0ea3dcf056078254768f39832b9ef0adaf93bd5cea96c0de3305",
    Spawnable: "8c22025d840e7a05ab31ba56f998b06458b549a9744b4695be25b778829fc176",
}
"""Type hashes of simulation_interfaces 1.5.1, made of its own definitions."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import trimesh

    path = tmp_path_factory.mktemp("data")
    wall_memory().save(path / "wall.spatia")
    trimesh.creation.box((0.2, 0.4, 0.6)).export(path / "crate.ply")
    (path / "walker.yaml").write_text(WALKER)
    (path / "broken.glb").write_bytes(b"glTF, not really")
    (path / "notes.txt").write_text("no actor")
    (path / "more").mkdir()
    trimesh.creation.icosphere(2, 0.2).export(path / "more" / "ball.ply")
    (path / "away.ply").symlink_to("/etc/hostname")
    return path


@pytest.fixture(scope="module")
def node(graph, folder):
    values = parameters(
        generator__name="projection", camera__width_px=96, camera__height_px=64, motion__pace="fast",
        source__memory="wall.spatia", data_dir=str(folder), frames__camera_xyz_m=[0.1, 0.0, 0.2],
    )  # fmt: skip
    made = graph.add(WorldNode(context=graph.context, namespace="/sim", parameter_overrides=values))
    yield made
    graph.remove(made)


@pytest.fixture(scope="module")
def ask(graph, node):
    def call(kind, **request):
        name = "".join("_" + c.lower() if c.isupper() else c for c in kind.__name__)[1:]
        return graph.call(kind, f"/sim/{name}", **request)

    return call


@pytest.fixture
def spawn(ask):
    """Spawns; what it spawned is gone after the test."""
    made = []

    def call(code=OK, position=(0.0, 0.0, 0.0), frame="", **request):
        at = PoseStamped(header=Header(frame_id=frame), pose=Pose(position=point(position)))
        resource = {key: request.pop(key) for key in ("uri", "resource_string") if key in request}
        answer = ask(SpawnEntity, **{"initial_pose": at, **request, **spawning.resource_fields(**resource)})
        assert answer.result.result == code, answer.result.error_message
        if code == OK:
            made.append(answer.entity_name)
        else:
            assert answer.result.error_message, "a refusal says why"
        return answer

    yield call
    for name in made:
        ask(DeleteEntity, entity=name)


@pytest.fixture(scope="module")
def frame(graph, node):
    """Makes one frame where the camera stands: a period of the world's time goes by."""
    go = graph.publisher(PoseStamped, "/sim/cmd_pose")
    told = graph.collect(GeneratedFrame, "/sim/camera/color/metadata")
    states = graph.collect(ActorStates, "/sim/actors/states")

    def made():
        frames = len(states)
        go.publish(PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(node.rig.base_of(START))))
        wait(lambda: len(states) > frames and len(told) == len(states), "a frame")
        return states[-1]

    return made


def uri_of(spawnable):
    return getattr(spawnable, "entity_resource", spawnable).uri


def point(xyz):
    return Point(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def place(answer):
    assert answer.result.result == OK, answer.result.error_message
    return convert.from_pose(answer.state.pose)[:3, 3]


def names(ask, **filters):
    answer = ask(GetEntities, filters=EntityFilters(**filters))
    assert answer.result.result == OK, answer.result.error_message
    return list(answer.entities)


@pytest.mark.parametrize("kind", OFFICIAL)
def test_types_are_the_official_ones(graph, node, kind):
    if kind is Spawnable and not hasattr(Spawnable, "uri"):
        pytest.skip("simulation_interfaces 2 is installed here")
    topic = f"/sim/hash_of_{kind.__name__}"
    publisher = graph.client.create_publisher(kind, topic, 1)
    wait(lambda: graph.client.get_publishers_info_by_topic(topic), "the graph to know the topic")
    (info,) = graph.client.get_publishers_info_by_topic(topic)
    assert str(info.topic_type_hash).removeprefix("RIHS01_") == OFFICIAL[kind]
    graph.client.destroy_publisher(publisher)


def test_a_library_actor_is_spawned_where_it_is_asked_for(ask, spawn, frame):
    assert spawn(name="box_a", uri="library:box?colour=blue", position=(1.2, 0.1, 0.7)).entity_name == "box_a"
    np.testing.assert_allclose(place(ask(GetEntityState, entity="box_a")), (1.2, 0.1, 0.7), atol=1e-6)
    (seen,) = frame().actors
    assert (seen.name, seen.kind) == ("box_a", "box")
    assert seen.pixels > 20
    np.testing.assert_allclose((seen.pose.position.x, seen.pose.position.y, seen.pose.position.z), (1.2, 0.1, 0.7), atol=1e-6)


def test_places_may_be_given_in_frames_of_the_rig_and_of_other_entities(ask, spawn, node):
    base = node.rig.pose.T_map_base
    spawn(name="by_the_rig", uri="library:ball", frame="base_link", position=(1.0, 0.0, 0.0))
    np.testing.assert_allclose(place(ask(GetEntityState, entity="by_the_rig")), (base @ [1, 0, 0, 1])[:3], atol=1e-6)
    spawn(name="by_the_ball", uri="library:ball", frame="by_the_rig", position=(0.0, 0.0, 2.0))
    np.testing.assert_allclose(place(ask(GetEntityState, entity="by_the_ball")), (base @ [1, 0, 2, 1])[:3], atol=1e-6)
    camera, ego = (place(ask(GetEntityState, entity=name)) for name in ("camera", "ego"))
    np.testing.assert_allclose(camera - ego, base[:3, :3] @ (0.1, 0, 0.2), atol=1e-6)


def test_an_entry_of_a_script_is_spawned_and_its_seconds_begin_then(ask, spawn, frame):
    """Walking 1 m/s along x from where it was put, since it was put there."""
    frame()
    spawn(name="walker", resource_string=WALKER, position=(1.0, 0.5, 0.0))
    np.testing.assert_allclose(place(ask(GetEntityState, entity="walker")), (1.0, 0.5, 0.0), atol=1e-6)
    before = frame().animation_s
    walked = place(ask(GetEntityState, entity="walker"))
    frame()
    then = ask(GetEntityState, entity="walker")
    np.testing.assert_allclose(place(then) - walked, (0.1, 0, 0), atol=1e-6)
    np.testing.assert_allclose((then.state.twist.linear.x, then.state.twist.linear.y), (1.0, 0.0), atol=1e-6)
    assert frame().animation_s == pytest.approx(before + 0.2)
    spawn(name="another", uri="walker.yaml")
    spawn(name="from_outside", resource_string="{file: /etc/hostname, pose: [0, 0, 0, 0]}", code=Code.RESOURCE_PARSE_ERROR)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"name": "x"}, Code.NO_RESOURCE),
        ({"uri": "library:ball"}, Code.NAME_INVALID),
        ({"name": "7up", "uri": "library:ball"}, Code.NAME_INVALID),
        ({"name": "a/b", "uri": "library:ball"}, Code.NAME_INVALID),
        ({"name": "map", "uri": "library:ball", "allow_renaming": True}, Code.NAME_INVALID),
        ({"name": "ego", "uri": "library:ball"}, Code.NAME_NOT_UNIQUE),
        ({"name": "x", "uri": "library:ball", "entity_namespace": "not a namespace"}, Code.NAMESPACE_INVALID),
        ({"name": "x", "uri": "library:dragon"}, Code.MISSING_ASSETS),
        ({"name": "x", "uri": "library:ball?colour=loud"}, Code.RESOURCE_PARSE_ERROR),
        ({"name": "x", "uri": "library:ball?wings=2"}, Code.RESOURCE_PARSE_ERROR),
        ({"name": "x", "uri": "library:ball?scale=nan"}, Code.RESOURCE_PARSE_ERROR),
        ({"name": "x", "uri": "http://example.org/robot.glb"}, Code.UNSUPPORTED_FORMAT),
        ({"name": "x", "uri": "file://elsewhere/crate.ply"}, Code.UNSUPPORTED_FORMAT),
        ({"name": "x", "uri": "http://[robot"}, Code.UNSUPPORTED_FORMAT),
        ({"name": "x", "uri": "notes.txt"}, Code.UNSUPPORTED_FORMAT),
        ({"name": "x", "uri": "nothing.glb"}, Code.MISSING_ASSETS),
        ({"name": "x", "uri": "../crate.ply"}, Code.MISSING_ASSETS),
        ({"name": "x", "uri": "away.ply"}, Code.MISSING_ASSETS),
        ({"name": "x", "uri": "file:///etc/hostname.ply"}, Code.MISSING_ASSETS),
        ({"name": "x", "uri": "broken.glb"}, Code.RESOURCE_PARSE_ERROR),
        ({"name": "x", "resource_string": "{kind: box"}, Code.RESOURCE_PARSE_ERROR),
        ({"name": "x", "resource_string": "!!python/object/apply:os.getcwd []"}, Code.RESOURCE_PARSE_ERROR),
        ({"name": "x", "uri": "library:ball", "frame": "moon"}, Code.INVALID_POSE),
        ({"name": "x", "uri": "library:ball", "position": (float("nan"), 0, 0)}, Code.INVALID_POSE),
        ({"name": "x", "uri": "library:ball", "position": (1e12, 0, 0)}, Code.INVALID_POSE),
        ({"name": "x", "uri": "library:ball",
          "initial_pose": PoseStamped(pose=Pose(orientation=Quaternion(w=0.0)))}, Code.INVALID_POSE),
    ],
)  # fmt: skip
def test_what_cannot_be_spawned_is_refused_with_its_code(ask, spawn, request_, code):
    before = names(ask)
    spawn(code=code, **request_)
    assert names(ask) == before


def test_names_are_kept_or_made(ask, spawn):
    spawn(name="ball", uri="library:ball")
    spawn(name="ball", uri="library:ball", code=Code.NAME_NOT_UNIQUE)
    assert spawn(name="ball", uri="library:ball", allow_renaming=True).entity_name == "ball_2"
    assert spawn(uri="library:ball", allow_renaming=True).entity_name == "ball_3"
    assert spawn(name="ball", uri="library:ball", entity_namespace="/robot1").entity_name == "robot1/ball"
    assert names(ask) == ["ego", "camera", "ball", "ball_2", "ball_3", "robot1/ball"]


def test_entities_are_found_by_what_they_are(ask, spawn):
    spawn(name="ann", uri="library:pedestrian?colour=red")
    spawn(name="cart", uri="crate.ply")
    info = ask(GetEntityInfo, entity="ann").info
    assert info.category.category == EntityCategory.CATEGORY_HUMAN
    assert {"actor", "pedestrian", "red"} <= set(info.tags)
    assert "red pedestrian" in info.description
    human = [EntityCategory(category=EntityCategory.CATEGORY_HUMAN)]
    assert names(ask, categories=human) == ["ann"]
    assert names(ask, tags=TagsFilter(tags=["red", "source=crate.ply"])) == ["ann", "cart"]
    assert names(ask, tags=TagsFilter(tags=["ego"])) == ["ego"]
    assert names(ask, filter="^a|cam") == ["camera", "ann"]
    bad = ask(GetEntities, filters=EntityFilters(filter="("))
    assert (bad.result.result, list(bad.entities)) == (FAILED, [])


def test_entities_are_found_by_where_they_are(ask, spawn):
    spawn(name="there", uri="crate.ply", position=(5.0, 5.0, 5.0))

    def meeting(kind, *points):
        vectors = [Vector3(x=float(x), y=float(y), z=float(z)) for x, y, z in points]
        return ask(GetEntitiesStates, filters=EntityFilters(bounds=Bounds(type=kind, points=vectors)))

    assert list(meeting(Bounds.TYPE_BOX, (6, 5.15, 6), (5.05, 5.1, 4)).entities) == ["there"]
    assert list(meeting(Bounds.TYPE_BOX, (6, 6, 6), (5.15, 5, 4)).entities) == []
    assert list(meeting(Bounds.TYPE_SPHERE, (5, 6, 5), (0.85, 0, 0)).entities) == ["there"]
    assert meeting(9, (0, 0, 0)).result.result == Result.RESULT_FEATURE_UNSUPPORTED


def test_entities_are_found_in_a_hull(ask, spawn):
    """The crate is 0.2 x 0.4 x 0.6 m, standing on z = 5 about (5, 5)."""
    spawn(name="there", uri="crate.ply", position=(5.0, 5.0, 5.0))

    def within(*points):
        vectors = [Vector3(x=float(x), y=float(y), z=float(z)) for x, y, z in points]
        return names(ask, bounds=Bounds(type=Bounds.TYPE_CONVEX_HULL, points=vectors))

    slope = (3.8, 6, 5.3), (6, 3.8, 5.3), (3.8, 3.8, 5.3), (4, 4, 9)  # its face x + y = 9.8 passes the crate by 1 cm at a corner
    assert within(*slope) == ["there"]
    assert within(*((x - 0.2, y - 0.2, z) for x, y, z in slope)) == []
    assert within((5, 5, 5.3)) == ["there"]


def test_states_are_those_of_the_newest_frame(ask, spawn, frame, node):
    spawn(name="walker", resource_string=WALKER)
    seen = frame()
    every = ask(GetEntitiesStates, filters=EntityFilters())
    assert list(every.entities) == ["ego", "camera", "walker"]
    assert {s.header.frame_id for s in every.states} == {"map"}
    assert all(s.header.stamp == seen.header.stamp for s in every.states)
    assert every.states[2].pose == seen.actors[0].pose == ask(GetEntityState, entity="walker").state.pose
    np.testing.assert_allclose(convert.from_pose(every.states[0].pose), node.rig.pose.T_map_base, atol=1e-9)


def test_bounds_are_along_the_entity_s_own_axes(ask, spawn):
    turned = Pose(position=Point(x=3.0), orientation=Quaternion(z=np.sqrt(0.5), w=np.sqrt(0.5)))
    spawn(name="crate", uri="crate.ply", initial_pose=PoseStamped(pose=turned))
    upper, lower = ask(GetEntityBounds, entity="crate").bounds.points
    np.testing.assert_allclose((upper.x - lower.x, upper.y - lower.y, upper.z - lower.z), (0.2, 0.4, 0.6), atol=0.03)
    assert ask(GetEntityBounds, entity="ego").bounds.type == Bounds.TYPE_EMPTY


def test_an_actor_is_put_elsewhere_with_its_path(ask, spawn, frame):
    spawn(name="walker", resource_string=WALKER)
    frame()
    quarter = Quaternion(z=np.sqrt(0.5), w=np.sqrt(0.5))
    to = EntityState(pose=Pose(position=Point(x=7.0, y=1.0, z=0.0), orientation=quarter))
    assert ask(SetEntityState, entity="walker", **state_fields(to)).result.result == OK
    np.testing.assert_allclose(place(ask(GetEntityState, entity="walker")), (7.0, 1.0, 0.0), atol=1e-6)
    frame()
    np.testing.assert_allclose(place(ask(GetEntityState, entity="walker")), (7.0, 1.1, 0.0), atol=1e-6)  # it walks along y now


def test_the_ego_is_teleported_and_a_frame_is_made_there(ask, graph, node, frame):
    frame()
    states = graph.collect(GeneratedFrame, "/sim/camera/color/metadata")
    to = EntityState(header=Header(frame_id="base_link"), pose=Pose(position=Point(y=0.3)))
    before = node.rig.pose.T_map_base
    assert ask(SetEntityState, entity="ego", **state_fields(to)).result.result == OK
    np.testing.assert_allclose(place(ask(GetEntityState, entity="ego")), (before @ [0, 0.3, 0, 1])[:3], atol=1e-9)
    wait(lambda: len(states) == 1, "the frame there")
    assert graph.call(SetMode, "/sim/memory/set_mode", mode=SimStatus.MAPPING).success
    assert ask(SetEntityState, entity="ego", **state_fields(to)).result.result == Result.RESULT_INCORRECT_STATE
    assert graph.call(SetMode, "/sim/memory/set_mode", mode=SimStatus.GENERATING).success


@pytest.mark.parametrize(
    ("entity", "state", "code"),
    [
        ("nobody", EntityState(), NOT_FOUND),
        ("camera", EntityState(), FAILED),
        ("crate", EntityState(twist=Twist(linear=Vector3(x=1.0))), FAILED),
        ("crate", EntityState(acceleration=Accel(linear=Vector3(x=1.0))), FAILED),
        ("crate", EntityState(pose=Pose(orientation=Quaternion(w=2.0))), SetEntityState.Response.INVALID_POSE),
        ("crate", EntityState(header=Header(frame_id="moon")), SetEntityState.Response.INVALID_POSE),
    ],
)
def test_a_state_that_cannot_be_set_is_refused_with_its_code(ask, spawn, entity, state, code):
    spawn(name="crate", uri="crate.ply", position=(1.0, 0.0, 0.0))
    answer = ask(SetEntityState, entity=entity, **state_fields(state))
    assert answer.result.result == code, answer.result.error_message
    np.testing.assert_allclose(place(ask(GetEntityState, entity="crate")), (1.0, 0.0, 0.0), atol=1e-6)


def test_what_is_deleted_is_gone(ask, spawn, frame):
    spawn(name="crate", uri="crate.ply", position=(1.2, 0.0, 0.7))
    assert len(frame().actors) == 1
    assert ask(DeleteEntity, entity="crate").result.result == OK
    assert names(ask) == ["ego", "camera"]
    assert list(frame().actors) == []
    for kind in (DeleteEntity, GetEntityState, GetEntityInfo, GetEntityBounds):
        assert ask(kind, entity="crate").result.result == NOT_FOUND
    assert ask(DeleteEntity, entity="ego").result.result == FAILED


def test_everything_that_is_listed_can_be_spawned(ask, spawn):
    listed = ask(GetSpawnables, sources=["more", "../elsewhere"])
    assert listed.result.result == OK
    assert "'../elsewhere'" in listed.result.error_message
    uris = {uri_of(s): s for s in listed.spawnables}
    assert {"library:pedestrian", "library:car", "library:box", "library:ball", "library:arm"} <= set(uris)
    assert {"crate.ply", "walker.yaml", "more/ball.ply"} <= set(uris)
    assert not {"away.ply", "notes.txt"} & set(uris)
    assert "more/ball.ply" not in {uri_of(s) for s in ask(GetSpawnables).spawnables}
    for uri in set(uris) - {"broken.glb"}:
        spawn(uri=uri, allow_renaming=True)
    spawn(name="ann", uri="library:pedestrian")
    told, real = uris["library:pedestrian"].spawn_bounds, ask(GetEntityBounds, entity="ann").bounds
    for (outer, inner), sign in zip(zip(told.points, real.points, strict=True), (1, -1), strict=True):
        assert all(sign * getattr(outer, axis) >= sign * getattr(inner, axis) - 0.02 for axis in "xyz")


def test_a_request_of_the_2_x_shape_is_read_as_well(folder):
    """Where the host has simulation_interfaces 2: the resource is a message of its own."""
    asked = SimpleNamespace(entity_resource=Resource(uri="library:ball?scale=2"))
    assert spawning.actor_of(asked, DataFolder(str(folder))).kind == "ball"
