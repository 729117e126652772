"""What training spoils on purpose: latents by noise, conditions by leaving them out.

Every draw takes its generator as an argument and is made on the CPU, so that a step's noise
follows from the run's seed and the step alone, on any device.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from spatia_ros.generator.anchor import NO_CLOCK
from spatia_ros.train.conditions import Conditions

FAR, RAYS = slice(8, 10), slice(13, 15)
"""Channels of an image: distance to the known, and pixel rays (see :mod:`spatia_ros.generator.condition`)."""
CONDITIONS = ("memory_render", "references", "rays", "animation_time", "text")
"""What can be left out, by its name in ablations."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Which conditions are left out of which clip: bool [B] each. ``guidance``: context is pure noise and the prompt empty."""

    memory_render: Tensor
    references: Tensor
    rays: Tensor
    animation_time: Tensor
    text: Tensor
    guidance: Tensor


def none_dropped(batch: int) -> Dropped:
    """Every condition kept."""
    return Dropped(*(torch.zeros(batch, dtype=torch.bool) for _ in fields(Dropped)))


def only_dropped(name: str, batch: int) -> Dropped:
    """One condition left out of every clip."""
    return replace(none_dropped(batch), **{name: torch.ones(batch, dtype=torch.bool)})


def draw_dropped(batch: int, alone: float, jointly: float, generator: torch.Generator) -> Dropped:
    """Conditions left out at random: each alone, hence several by chance, and context with prompt for joint guidance.

    Args:
        alone: probability of leaving out one condition, independent of the others.
        jointly: probability of the unconditional branch of joint guidance (Video4Spatial, arXiv 2512.03040).
    """
    out = {name: torch.rand(batch, generator=generator) < alone for name in CONDITIONS}
    return Dropped(**out, guidance=torch.rand(batch, generator=generator) < jointly)


def drop(conditions: Conditions, dropped: Dropped, generator: torch.Generator) -> Conditions:
    """The conditions with what is dropped replaced by what the network takes for nothing (see its docstring)."""
    c = conditions

    def where(mask: Tensor, nothing: Tensor | float, kept: Tensor) -> Tensor:
        mask = mask.to(kept.device).view(-1, *(1,) * (kept.ndim - 1))
        return torch.where(mask, torch.as_tensor(nothing, dtype=kept.dtype, device=kept.device), kept)

    noise = torch.randn(c.context.shape, generator=generator).to(c.context)
    return Conditions(
        memory=where(dropped.memory_render, 0.0, c.memory),
        uncovered=where(dropped.memory_render, 1.0, c.uncovered),
        rays=where(dropped.rays, 0.0, c.rays),
        time=c.time,
        animation=where(dropped.animation_time, NO_CLOCK, c.animation),
        tokens=where(dropped.text | dropped.guidance, 0, c.tokens),
        context=where(dropped.references, 0.0, where(dropped.guidance, noise, c.context)),
        context_rays=where(dropped.rays, 0.0, c.context_rays),
        context_time=c.context_time,
        context_animation=where(dropped.animation_time, NO_CLOCK, c.context_animation),
    )


def worn(context: Tensor, generator: torch.Generator, most: float = 0.3) -> Tensor:
    """Context latents [B, K, C + 1, h, w] as in a running world, where recent frames are generated: noise in half of them.

    Spatia (arXiv 2512.15716) likewise noises the preceding latents in training. What is absent (all zero) stays so.
    """
    B, K = context.shape[:2]
    level = most * torch.rand(B, K, generator=generator) * (torch.rand(B, K, generator=generator) < 0.5)
    level = level.to(context).view(B, K, 1, 1, 1)
    noise = torch.randn(context.shape, generator=generator).to(context)
    return torch.where(context == 0, context, (1.0 - level) * context + level * noise)


def blanked(image: Tensor, dropped: Tensor) -> Tensor:
    """Images [B, T, 15, H, W] as the decoder sees them; of clips that dropped memory, [B], only pixel rays are left."""
    nothing = torch.zeros_like(image)
    nothing[:, :, FAR] = 1.0
    nothing[:, :, RAYS] = image[:, :, RAYS]
    return torch.where(dropped.to(image.device).view(-1, 1, 1, 1, 1), nothing, image)


def logit_normal(shape: tuple[int, ...], shift: float, generator: torch.Generator) -> Tensor:
    """Flow times in (0, 1): logit-normal, pushed towards noise by ``shift`` (arXiv 2403.03206, eq. 19 and 23)."""
    t = torch.sigmoid(torch.randn(shape, generator=generator))
    return shift * t / (1.0 + (shift - 1.0) * t)


@dataclass(frozen=True, slots=True)
class Corruption:
    """How latents are spoilt before the decoder reads them.

    Args:
        clean: share of clips left as they are.
        noise: highest flow time (share of noise) of the others.
        forget: largest share of places that fall back to what the memory's own latents say.
    """

    clean: float = 0.2
    noise: float = 0.7
    forget: float = 0.6

    def __call__(self, latents: Tensor, fallback: Tensor, generator: torch.Generator) -> Tensor:
        """Spoilt latents [B, T, C, h, w]; ``fallback`` (same shape) stands in where they are forgotten."""
        B, T, _, h, w = latents.shape
        draw = lambda *shape: torch.rand(shape, generator=generator).to(latents.device)  # noqa: E731
        spoil = (draw(B, 1, 1, 1, 1) >= self.clean).to(latents.dtype)
        t = spoil * self.noise * draw(B, 1, 1, 1, 1)
        forgotten = draw(B, T, 1, h, w) < spoil * self.forget * draw(B, 1, 1, 1, 1)
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        return torch.where(forgotten, fallback, (1.0 - t) * latents + t * noise)
