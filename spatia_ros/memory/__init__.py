"""The explicit, updatable 3D memory of a place."""

from spatia_ros.memory.keyframes import Keyframe
from spatia_ros.memory.memory import Memory, MemorySnapshot, Points

__all__ = ["Keyframe", "Memory", "MemorySnapshot", "Points"]
