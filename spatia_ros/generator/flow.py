"""Flow matching: a straight line from noise to frames, and how it is walked.

``z_t = (1 - t) z_0 + t eps``: t = 1 is noise, t = 0 is clean (rectified flow, arXiv 2209.03003; flow
matching, arXiv 2210.02747). A denoiser says which clean latents a noisy one came from.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""Noisy latents [B, ...] and their diffusion times [B] to clean ones."""


def interpolate(z_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """``z_t = (1 - t) z_0 + t eps`` for latents [B, ...] and times [B]."""
    t = per_entry(t, z_0)
    return (1.0 - t) * z_0 + t * noise


def velocity(z_t: Tensor, z_0: Tensor, t: Tensor) -> Tensor:
    """``v = eps - z_0 = (z_t - z_0) / t`` for latents [B, ...] and times [B] above 0."""
    return (z_t - z_0) / per_entry(t, z_t)


def per_entry(t: Tensor, like: Tensor) -> Tensor:
    """Times [B] so that they multiply latents [B, ...]."""
    assert t.shape == like.shape[:1], (t.shape, like.shape)
    return t.view(-1, *[1] * (like.dim() - 1))


def schedule(steps: int, shift: float) -> list[float]:
    """``steps + 1`` times from 1 to 0: equal steps s, moved to ``shift s / (1 + (shift - 1) s)`` (arXiv 2403.03206, eq. 23).

    A shift above 1 spends more of the steps near noise, where what is where is decided.
    """
    equal = [1.0 - i / steps for i in range(steps + 1)]
    return [shift * s / (1.0 + (shift - 1.0) * s) for s in equal]


def sample(denoise: Denoise, noise: Tensor, steps: int, shift: float) -> Tensor:
    """Walk from noise [B, ...] to clean latents in Euler steps; the last one lands on what the denoiser says."""
    z, times = noise, schedule(steps, shift)
    for now, then in pairwise(times):
        t = torch.full(z.shape[:1], now, dtype=z.dtype, device=z.device)
        z = z + (then - now) * velocity(z, denoise(z, t), t)
    return z


def guided(told: Tensor, untold: Tensor, weight: float) -> Tensor:
    """Joint guidance (Video4Spatial, arXiv 2512.03040): ``s(none, noise) + w (s(g, context) - s(none, noise))``.

    In the branch that is told nothing the instruction is dropped and the context replaced by pure
    noise, both together. It is linear, and so the same for clean latents as for velocities and scores.
    """
    return untold + weight * (told - untold)
