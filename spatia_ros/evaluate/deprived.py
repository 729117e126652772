"""A generator that is told less: one condition at a time left out, as training leaves it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spatia_ros.generator import Generated, Generator
from spatia_ros.generator.condition import NO_CLOCK, ClipCondition, ClipView, Context
from spatia_ros.generator.sample import Engine
from spatia_ros.generator.space_time import Networks, SpaceTimeGenerator
from spatia_ros.types import Float32, SpatiaError, View

EVERY_GENERATOR = ("memory_render", "references")
"""What any generator can do without: these are taken away before it conditions itself."""
CONDITIONS = (*EVERY_GENERATOR, "rays", "animation_time")
FAR, RAYS = slice(8, 10), slice(13, 15)
"""Channels of a view's image: distance to the known, and pixel rays (:mod:`spatia_ros.generator.image`)."""


def conditions_of(generator: Generator) -> tuple[str, ...]:
    """What a generator is told that can be left out."""
    return CONDITIONS if isinstance(generator, SpaceTimeGenerator) else EVERY_GENERATOR


class Deprived:
    """A generator without some of its conditions.

    Args:
        inner: the generator. without: names out of CONDITIONS.

    Raises:
        SpatiaError: for a condition that the generator is not told anyway.
    """

    def __init__(self, inner: Generator, without: Iterable[str]) -> None:
        self.without = frozenset(without)
        if not self.without <= set(conditions_of(inner)):
            raise SpatiaError(f"ablation: expected conditions out of {conditions_of(inner)}, got {sorted(self.without)}")
        self.name = inner.name
        self.references = 0 if "references" in self.without else inner.references
        self.inner = inner
        if isinstance(inner, SpaceTimeGenerator):
            self.inner = SpaceTimeGenerator(inner.name, NothingIsZero(inner.engine), inner.config)

    def stream(self) -> Any:
        """The generator's own."""
        return self.inner.stream()

    def condition(self, shown: ClipView, stream: Any) -> Any:
        """What is left of what the generator is told."""
        if "references" in self.without:
            shown = replace(shown, references=((),) * len(shown))
        if not isinstance(self.inner, SpaceTimeGenerator):
            blind = "memory_render" in self.without
            return self.inner.condition(replace(shown, views=tuple(map(blank, shown.views))) if blind else shown, stream)
        told = less_told(self.inner.condition(shown, stream), self.without)
        if stream.held is not None and stream.held.context is not None:
            stream.held = replace(stream.held, context=less_context(stream.held.context, self.without))
        return told

    def sample(self, told: Any, stream: Any, rng: np.random.Generator) -> list[Generated]:
        """The frames of a clip."""
        return self.inner.sample(told, stream, rng)


def blank(view: View) -> View:
    """A view of a memory that knows nothing."""
    nothing = np.zeros_like(view.depth)
    return View(np.zeros_like(view.rgb), nothing, np.zeros_like(view.coverage), nothing, nothing)


def less_told(told: ClipCondition, without: Iterable[str]) -> ClipCondition:
    """A clip's condition with what is left out replaced by what the network takes for nothing."""
    changes: dict[str, Any] = {}
    if "memory_render" in without:
        image = np.zeros_like(told.image)
        image[:, FAR], image[:, RAYS] = 1.0, told.image[:, RAYS]
        changes |= {"image": image, "memory": np.zeros_like(told.memory), "uncovered": np.ones_like(told.uncovered)}
    if "rays" in without:
        changes["rays"] = np.zeros_like(told.rays)
    if "animation_time" in without:
        changes["animation"] = np.full_like(told.animation, NO_CLOCK)
    return replace(told, **changes)


def less_context(context: Context, without: Iterable[str]) -> Context:
    """The same for the context beside it."""
    changes: dict[str, Any] = {}
    if "references" in without:
        changes["frames"] = np.zeros_like(context.frames)
    if "rays" in without:
        changes["rays"] = np.zeros_like(context.rays)
    if "animation_time" in without:
        changes["animation"] = np.full_like(context.animation, NO_CLOCK)
    return replace(context, **changes)


@dataclass(frozen=True, slots=True)
class NothingIsZero:
    """Networks whose latents of all-zero frames are zero, as in training: an absent memory has no latents."""

    inner: Networks

    @property
    def encode(self) -> Engine:
        """Frames to latents."""
        return self._encode

    def _encode(self, given: Mapping[str, Float32]) -> dict[str, Float32]:
        there = np.abs(given["frames"]).max((1, 2, 3)) > 0
        latents = self.inner.encode(given)["latents"]
        return {"latents": np.where(there[:, None, None, None], latents, np.float32(0.0))}

    @property
    def text(self) -> Engine:
        """The networks' own."""
        return self.inner.text

    @property
    def context(self) -> Engine:
        """The networks' own."""
        return self.inner.context

    @property
    def denoise(self) -> Engine:
        """The networks' own."""
        return self.inner.denoise

    @property
    def decode(self) -> Engine:
        """The networks' own."""
        return self.inner.decode
