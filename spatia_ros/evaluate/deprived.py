"""A generator that is told less: one condition at a time left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from spatia_ros.generator import Generated, Generator
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.types import SpatiaError, View

EVERY_GENERATOR = ("memory_render", "references")
"""What any generator can do without: these are taken away before it conditions itself."""
CONDITIONS = (*EVERY_GENERATOR, "rays", "animation_time")
"""What ablations leave out, by the names of ``generator.drop``."""


def conditions_of(generator: Generator) -> tuple[str, ...]:
    """What a generator is told that can be left out."""
    return CONDITIONS if isinstance(generator, SpaceTimeGenerator) else EVERY_GENERATOR


class Deprived:
    """A generator without some of its conditions; without references, memory is not asked for any either.

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
            config = inner.config.model_copy(update={"drop": ",".join(sorted(self.without))})
            self.inner = SpaceTimeGenerator(inner.name, inner.engine, config)

    def ask(self, prompt: str, stream: Any) -> None:
        """The generator's own."""
        self.inner.ask(prompt, stream)

    def stream(self) -> Any:
        """The generator's own."""
        return self.inner.stream()

    def condition(self, shown: ClipView, stream: Any) -> Any:
        """What is left of what the generator is told."""
        if "references" in self.without:
            shown = replace(shown, references=((),) * len(shown))
        if "memory_render" in self.without and not isinstance(self.inner, SpaceTimeGenerator):
            shown = replace(shown, views=tuple(blank(view) for view in shown.views))
        return self.inner.condition(shown, stream)

    def sample(self, told: Any, stream: Any, rng: np.random.Generator) -> list[Generated]:
        """The frames of a clip."""
        return self.inner.sample(told, stream, rng)


def blank(view: View) -> View:
    """A view of a memory that knows nothing."""
    nothing = np.zeros_like(view.depth)
    return View(np.zeros_like(view.rgb), nothing, np.zeros_like(view.coverage), nothing, nothing)
