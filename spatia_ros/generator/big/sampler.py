"""One clip out of noise: flow matching by UniPC, guided by the prompt, with what is known held clean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import UniPCMultistepScheduler
from torch import Tensor

from spatia_ros.generator.big.codec import Codec, latent_frames
from spatia_ros.generator.big.low_rank import switch
from spatia_ros.generator.big.transformer import Network
from spatia_ros.types import Bool, SpatiaError, UInt8


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a clip is sampled; the values are those of Spatia's release.

    Args:
        steps: of the solver. guidance: classifier-free. shift: of the noise levels towards noise.
    """

    steps: int = 40
    guidance: float = 3.5
    shift: float = 5.0


@dataclass(frozen=True, slots=True)
class Clip:
    """What a clip is made from, on the model's canvas.

    Args:
        memory: uint8 [T, H, W, 3], what memory shows, black where nothing; T is 1, 5, 9, ...
        coverage: bool [T, H, W].
        known: uint8 [N, H, W, 3], the clip's beginning: N frames of a history, or 1 first frame, or none.
        references: uint8 [K, H, W, 3].
        history: the beginning is of an earlier clip (the low-rank part is for that), not a first frame.
    """

    memory: UInt8
    coverage: Bool
    known: UInt8
    references: UInt8
    history: bool


class Sampler:
    """A network and an autoencoder, ready to make clips."""

    def __init__(self, network: Network, codec: Codec, schedule: Schedule) -> None:
        self.network, self.codec, self.schedule = network, codec, schedule

    def sample(self, clip: Clip, asked: Tensor, shunned: Tensor, rng: np.random.Generator) -> UInt8:
        """The clip's T frames uint8 [T, H, W, 3], its beginning included.

        Args:
            asked, shunned: [1, S, channels], what is wanted and what is not, of :class:`.words.Words`.
        """
        if not len(clip.memory) or (len(clip.memory) - 1) % 4:
            raise SpatiaError(f"big generator: expected a clip of 1, 5, 9, ... frames, got {len(clip.memory)}")
        memory = torch.cat([self.codec.pictures(clip.memory), self.codec.unknown(clip.coverage)], 1)
        clean = self._clean(clip)
        references = len(clip.references)
        switch(self.network.low_rank, clip.history)
        noise = self._noise((*clean.shape[1:2], references + latent_frames(len(clip.memory)), *memory.shape[3:]), rng)
        latents = self._denoised(noise.to(memory), clean, references, memory, asked, shunned)
        return self.codec.decode(latents[:, :, references:])

    def _clean(self, clip: Clip) -> Tensor:
        """References, each its own picture, then the clip's known beginning: [1, C, K + n, h, w]."""
        parts = [self.codec.pictures(reference[None]) for reference in clip.references]
        if len(clip.known):
            parts.append(self.codec.pictures(clip.known))
        height, width = (side // self.codec.per_pixel for side in clip.memory.shape[1:3])
        empty = torch.zeros((1, self.codec.vae.config.z_dim, 0, height, width), device=self.codec.vae.device)
        return torch.cat([empty, *parts], 2)

    @staticmethod
    def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """Drawn on the CPU, so that a seed means the same on every device."""
        return torch.from_numpy(rng.standard_normal((1, *shape), np.float32))

    @torch.inference_mode()
    def _denoised(self, noise: Tensor, clean: Tensor, references: int, memory: Tensor, asked: Tensor, shunned: Tensor) -> Tensor:
        solver: Any = UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=self.schedule.shift, solver_order=2
        )
        solver.set_timesteps(self.schedule.steps, device=noise.device)
        kept = clean.shape[2]
        latents = torch.cat([clean, noise[:, :, kept:]], 2)
        weights, guided = self.network.base.dtype, self.schedule.guidance != 1.0
        for time in solver.timesteps:
            times = torch.full((latents.shape[2],), float(time), device=noise.device)
            times[:kept] = 0.0
            known = latents.to(weights), times, memory.to(weights), references
            velocity = self._velocity(asked, *known)
            if guided:
                without = self._velocity(shunned, *known)
                velocity = without + self.schedule.guidance * (velocity - without)
            latents = solver.step(velocity, time, latents, return_dict=False)[0]
            latents[:, :, :kept] = clean  # the solver moves everything; what is known stays
        return latents

    def _velocity(self, text: Tensor, latents: Tensor, times: Tensor, memory: Tensor, references: int) -> Tensor:
        return self.network.velocity(latents, times, text, memory, references).float()
