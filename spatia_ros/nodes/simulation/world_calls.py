"""Worlds over simulation_interfaces: loaded, unloaded, listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from simulation_interfaces.msg import Resource, Result, SimulatorFeatures, WorldResource
from simulation_interfaces.srv import GetAvailableWorlds, GetCurrentWorld, LoadWorld, UnloadWorld

from spatia_ros.nodes.simulation.calls import Calls
from spatia_ros.nodes.simulation.entities import EGO
from spatia_ros.nodes.simulation.entity_filter import Refused, tag_filter
from spatia_ros.nodes.simulation.play import State
from spatia_ros.nodes.simulation.scene import Label
from spatia_ros.nodes.simulation.worlds import Plan, Worlds

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

Is = SimulatorFeatures


class WorldServices:
    """Load and unload a world, tell which there is and which there could be."""

    features = (
        Is.WORLD_LOADING, Is.WORLD_RESOURCE_STRING, Is.WORLD_TAGS, Is.WORLD_UNLOADING, Is.WORLD_INFO_GETTING, Is.AVAILABLE_WORLDS,
    )  # fmt: skip

    def __init__(self, face: WorldFace, calls: Calls) -> None:
        self._face, self._calls, self._play, self._scene = face, calls, face.play, face.scene
        self._worlds = Worlds(face.files, face.settings, face.T_map_world)
        changing, reading = MutuallyExclusiveCallbackGroup(), MutuallyExclusiveCallbackGroup()
        calls.serve(LoadWorld, "load_world", self._load, aside=changing, world=False)
        calls.serve(UnloadWorld, "unload_world", self._unload, aside=changing, world=False)
        calls.serve(GetCurrentWorld, "get_current_world", self._current, aside=reading, active=False, world=False)
        calls.serve(GetAvailableWorlds, "get_available_worlds", self._available, aside=reading, active=False, world=False)

    def _load(self, request: Any, response: Any) -> str:
        before = self._play.state
        if before in (State.LOADING_WORLD, State.QUITTING):
            raise Refused(Result.RESULT_INCORRECT_STATE, f"load_world: the simulation is in state {before.word}")
        uri, text = world_resource_of(request)
        lenient = bool(request.ignore_missing_or_unsupported_assets)
        plan = self._worlds.plan(uri, text, whole=bool(request.fail_on_unsupported_element), lenient=lenient)
        taken = {EGO, *(camera.name for camera in self._face.rig.cameras)} & {actor.name for actor in plan.cast}
        if taken:
            raise Refused(LoadWorld.Response.RESOURCE_PARSE_ERROR, f"actors: expected names of their own, got {sorted(taken)}")
        self._play.become(State.LOADING_WORLD)
        after = before  # what cannot be loaded changes nothing
        try:
            self._open(plan)
            after = State.STOPPED
        finally:
            self._play.leave(State.LOADING_WORLD, after)
        response.world = message_of(plan.label)
        return f"left out: {'; '.join(plan.left_out):.1000}" if plan.left_out else ""

    def _open(self, plan: Plan) -> None:
        face = self._face
        seed = self._worlds.open(plan, face.world.generator)  # on the thread of the call: services and topics go on meanwhile
        T_map_base = face.rig.base_of(seed.T_world_cam) if plan.T_map_base is None else plan.T_map_base
        if not plan.label.description:
            plan.label = plan.label.described(seed.story)
        self._calls.on_worker(lambda: self._scene.enter(seed.world, T_map_base, plan.label))

    def _unload(self, request: Any, response: Any) -> str:  # noqa: ARG002
        if self._play.state is State.NO_WORLD:
            raise Refused(UnloadWorld.Response.NO_WORLD_LOADED, "unload_world: no world is loaded")
        self._calls.need_world("unload_world")
        self._play.become(State.NO_WORLD)
        self._calls.on_worker(self._scene.leave)
        return ""

    def _current(self, request: Any, response: Any) -> str:  # noqa: ARG002
        label = self._scene.label
        if label is None or not self._play.has_world:
            said = f"get_current_world: the simulation is in state {self._play.state.word}"
            raise Refused(GetCurrentWorld.Response.NO_WORLD_LOADED, said)
        response.world = message_of(label)
        return ""

    def _available(self, request: Any, response: Any) -> str:
        passes = tag_filter(request.filter)
        found, failed = self._worlds.available(
            list(request.additional_sources), offline=bool(request.offline_only), go_on=bool(request.continue_on_error)
        )
        response.worlds = [message_of(label) for label in found if passes(label.tags)]
        return "; ".join(failed)[:1000]


def world_resource_of(request: Any) -> tuple[str, str]:
    """URI and resource string of a request to load: fields of its own (1.x), or of its resource (2.x)."""
    resource = getattr(request, "world_resource", request)
    return resource.uri, resource.resource_string


def message_of(label: Label) -> WorldResource:
    """A world as simulation_interfaces has it."""
    resource = Resource(uri=label.uri, resource_string=label.text)
    return WorldResource(name=label.name, world_resource=resource, description=label.description, tags=list(label.tags))
