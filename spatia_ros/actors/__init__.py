"""What moves in a place: kept apart from the static memory, a function of animation time."""

from spatia_ros.actors.actor import Actor, Posed
from spatia_ros.actors.body import Body, BodyPoints, RigidBody, joined
from spatia_ros.actors.cast import Cast, CastSnapshot
from spatia_ros.actors.clock import Clock
from spatia_ros.actors.jointed import JointedBody, Part
from spatia_ros.actors.mover import Mover
from spatia_ros.actors.mover_log import MoverLog
from spatia_ros.actors.observed import Observation, ObservedBody
from spatia_ros.actors.patterns import PATTERNS, pattern
from spatia_ros.actors.track import PoseTrack

__all__ = [
    "PATTERNS", "Actor", "Body", "BodyPoints", "Cast", "CastSnapshot", "Clock", "JointedBody", "Mover", "MoverLog", "Observation",
    "ObservedBody", "Part", "PoseTrack", "Posed", "RigidBody", "joined", "pattern",
]
