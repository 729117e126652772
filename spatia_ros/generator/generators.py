"""The generators: one signature, learned or null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.image import visible_statistics
from spatia_ros.generator.sample import MAX_DEPTH_M, MIN_DEPTH_M, Generated
from spatia_ros.generator.stream import Stream
from spatia_ros.memory import Keyframe
from spatia_ros.types import Float32, Float64, Frame, SpatiaError, View


class Carried(Protocol):
    """What a generator carries from clip to clip; it belongs to a world, and to the world's snapshot."""

    def follow(self, frames: Sequence[Frame], animation_s: Float64) -> None:
        """Take note of the frames of a clip, and of the animation time [T] each shows."""

    def put_aside(self, other: Any) -> Any:
        """Go on with another context and prompt (None: a new context, the same prompt); gives back those in use."""

    def snapshot(self) -> Any:
        """The whole state, independent of what comes next."""

    def restore(self, state: Any) -> None:
        """Go back to a snapshot, which stays usable."""


class Generator(Protocol):
    """Fills and refines what memory shows along a clip: condition, then sample.

    ``references`` is how many keyframes it wants retrieved for each frame.
    """

    name: str
    references: int

    def ask(self, prompt: str, stream: Any) -> None:
        """Have a stream follow a prompt from its next context on.

        Raises:
            SpatiaError: when it cannot be followed; the one before stays.
        """

    def stream(self) -> Carried:
        """What is carried from clip to clip, at the start of a world."""

    def condition(self, shown: ClipView, stream: Any) -> Any:
        """What the generator is told of a clip."""

    def sample(self, told: Any, stream: Any, rng: np.random.Generator) -> list[Generated]:
        """The frames of a clip; what it is told, the stream and the state of ``rng`` decide them."""


@runtime_checkable
class Stepwise(Protocol):
    """A generator that walks from noise to frame in steps, and can be asked to take fewer."""

    @property
    def steps(self) -> int:
        """Steps from noise to frame."""

    def in_steps(self, steps: int) -> Generator:
        """The same generator in another number of steps; a stream of one serves the other."""


class Plain(NamedTuple):
    """A view, and the mean of what it shows."""

    view: View
    colour: Float32  # [3], 0..1
    depth_m: float

    @classmethod
    def of(cls, view: View, references: Sequence[Keyframe]) -> Plain:
        """The means of a view; of its references where it shows next to nothing."""
        colour, _, log_depth = visible_statistics(view, references)
        return cls(view, colour, float(np.exp(log_depth)))

    def filled(self) -> Generated:
        """The view with its means in the holes."""
        shown, mean = self.view.coverage, np.clip(self.colour * 255.0 + 0.5, 0, 255).astype(np.uint8)
        depth = np.where(shown, self.view.depth, np.float32(self.depth_m)).clip(MIN_DEPTH_M, MAX_DEPTH_M)
        rgb = self.view.rgb.copy()
        rgb[~shown] = mean
        return Generated(rgb, depth.astype(np.float32, copy=False), np.ones(depth.shape, np.float32))


class ProjectionGenerator:
    """The null generator: what memory shows, and the mean of it in the holes."""

    name, references = "projection", 0

    def ask(self, prompt: str, stream: Stream) -> None:  # noqa: ARG002
        """Nothing can be asked for: what memory shows is all there is."""
        if prompt:
            raise SpatiaError(f"prompt: expected none, as generator {self.name!r} reads no text, got {prompt!r}")

    def stream(self) -> Stream:
        """Nothing is carried."""
        return Stream(context_frames=0)

    def condition(self, shown: ClipView, stream: Stream) -> list[Plain]:  # noqa: ARG002
        """What memory shows, and the mean of it."""
        return [Plain.of(view, references) for view, references in zip(shown.views, shown.references, strict=True)]

    def sample(self, told: list[Plain], stream: Stream, rng: np.random.Generator) -> list[Generated]:  # noqa: ARG002
        """The frames: what memory shows, with the mean of it in the holes, as unsure of its depth as can be."""
        return [each.filled() for each in told]


class MemoryAlone(ProjectionGenerator):
    """Memory drawn, and nothing of it believed that memory did not show: no frame of this generator adds to memory.

    What takes a learned generator's place where there is no time for it.
    """

    name = "memory-alone"

    def sample(self, told: list[Plain], stream: Stream, rng: np.random.Generator) -> list[Generated]:
        """The frames, endlessly unsure of their depth."""
        made = super().sample(told, stream, rng)
        return [replace(each, depth_spread=np.full_like(each.depth_spread, np.inf)) for each in made]
