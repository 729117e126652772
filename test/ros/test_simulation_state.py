"""States, steps and resets of simulation_interfaces over real calls: a step is a frame, a reset takes back what it says."""

import numpy as np
import pytest

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")

from geometry_msgs.msg import Point, Pose, PoseStamped
from harness import Graph, parameters, wait, wall_memory
from nav_msgs.msg import Path
from rclpy.parameter import Parameter
from simulated import ABORTED, CANCELED, FAILED, INCORRECT_STATE, SUCCEEDED, UNSUPPORTED, Simulated
from simulation_interfaces.msg import EntityFilters, EntityInfo, EntityState, SimulatorFeatures
from simulation_interfaces.srv import (
    DeleteEntity,
    GetEntities,
    GetEntityInfo,
    GetEntityState,
    GetSimulatorFeatures,
    ResetSimulation,
    SetEntityInfo,
    SetEntityState,
    SetSimulationState,
    SpawnEntity,
    StepSimulation,
)

from spatia_ros.msg import SimStatus
from spatia_ros.nodes import convert, qos
from spatia_ros.nodes.simulation.entities import state_fields
from spatia_ros.nodes.simulation.play import State
from spatia_ros.nodes.simulation.spawning import resource_fields
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import EditMemory, SetAnimationTime, SetMode

Code, Ask = SetSimulationState.Response, ResetSimulation.Request
PERIOD_NS = 100_000_000
SCRIPT = "actors:\n  - {name: cart, kind: box, scale: 0.3, path: [[0, 1.5, 0, 0.8, 0], [10, 1.5, 5, 0.8, 0]]}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    wall_memory().save(path / "wall.spatia")
    (path / "script.yaml").write_text(SCRIPT)
    return path


@pytest.fixture(scope="module")
def make(graph, folder):
    def node(namespace, *more, **changes):
        values = {
            "generator__name": "projection", "camera__width_px": 96, "camera__height_px": 64, "motion__pace": "fast",
            "frame_rate_hz": 10.0, "source__memory": "wall.spatia", "source__actors": "script.yaml", "data_dir": str(folder),
        } | changes  # fmt: skip
        overrides = [*parameters(**values), *more]
        made = graph.add(WorldNode(context=graph.context, namespace=namespace, parameter_overrides=overrides))
        return Simulated(graph, made, namespace)

    return node


@pytest.fixture(scope="module")
def sim(make):
    return make("/sim", simulation__start="paused")


@pytest.fixture
def paused(sim):
    """The simulation as it began, paused."""
    if sim.state is not State.PAUSED:
        sim.become(State.PAUSED)
    sim.ask(ResetSimulation)
    return sim


@pytest.fixture(scope="module")
def go(graph, sim):
    """Sends a path in the map, and returns once it waits to be followed."""
    out = graph.publisher(Path, "/sim/cmd_trajectory")

    def send(*steps_m):
        base = sim.node.rig.pose.T_map_base
        path = Path(header=convert.to_header(0, "map"))
        for x in steps_m:
            T = base.copy()
            T[0, 3] += x
            path.poses.append(PoseStamped(header=convert.to_header(0, ""), pose=convert.to_pose(T)))
        before = sim.node.worker._newest
        out.publish(path)
        wait(lambda: sim.node.worker._newest is not before, "the command to arrive")

    return send


def stamp_ns(stamped):
    return convert.time_ns(stamped.header.stamp, "stamp")


def state_of(sim, name):
    return sim.ask(GetEntityState, entity=name).state


def x_of(sim, name):
    return state_of(sim, name).pose.position.x


def names(sim):
    return list(sim.ask(GetEntities, filters=EntityFilters()).entities)


def test_a_simulator_starts_in_the_state_it_was_told_and_says_so(graph, make, sim):
    assert sim.state is State.PAUSED
    status = graph.collect(SimStatus, "/sim/world/status", qos.LATCHED)
    wait(lambda: status, "a status")
    assert (status[0].simulation_state, status[0].world) == (State.PAUSED, "wall")
    other = make("/stopped", simulation__start="stopped")
    assert other.state is State.STOPPED
    graph.remove(other.node)


@pytest.mark.parametrize("here", [State.STOPPED, State.PLAYING, State.PAUSED])
def test_states_are_asked_for_and_refused_as_the_standard_has_it(sim, here):
    def be_here():
        if sim.state is not here:
            sim.become(here)

    for target in (State.STOPPED, State.PLAYING, State.PAUSED):
        be_here()
        sim.become(target, Code.ALREADY_IN_TARGET_STATE if target is here else 1)
        assert sim.state is target
    be_here()
    for target in (State.NO_WORLD, State.LOADING_WORLD, 6, 255):
        sim.become(target, Code.INCORRECT_TRANSITION)
    assert sim.state is here


def test_paused_commands_are_taken_and_steps_make_exactly_their_frames(paused, go):
    start_ns = stamp_ns(state_of(paused, "ego"))
    go(0.1, 0.2, 0.3)
    assert x_of(paused, "ego") == pytest.approx(0.0)
    (first,) = paused.step()
    assert x_of(paused, "ego") == pytest.approx(0.1)
    two = paused.step(2)
    assert x_of(paused, "ego") == pytest.approx(0.3)
    rest = paused.step(3)  # the path is done: the rig stands, time goes on
    assert x_of(paused, "ego") == pytest.approx(0.3)
    assert [stamp_ns(image) - start_ns for image in [first, *two, *rest]] == [PERIOD_NS * k for k in range(1, 7)]
    assert paused.state is State.PAUSED


def test_playing_carries_out_what_was_commanded_while_paused(paused, go):
    go(0.1, 0.2)
    before = len(paused.images)
    paused.become(State.PLAYING)
    wait(lambda: len(paused.images) == before + 2, "the path to be flown")
    assert x_of(paused, "ego") == pytest.approx(0.2)


def test_paused_no_frame_comes_after_the_answer(graph, make):
    sim = make("/streaming", motion__stream=True, motion__pace="fast")
    frames = sim.node.frames
    for _ in range(5):
        wait(lambda: frames.made > 2, "frames")
        sim.become(State.PAUSED)
        made = frames.made
        sim.ask(StepSimulation, steps=1)
        assert frames.made == made + 1
        sim.become(State.PLAYING)
    graph.remove(sim.node)


def test_steps_are_refused_unless_paused(graph, paused):
    paused.ask(StepSimulation, FAILED, steps=0)
    assert graph.call(SetMode, "/sim/memory/set_mode", mode=SimStatus.MAPPING).success
    paused.ask(StepSimulation, FAILED, steps=1)
    assert graph.call(SetMode, "/sim/memory/set_mode", mode=SimStatus.GENERATING).success
    for state in (State.PLAYING, State.STOPPED):
        paused.become(state)
        said = paused.ask(StepSimulation, FAILED, steps=1).result.error_message
        assert state.word in said
        status, result = paused.end(paused.steps(1))
        assert (status, result.result) == (ABORTED, FAILED)
        assert state.word in result.error_message


def test_the_action_tells_every_step(paused):
    before, heard = len(paused.images), []
    status, result = paused.end(paused.steps(4, heard))
    assert (status, result.result) == (SUCCEEDED, 1)
    wait(lambda: len(heard) == 4 and len(paused.images) == before + 4, "feedback and images")
    assert heard == [(1, 3), (2, 2), (3, 1), (4, 0)]
    paused.step()
    assert len(paused.images) == before + 5


def test_the_action_is_cancelled_after_the_step_in_progress(paused):
    before, heard = len(paused.images), []
    handle = paused.steps(100_000, heard)
    wait(lambda: len(heard) >= 2, "two steps")
    said = paused.ask(StepSimulation, FAILED, steps=1).result.error_message
    assert "one client at a time" in said
    cancelled = handle.cancel_goal_async()
    wait(cancelled.done, "the cancellation")
    status, result = paused.end(handle)
    assert (status, result.result) == (CANCELED, FAILED)
    wait(lambda: len(paused.images) == before + heard[-1][0], "as many images as steps were told")
    assert sum(heard[-1]) == 100_000
    assert [done for done, _ in heard] == list(range(1, len(heard) + 1))
    paused.step()


@pytest.mark.parametrize("state", [State.PLAYING, State.STOPPED])
def test_steps_end_where_the_state_becomes_another(paused, state):
    heard = []
    handle = paused.steps(100_000, heard)
    wait(lambda: heard, "a step")
    paused.become(state)
    status, result = paused.end(handle)
    assert (status, result.result) == (ABORTED, FAILED)
    assert "the simulation became" in result.error_message
    assert paused.state is state


def change_everything(sim, go, graph):
    """Time, place, memory, actors, clocks and descriptions are others afterwards; two entities are spawned."""
    go(0.2)
    sim.step(3)
    for name, y in (("ball", 0.3), ("ball_too", -0.3)):
        at = PoseStamped(pose=Pose(position=Point(x=1.2, y=y, z=1.0)))
        sim.ask(SpawnEntity, name=name, initial_pose=at, **resource_fields(uri="library:ball"))
    sim.ask(SetEntityState, entity="cart", **state_fields(EntityState(pose=Pose(position=Point(x=1.0, y=2.0, z=0.5)))))
    sim.ask(SetEntityState, entity="ball", **state_fields(EntityState(pose=Pose(position=Point(x=5.0)))))
    sim.ask(SetEntityInfo, entity="cart", info=EntityInfo(description="heavy"))
    part = [1.0, -0.2, 0.8, 3.0, 0.2, 1.2]
    edited = graph.call(EditMemory, "/sim/memory/edit", operation=EditMemory.Request.REMOVE, box=part)
    assert edited.success, edited.message
    assert graph.call(SetAnimationTime, "/sim/set_animation_time", mode=1, rate=3.0).success


@pytest.mark.parametrize("scope", [*range(8), Ask.SCOPE_ALL])
def test_a_reset_takes_back_its_scope_and_nothing_else(paused, go, graph, scope):
    whole = scope in (Ask.SCOPE_DEFAULT, Ask.SCOPE_ALL)
    time, state, spawned = (whole or bool(scope & bit) for bit in (Ask.SCOPE_TIME, Ask.SCOPE_STATE, Ask.SCOPE_SPAWNED))
    points, start_ns = len(paused.node.memory), stamp_ns(state_of(paused, "ego"))
    change_everything(paused, go, graph)
    changed_points = len(paused.node.memory)
    assert changed_points < points
    clock = paused.node.cast.clock
    paused.ask(ResetSimulation, scope=scope)
    assert stamp_ns(state_of(paused, "ego")) == start_ns + (0 if time else 3 * PERIOD_NS)
    assert paused.node.world_s == pytest.approx(0.0 if time else 0.3)
    assert x_of(paused, "ego") == pytest.approx(0.0 if state else 0.2)
    assert len(paused.node.memory) == (points if state else changed_points)
    assert (paused.node.cast.clock is clock) == (not state)
    assert paused.ask(GetEntityInfo, entity="cart").info.description.startswith("heavy") == (not state)
    if state:  # half a metre a second along y, from 0
        assert state_of(paused, "cart").pose.position.y == pytest.approx(0.0 if time else 0.15)
    assert names(paused) == ["ego", "camera", "cart", *([] if spawned else ["ball", "ball_too"])]
    if not spawned:
        assert x_of(paused, "ball") == pytest.approx(1.2 if state else 5.0)
    (image,) = paused.step()
    assert stamp_ns(image) == start_ns + (PERIOD_NS if time else 4 * PERIOD_NS)


def play_a_scene(sim, go):
    """The same commands, each time: what was seen."""
    go(0.1, 0.2, 0.15)
    seen = sim.step(2)
    there = PoseStamped(pose=Pose(position=Point(x=1.2, z=1.0)))
    sim.ask(SpawnEntity, name="ball", initial_pose=there, **resource_fields("library:ball"))
    seen += sim.step(3)
    return [(stamp_ns(image), bytes(image.data)) for image in seen]


@pytest.mark.parametrize("how", ["reset", "stop"])
def test_after_a_full_reset_the_same_commands_give_the_same_frames(paused, go, graph, how):
    first = play_a_scene(paused, go)
    assert len({pixels for _, pixels in first}) == 5
    change = paused.node.cast.find("cart")
    paused.ask(DeleteEntity, entity="cart")
    assert graph.call(SetMode, "/sim/memory/set_mode", mode=SimStatus.FROZEN).success
    if how == "reset":
        paused.ask(ResetSimulation, scope=Ask.SCOPE_ALL)
    else:
        paused.become(State.STOPPED)
        assert names(paused) == ["ego", "camera", "cart"]
        paused.become(State.PAUSED)
    assert paused.node.cast.find("cart").id == change.id
    assert play_a_scene(paused, go) == first


def test_after_a_full_reset_the_same_is_invented(graph, make):
    """The shipped network, its randomness and what memory took up of it."""
    sim = make("/inventing", generator__name="nano", simulation__start="paused")
    start_points = len(sim.node.memory)

    def look_round():
        for y in (0.3, 0.6):
            state = sim.ask(GetEntityState, entity="ego").state
            state.pose.position.y = y
            sim.ask(SetEntityState, entity="ego", **state_fields(EntityState(pose=state.pose)))
            sim.step()
        return [bytes(image.data) for image in sim.images[-2:]], len(sim.node.memory)

    first = look_round()
    assert first[1] > start_points
    sim.ask(ResetSimulation)
    assert len(sim.node.memory) == start_points
    assert look_round() == first
    graph.remove(sim.node)


def test_an_actor_that_was_replaced_is_in_the_way_of_the_first(paused):
    paused.ask(DeleteEntity, entity="cart")
    paused.ask(SpawnEntity, name="cart", **resource_fields(uri="library:ball"))
    said = paused.ask(ResetSimulation, FAILED, scope=Ask.SCOPE_STATE).result.error_message
    assert "cart" in said
    assert paused.node.cast.find("cart").kind == "ball"
    paused.ask(ResetSimulation, scope=Ask.SCOPE_STATE | Ask.SCOPE_SPAWNED)
    assert paused.node.cast.find("cart").kind == "box"


@pytest.mark.parametrize("scope", [8, 15, 128, 254])
def test_a_scope_that_is_none_is_unsupported(paused, scope):
    paused.ask(ResetSimulation, UNSUPPORTED, scope=scope)


def test_what_cannot_be_reset_is_not_offered(graph, make):
    """Time is another's where /clock is followed, and the start is not always kept."""
    clock = Parameter("use_sim_time", value=True)
    sim = make("/bare", clock, simulation__keep_start=False, simulation__start="paused")
    features = set(sim.graph.call(GetSimulatorFeatures, "/bare/get_simulator_features").features.features)
    assert not {SimulatorFeatures.SIMULATION_RESET_TIME, SimulatorFeatures.SIMULATION_RESET_STATE} & features
    sim.ask(SpawnEntity, name="ball", **resource_fields(uri="library:ball"))
    for scope in (Ask.SCOPE_TIME, Ask.SCOPE_STATE, Ask.SCOPE_ALL):
        sim.ask(ResetSimulation, UNSUPPORTED, scope=scope)
    assert names(sim) == ["ego", "camera", "cart", "ball"]
    sim.ask(ResetSimulation, scope=Ask.SCOPE_SPAWNED)
    assert names(sim) == ["ego", "camera", "cart"]
    sim.become(State.PLAYING)
    said = sim.become(State.STOPPED, Code.STATE_TRANSITION_ERROR).result.error_message
    assert "keep_start" in said
    assert sim.state is State.PAUSED
    graph.remove(sim.node)


def test_an_entity_put_elsewhere_while_paused_is_seen_there_at_the_next_step(paused):
    before = len(paused.images)
    paused.ask(SetEntityState, entity="ego", **state_fields(EntityState(pose=Pose(position=Point(x=0.3, z=1.0)))))
    assert x_of(paused, "ego") == pytest.approx(0.3)
    assert len(paused.images) == before
    paused.step()
    assert x_of(paused, "ego") == pytest.approx(0.3)


def test_a_node_that_goes_on_with_a_checkpoint_knows_what_was_spawned(make, graph):
    sim = make("/resumed", simulation__start="paused", checkpoint__folder="kept", checkpoint__every_s=0.0)
    sim.ask(SpawnEntity, name="ball", **resource_fields(uri="library:ball"))
    sim.step()
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        getattr(sim.node, f"trigger_{transition}")()
    assert sim.state is State.PAUSED
    sim.ask(SetEntityState, entity="ball", **state_fields(EntityState(pose=Pose(position=Point(x=4.0)))))
    sim.ask(ResetSimulation, scope=Ask.SCOPE_STATE)
    assert names(sim) == ["ego", "camera", "cart", "ball"]
    sim.ask(ResetSimulation, scope=Ask.SCOPE_SPAWNED)
    assert names(sim) == ["ego", "camera", "cart"]
    sim.ask(ResetSimulation, scope=Ask.SCOPE_ALL)
    assert names(sim) == ["ego", "camera", "cart"]
    graph.remove(sim.node)


def test_a_node_that_is_not_active_answers_with_its_state(make, graph):
    sim = make("/resting", simulation__start="paused")
    sim.node.trigger_deactivate()
    assert sim.state is State.PAUSED
    for kind, request in ((ResetSimulation, {}), (StepSimulation, {"steps": 1}), (GetEntities, {"filters": EntityFilters()})):
        sim.ask(kind, INCORRECT_STATE, **request)
    sim.become(State.PLAYING, INCORRECT_STATE)
    sim.node.trigger_activate()
    assert np.asarray(sim.step(2)).size == 2
    graph.remove(sim.node)


def test_quitting_answers_frees_everything_and_ends_whoever_spins_the_node(folder):
    values = parameters(generator__name="projection", source__memory="wall.spatia", data_dir=str(folder))
    with Graph() as graph:
        node = graph.add(WorldNode(context=graph.context, namespace="/leaving", parameter_overrides=values))
        sim = Simulated(graph, node, "/leaving")
        node.trigger_deactivate()  # even a node that rests can be left
        sim.become(State.QUITTING)
        wait(lambda: not graph.context.ok(), "the context to be shut down")
        assert sim.node.state == "finalized"
        assert sim.node.face is None
