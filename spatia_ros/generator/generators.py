"""The generators: one signature, learned or null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from spatia_ros.generator.fill_nano import Condition, condition
from spatia_ros.generator.sample import Engine, Generated, compose, sample
from spatia_ros.memory import Keyframe
from spatia_ros.types import Camera, Float64, View


class Generator(Protocol):
    """Fills and refines what memory shows: condition, then sample."""

    name: str
    references: int

    def condition(self, view: View, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]) -> Condition:
        """What the generator is told of one frame."""

    def sample(self, condition: Condition, rng: np.random.Generator) -> Generated:
        """One frame; the same condition and generator state give the same frame."""


class LearnedGenerator:
    """The network behind an engine."""

    def __init__(self, name: str, engine: Engine, references: int) -> None:
        self.name, self.engine, self.references = name, engine, references

    def condition(self, view: View, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]) -> Condition:
        """What the network is told of one frame."""
        return condition(view, camera, T_world_cam, references)

    def sample(self, condition: Condition, rng: np.random.Generator) -> Generated:  # noqa: ARG002  (the network is deterministic)
        """One frame."""
        return sample(self.engine, condition)


class ProjectionGenerator:
    """The null generator: what memory shows, and the mean of it in the holes."""

    name, references = "projection", 0

    def condition(self, view: View, camera: Camera, T_world_cam: Float64, references: Sequence[Keyframe]) -> Condition:
        """What memory shows, with the mean of it in the holes."""
        told = condition(view, camera, T_world_cam, references)
        told.image[:4, told.image[4] == 0] = 0.0  # the mean, in normalised units
        return told

    def sample(self, condition: Condition, rng: np.random.Generator) -> Generated:  # noqa: ARG002  (nothing is drawn)
        """One frame: the condition itself."""
        no_change = np.zeros((5, *condition.image.shape[1:]), np.float32)
        return compose(condition, no_change)
