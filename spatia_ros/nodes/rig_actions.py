"""The actions of a world: those that move its rig take turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spatia_ros.nodes.exporting import Exporter
from spatia_ros.nodes.goals import Turn
from spatia_ros.nodes.navigate import Navigator
from spatia_ros.nodes.part import Part
from spatia_ros.nodes.trajectories import Trajectories

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
