"""The actions of a world: those that move its rig take turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spatia_ros.nodes.actions.exporting import Exporter
from spatia_ros.nodes.actions.goals import Turn
from spatia_ros.nodes.actions.navigate import Navigator
from spatia_ros.nodes.actions.trajectories import Trajectories
from spatia_ros.nodes.part import Part

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace


class RigActions(Part):
    """navigate_to_object, generate_trajectory, export_dataset: one goal at a time; a newer command takes its place, too."""

    def __init__(self, face: WorldFace) -> None:
        self._turn = Turn()
        Navigator(face, self._turn)
        Trajectories(face, self._turn)
        Exporter(face, self._turn)

    def activate(self) -> None:
        """Goals may be carried out."""
        self._turn.open()

    def deactivate(self) -> None:
        """The goals in progress end."""
        self._turn.close()

    def close(self) -> None:
        """The goals in progress end."""
        self._turn.close()
