"""simulation_interfaces served: entities asked for, spawned, moved and deleted, with the standard's result codes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup
from simulation_interfaces.msg import Result, SimulatorFeatures
from simulation_interfaces.srv import (
    DeleteEntity,
    GetEntities,
    GetEntitiesStates,
    GetEntityBounds,
    GetEntityInfo,
    GetEntityState,
    GetSimulatorFeatures,
    GetSpawnables,
    SetEntityState,
    SpawnEntity,
)

from spatia_ros.nodes import entities, spawning
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.entity_filter import Refused
from spatia_ros.nodes.files import DataFolder
from spatia_ros.nodes.health import Health
from spatia_ros.nodes.worker import Worker
from spatia_ros.types import SpatiaError

FEATURES = (
    SimulatorFeatures.SPAWNING, SimulatorFeatures.DELETING, SimulatorFeatures.ENTITY_TAGS, SimulatorFeatures.ENTITY_BOUNDS,
    SimulatorFeatures.ENTITY_BOUNDS_BOX, SimulatorFeatures.ENTITY_CATEGORIES, SimulatorFeatures.SPAWNING_RESOURCE_STRING,
    SimulatorFeatures.ENTITY_STATE_GETTING, SimulatorFeatures.ENTITY_STATE_SETTING, SimulatorFeatures.ENTITY_INFO_GETTING,
    SimulatorFeatures.SPAWNABLES,
)  # fmt: skip
"""What is advertised: each is proven by a test."""
ABOUT = "entities: the ego (the rig), its camera, and actors; resource strings are one entry of an actor script (docs/actors.md)"


class Stage(entities.Stage):
    """What of a world node is needed here."""

    worker: Worker
    health: Health
    files: DataFolder


class Simulation:
    """The services, on a node."""

    def __init__(self, endpoints: Endpoints, stage: Stage, group: CallbackGroup) -> None:
        self._endpoints, self._stage, self._group = endpoints, stage, group
        self._reading = MutuallyExclusiveCallbackGroup()  # a large mesh keeps nobody else waiting
        self._entities = entities.Entities(stage)
        endpoints.create_service(GetSimulatorFeatures, "get_simulator_features", self._features, callback_group=group)
        self._serve(GetEntities, "get_entities", self._get_entities)
        self._serve(GetEntitiesStates, "get_entities_states", self._get_states)
        self._serve(GetEntityState, "get_entity_state", self._get_state)
        self._serve(GetEntityInfo, "get_entity_info", self._get_info)
        self._serve(GetEntityBounds, "get_entity_bounds", self._get_bounds)
        self._serve(SetEntityState, "set_entity_state", self._set_state)
        self._serve(DeleteEntity, "delete_entity", self._delete)
        self._serve(SpawnEntity, "spawn_entity", self._spawn, reads=True)
        self._serve(GetSpawnables, "get_spawnables", self._get_spawnables, reads=True)

    def _serve(self, kind: type, name: str, job: Callable[[Any, Any], str], reads: bool = False) -> None:
        """A service whose job fills the response and returns what there is to say; on the world's thread, or reading files."""

        def answer(request: Any, response: Any) -> Any:
            def work() -> str:
                return job(request, response) if reads else self._on_worker(lambda: job(request, response))

            response.result = self._result(name, kind, work)
            return response

        self._endpoints.create_service(kind, name, answer, callback_group=self._reading if reads else self._group)

    def _on_worker(self, job: Callable[[], str]) -> str:
        return self._stage.worker.submit(job).result()

    def _result(self, name: str, kind: Any, work: Callable[[], str]) -> Result:
        """The result code of a piece of work; whatever it raises becomes one."""
        try:
            return Result(result=Result.RESULT_OK, error_message=work())
        except Refused as error:
            code, words = error.code, str(error)
        except entities.InvalidPose as error:
            code, words = kind.Response.INVALID_POSE, str(error)
        except (SpatiaError, OSError) as error:
            self._stage.health.refuse(name, error)
            code, words = Result.RESULT_OPERATION_FAILED, str(error)
        except CancelledError:
            code, words = Result.RESULT_INCORRECT_STATE, "the node is not active"
        except Exception as error:  # say so, and live on
            code, words = Result.RESULT_OPERATION_FAILED, self._stage.health.fail(name, error)
        return Result(result=code, error_message=words)

    def _features(self, _: Any, response: Any) -> Any:
        response.features = SimulatorFeatures(features=FEATURES, spawn_formats=list(spawning.FORMATS), custom_info=ABOUT)
        return response

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
        self._stage.cast.remove(actor.id)
        return ""

    def _spawn(self, request: Any, response: Any) -> str:
        actor = spawning.actor_of(request, self._stage.files)  # reads files: not on the world's thread
        reserved = self._stage.rig.frame_names

        def join() -> str:
            response.entity_name = spawning.add(actor, request, self._entities, self._stage.cast, reserved)
            return ""

        return self._on_worker(join)

    def _get_spawnables(self, request: Any, response: Any) -> str:
        response.spawnables, unknown = spawning.spawnables(list(request.sources), self._stage.files)
        return f"no folders inside the data folder: {', '.join(map(repr, unknown)):.500}" if unknown else ""
