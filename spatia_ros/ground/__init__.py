"""From words to things: find what a phrase means, and a collision-free way to look at it."""

from spatia_ros.ground.answer import Candidate, Grounded, Sighting
from spatia_ros.ground.navigate import Survey, find, navigate, survey
from spatia_ros.ground.phrase import Query, parse

__all__ = ["Candidate", "Grounded", "Query", "Sighting", "Survey", "find", "navigate", "parse", "survey"]
