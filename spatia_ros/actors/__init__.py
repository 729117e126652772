"""What moves in a place: kept apart from the static memory, indexed by time."""

from spatia_ros.actors.actors import ActorPoints, Actors, Observation
from spatia_ros.actors.mover import Mover

__all__ = ["ActorPoints", "Actors", "Mover", "Observation"]
