"""From clips to batches of tensors; a batch depends on its seeds alone, so training resumes exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spatia_ros.train.example import collate

if TYPE_CHECKING:
    from spatia_ros.train.example import Batch, Example
    from spatia_ros.train.presets import StagePlan


class Clips(Protocol):
    """A set of clips to learn from: :class:`spatia_ros.train.clip_set.ClipSet`, or a stand-in."""

    @property
    def validation(self) -> Sequence[Example]:
        """Held-out clips."""

    @property
    def checks(self) -> Mapping[str, Sequence[Example]]:
        """Held-out clips that need one condition, by its name in the set."""

    def draw(self, rng: np.random.Generator, frames: int, context: int) -> Example:
        """A random clip, augmented, as an example of so many frames and context frames."""


@dataclass(frozen=True, slots=True)
class ClipBatches:
    """Batches drawn from a set of clips."""

    clips: Clips

    def batch(self, seeds: tuple[int, ...], plan: StagePlan) -> Batch:
        """Augmented clips of one random length; short clips come in larger batches, so that every step costs the same."""
        rng = np.random.default_rng(seeds)
        lengths = [n for n in (1, 2, 4, 8, 16) if n <= plan.frames]
        frames = int(rng.choice(lengths))
        context = int(rng.integers(1, plan.context + 1))
        count = plan.batch * plan.frames // frames
        return collate([self.clips.draw(rng, frames, context) for _ in range(count)])


def held_out(examples: Sequence[Example], plan: StagePlan, most: int) -> list[Batch]:
    """Up to ``most`` held-out clips from all over the set, as they are, in batches."""
    chosen = [examples[int(i)] for i in np.linspace(0, len(examples) - 1, min(most, len(examples)))]
    cut = [example.cut(min(plan.frames, len(example)), plan.context) for example in chosen]
    return [collate(cut[i : i + plan.batch]) for i in range(0, len(cut), plan.batch)]
