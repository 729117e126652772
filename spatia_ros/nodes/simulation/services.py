"""simulation_interfaces served: what is advertised, and by whom it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulation_interfaces.msg import SimulatorFeatures
from simulation_interfaces.srv import GetSimulatorFeatures

from spatia_ros.nodes.part import Part
from spatia_ros.nodes.simulation import spawning
from spatia_ros.nodes.simulation.calls import Calls
from spatia_ros.nodes.simulation.entity_calls import EntityServices
from spatia_ros.nodes.simulation.state_calls import StateServices
from spatia_ros.nodes.simulation.world_calls import WorldServices

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

ABOUT = (
    "entities: the ego (the rig), its camera, and actors; resource strings of entities are one entry of an actor script "
    "(docs/actors.md), those of worlds a description (docs/simulation_interfaces.md); one step is one frame"
)


class Simulation(Part):
    """The services and the action of simulation_interfaces."""

    def __init__(self, face: WorldFace) -> None:
        self._play = face.play
        calls = Calls(face.endpoints, face, face.group)
        self._entities = EntityServices(face, calls)
        self._state = StateServices(face, calls)
        self._worlds = WorldServices(face, calls)
        face.endpoints.create_service(GetSimulatorFeatures, "get_simulator_features", self._features, callback_group=face.group)

    def deactivate(self) -> None:
        """Steps that somebody waits for end."""
        self._play.close()

    def _features(self, _: Any, response: Any) -> Any:
        features = sorted({*self._entities.features, *self._state.features, *self._worlds.features})
        response.features = SimulatorFeatures(features=features, spawn_formats=list(spawning.FORMATS), custom_info=ABOUT)
        return response
