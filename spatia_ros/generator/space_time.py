"""The generator of space, time and context: five networks, run in a clip's few steps."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from spatia_ros.config import GeneratorConfig
from spatia_ros.generator.box import read_box
from spatia_ros.generator.condition import ClipCondition, ClipView, condition, images_of
from spatia_ros.generator.dropped import clip_without, conditions_in, context_without, nothing_known
from spatia_ros.generator.sample import Engine, Generated, compose
from spatia_ros.generator.sampling import Denoise, boxed, guided, sample
from spatia_ros.generator.stream import Stream
from spatia_ros.generator.text import tokenise
from spatia_ros.types import Float32, check_array

UNGUIDED = frozenset({"text", "references"})
"""What the branch that guidance goes away from is not told: prompt and context together (Video4Spatial, arXiv 2512.03040)."""

INSTRUCTIONS = frozenset({"text", "rays", "animation_time"})
"""Conditions that are left out of a clip by saying nothing in their place."""


class Networks(Protocol):
    """The five networks behind engines, as :mod:`spatia_ros.engine.table` names what goes in and out."""

    @property
    def encode(self) -> Engine:
        """Frames to latents."""

    @property
    def text(self) -> Engine:
        """Tokens to text."""

    @property
    def context(self) -> Engine:
        """Clean latents to keys and values."""

    @property
    def denoise(self) -> Engine:
        """Noisy latents, and all that is told, to clean ones."""

    @property
    def decode(self) -> Engine:
        """Clean latents and the images of the views to what changes in them."""


class SpaceTimeGenerator:
    """The networks, and how they are asked.

    Encodes what memory shows, takes up the context (once for as long as it is held), walks from noise
    to clean latents, and decodes them onto the images of the views.

    Args:
        engine: the networks.
        config: steps, guidance, context frames, references, the prompt, and what is left out.
        unguided: conditions that guidance's other branch is not told; in place of references it is given pure noise.

    Raises:
        SpatiaError: when the prompt has unknown words, or what is to be left out is no condition.
    """

    def __init__(self, name: str, engine: Networks, config: GeneratorConfig, unguided: frozenset[str] = UNGUIDED) -> None:
        self.name, self.engine, self.config = name, engine, config
        self.references, self.unguided = config.references, unguided
        self.tokens, self.dropped = tokenise(config.prompt), conditions_in(config.drop)

    @property
    def steps(self) -> int:
        """Steps from noise to frame."""
        return self.config.steps

    def in_steps(self, steps: int) -> SpaceTimeGenerator:
        """The same networks, asked in another number of steps; a stream of one serves the other."""
        return SpaceTimeGenerator(self.name, self.engine, self.config.model_copy(update={"steps": steps}), self.unguided)

    def ask(self, prompt: str, stream: Stream) -> None:
        """Have a stream follow a prompt, in the words of :mod:`.text`."""
        stream.prompt = tokenise(prompt)

    def stream(self) -> Stream:
        """A stream without a past."""
        return Stream(self.config.context_frames)

    def condition(self, shown: ClipView, stream: Stream) -> ClipCondition:
        """What the networks are told of a clip; the stream takes new context if it is due."""
        images = images_of(shown)
        held = stream.prepare(shown, images[0])
        tokens = self.tokens if stream.prompt is None else stream.prompt
        told = condition(images, shown.camera, shown.T_world_cams, shown.times_s, shown.animation_s, held.anchor, tokens)
        return clip_without(told, self.dropped)

    def sample(self, told: ClipCondition, stream: Stream, rng: np.random.Generator) -> list[Generated]:
        """The frames of a clip, and, in the stream, the boxes drawn along.

        Noise is drawn when the context is new, and then kept with it.
        """
        z = self.latents(told, stream, rng)
        stream.boxes = tuple(read_box(each[-1], view.size) for each, view in zip(z, told.views, strict=True))
        change = self.engine.decode({"z": z, "image": told.image, "to_view": told.to_view})["change"]
        return [compose(view, each) for view, each in zip(told.views, change, strict=True)]

    def latents(self, told: ClipCondition, stream: Stream, rng: np.random.Generator) -> Float32:
        """The clean latents of a clip, float32 [T, C + 1, h, w]; the last channel is the box."""
        memory = self.engine.encode({"frames": told.memory})["latents"]
        if "memory_render" in self.dropped:
            memory = np.zeros_like(memory)
        noise = self._noise(told, memory.shape[1] + 1, stream, rng)
        denoise = self._denoiser(told, memory, "told", stream, rng)
        if self.config.guidance != 1.0:
            denoise = guided(denoise, self._denoiser(told, memory, "untold", stream, rng), self.config.guidance)
        return sample(boxed(denoise, told.box, noise), noise, self.config.steps)

    def _noise(self, told: ClipCondition, channels: int, stream: Stream, rng: np.random.Generator) -> Float32:
        """The clip's noise, float32 [T, C + 1, h, w]."""
        shape = (len(told), channels, *told.uncovered.shape[2:])
        kept = stream.computed.get("noise")
        if kept is None or kept.shape != shape:
            kept = stream.computed["noise"] = rng.standard_normal(shape, np.float32)
        return kept

    def _denoiser(self, told: ClipCondition, memory: Float32, branch: str, stream: Stream, rng: np.random.Generator) -> Denoise:
        """The transformer with all it is told but the noisy latents.

        Args:
            branch: "told", or "untold": without what is ``unguided`` (see :func:`.sampling.guided`).
        """
        if branch == "untold":
            told = clip_without(told, self.unguided & INSTRUCTIONS)
        if f"{branch} keys" not in stream.computed:
            self._take_up(told, memory.shape[1], branch, stream, rng)
        given = {
            "memory": memory[None], "uncovered": told.uncovered[None], "rays": told.rays[None],
            "time": told.time[None], "animation": told.animation[None],
            **{name: stream.computed[f"{branch} {name}"] for name in ("keys", "values", "text")},
        }

        def denoise(z: Float32, t: float) -> Float32:
            asked = {"z": np.ascontiguousarray(z[None]), "flow_time": np.array([t], np.float32)}
            return self.engine.denoise(asked | given)["z0"][0]

        return denoise

    def _take_up(self, told: ClipCondition, channels: int, branch: str, stream: Stream, rng: np.random.Generator) -> None:
        """Compute the keys, values and text of a branch, to be kept for as long as the context is held."""
        less = self.dropped if branch == "told" else self.dropped | self.unguided & INSTRUCTIONS
        context = context_without((stream.held.context if stream.held else None) or nothing_known(), less)
        latents = np.zeros((len(context), channels + 1, *context.rays.shape[2:]), np.float32)  # its box is not told
        if branch == "untold" and "references" in self.unguided:
            latents = rng.standard_normal(latents.shape, np.float32)
        elif context.frames.any():
            latents[:, :-1] = self.engine.encode({"frames": context.frames})["latents"]
        asked = {"latents": latents, "rays": context.rays, "time": context.time, "animation": context.animation}
        computed = self.engine.context({name: array[None] for name, array in asked.items()})
        computed["text"] = self.engine.text({"tokens": told.tokens[None]})["text"]
        for name in ("keys", "values", "text"):
            check_array(f"{branch} {name}", computed[name], (None,) * computed[name].ndim, np.float32)
            stream.computed[f"{branch} {name}"] = computed[name]
