"""Entities over simulation_interfaces: asked for, spawned, described, moved and deleted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from simulation_interfaces.msg import Bounds, NamedPose, Result, SimulatorFeatures, SpawnResult
from simulation_interfaces.srv import (
    DeleteEntity,
    GetEntities,
    GetEntitiesStates,
    GetEntityBounds,
    GetEntityInfo,
    GetEntityState,
    GetNamedPoseBounds,
    GetNamedPoses,
    GetSpawnables,
    SetEntityInfo,
    SetEntityState,
    SpawnEntities,
    SpawnEntity,
)

from spatia_ros.nodes import convert
from spatia_ros.nodes.simulation import spawning
from spatia_ros.nodes.simulation.calls import Calls
from spatia_ros.nodes.simulation.entities import EGO, Entities, box_message
from spatia_ros.nodes.simulation.entity_filter import Refused, tag_filter
from spatia_ros.nodes.simulation.scene import NamedPose as Place

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

Is = SimulatorFeatures
MAX_SPAWNS = 256
"""Requests in one call of spawn_entities."""


class EntityServices:
    """Everything about entities, and the named poses they may be put at."""

    features = (
        Is.SPAWNING, Is.DELETING, Is.NAMED_POSES, Is.POSE_BOUNDS, Is.ENTITY_TAGS, Is.ENTITY_BOUNDS, Is.ENTITY_BOUNDS_BOX,
        Is.ENTITY_BOUNDS_CONVEX, Is.ENTITY_CATEGORIES, Is.SPAWNING_RESOURCE_STRING, Is.ENTITY_STATE_GETTING,
        Is.ENTITY_STATE_SETTING, Is.ENTITY_INFO_GETTING, Is.ENTITY_INFO_SETTING, Is.SPAWNABLES, Is.SPAWNING_ENTITIES,
    )  # fmt: skip

    def __init__(self, face: WorldFace, calls: Calls) -> None:
        self._face, self._calls = face, calls
        self._entities = Entities(face)
        face.scene.on_state_reset = self._entities.forget_all
        reading = MutuallyExclusiveCallbackGroup()  # a large mesh keeps nobody else waiting
        calls.serve(GetEntities, "get_entities", self._get_entities)
        calls.serve(GetEntitiesStates, "get_entities_states", self._get_states)
        calls.serve(GetEntityState, "get_entity_state", self._get_state)
        calls.serve(GetEntityInfo, "get_entity_info", self._get_info)
        calls.serve(SetEntityInfo, "set_entity_info", self._set_info)
        calls.serve(GetEntityBounds, "get_entity_bounds", self._get_bounds)
        calls.serve(SetEntityState, "set_entity_state", self._set_state)
        calls.serve(DeleteEntity, "delete_entity", self._delete)
        calls.serve(SpawnEntity, "spawn_entity", self._spawn, aside=reading)
        calls.serve(SpawnEntities, "spawn_entities", self._spawn_all, aside=reading)
        calls.serve(GetSpawnables, "get_spawnables", self._get_spawnables, aside=reading, world=False)
        calls.serve(GetNamedPoses, "get_named_poses", self._get_poses)
        calls.serve(GetNamedPoseBounds, "get_named_pose_bounds", self._get_pose_bounds)

    def _get_entities(self, request: Any, response: Any) -> str:
        response.entities = list(self._entities.matching(request.filters))
        return ""

    def _get_states(self, request: Any, response: Any) -> str:
        response.entities = list(self._entities.matching(request.filters))
        response.states = [self._entities.state(name) for name in response.entities]
        return ""

    def _get_state(self, request: Any, response: Any) -> str:
        response.state = self._entities.state(request.entity)
        return ""

    def _get_info(self, request: Any, response: Any) -> str:
        response.info = self._entities.info(request.entity)
        return ""

    def _set_info(self, request: Any, response: Any) -> str:  # noqa: ARG002
        self._entities.set_info(request.entity, request.info)
        return ""

    def _get_bounds(self, request: Any, response: Any) -> str:
        response.bounds = self._entities.bounds(request.entity)
        return ""

    def _set_state(self, request: Any, response: Any) -> str:  # noqa: ARG002
        self._entities.set_state(request)
        return ""

    def _delete(self, request: Any, response: Any) -> str:  # noqa: ARG002
        actor = self._entities.actor(request.entity)
        if actor is None:
            raise Refused(Result.RESULT_OPERATION_FAILED, f"{request.entity}: is part of the robot and stays")
        self._face.scene.deleted(self._face.cast.remove(actor.id))
        self._entities.forget(request.entity)
        return ""

    # Spawning

    def _spawn(self, request: Any, response: Any) -> str:
        actor = spawning.actor_of(request, self._face.files)  # reads files: not on the world's thread
        reserved = self._face.rig.frame_names

        def join() -> str:
            self._calls.need_world("spawn_entity")  # it may have gone while files were read
            joined = spawning.add(actor, request, self._entities, self._face.cast, reserved)
            self._face.scene.spawned(joined)
            response.entity_name = joined.name
            return ""

        return str(self._calls.on_worker(join))

    def _spawn_all(self, request: Any, response: Any) -> str:
        if len(request.spawn_requests) > MAX_SPAWNS:
            got = f"got {len(request.spawn_requests)}"
            raise Refused(Result.RESULT_OPERATION_FAILED, f"spawn_requests: expected at most {MAX_SPAWNS}, {got}")
        for each in request.spawn_requests:
            said = SpawnResult()
            said.result = self._calls.result("spawn_entities", SpawnEntity, partial(self._spawn, each, said))
            response.results.append(said)
        wrong = [k for k, said in enumerate(response.results) if said.result.result != Result.RESULT_OK]
        if wrong:
            spawned = f"{len(response.results) - len(wrong)} of {len(response.results)} spawned; not number"
            raise Refused(SpawnEntities.Response.ENTITIES_SPAWN_FAILED, f"{spawned} {', '.join(map(str, wrong))} (from 0)")
        return f"{len(response.results)} spawned"

    def _get_spawnables(self, request: Any, response: Any) -> str:
        response.spawnables, unknown = spawning.spawnables(list(request.sources), self._face.files)
        return f"no folders inside the data folder: {', '.join(map(repr, unknown)):.500}" if unknown else ""

    # Named poses

    @property
    def _places(self) -> list[Place]:
        """Where the rig started, then what the world's description names."""
        label = self._face.scene.label
        start = Place("start", self._face.scene.start_pose, "where the ego was when the world began", ("start", EGO))
        return [start, *(each for each in (label.poses if label else ()) if each.name != start.name)]

    def _get_poses(self, request: Any, response: Any) -> str:
        passes = tag_filter(request.tags)
        for each in self._places:
            if passes(each.tags):
                pose = convert.to_pose(each.T_map)
                response.poses.append(NamedPose(name=each.name, description=each.description, tags=list(each.tags), pose=pose))
        return ""

    def _get_pose_bounds(self, request: Any, response: Any) -> str:
        named = {each.name: each for each in self._places}
        if request.name not in named:
            raise Refused(Result.RESULT_NOT_FOUND, f"name: expected one of {', '.join(named):.300}; got {request.name!r:.80}")
        size = named[request.name].size_m
        half = [0.0 if size is None else s / 2 for s in size or (0, 0, 0)]
        response.bounds = Bounds(type=Bounds.TYPE_EMPTY) if size is None else box_message([-h for h in half], half)
        return "" if size else f"{request.name}: how much room there is is not told"
