"""The few steps from noise to clean latents, as the world walks them: :mod:`.flow` without torch.

``z_t = (1 - t) z_0 + t eps``: t = 1 is noise, t = 0 is clean (rectified flow, arXiv 2209.03003). A
denoiser says which clean latents noisy ones came from; each Euler step goes towards them, and the
last one lands on them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from spatia_ros.types import Float32, SpatiaError, check_array

Denoise = Callable[[Float32, float], Float32]
"""Noisy latents [...] and their diffusion time to clean latents [...]."""
MAX_STEPS = 64
SHIFT = 3.0
"""How far steps are moved towards noise; 1: not at all."""


def schedule(steps: int, shift: float) -> list[float]:
    """``steps + 1`` times from 1 to 0: equal steps s, moved to ``shift s / (1 + (shift - 1) s)`` (arXiv 2403.03206, eq. 23)."""
    if not 1 <= steps <= MAX_STEPS or not 0.01 <= shift <= 100.0:
        raise SpatiaError(f"sampling: expected 1..{MAX_STEPS} steps and a shift of 0.01..100, got {steps} and {shift}")
    equal = [1.0 - i / steps for i in range(steps + 1)]
    return [shift * s / (1.0 + (shift - 1.0) * s) for s in equal]


def sample(denoise: Denoise, noise: Float32, steps: int, shift: float = SHIFT) -> Float32:
    """Walk from noise to clean latents in Euler steps along ``v = (z_t - z_0) / t``.

    Raises:
        SpatiaError: when the denoiser gives another shape than the noise's, or numbers that are not finite.
    """
    z, times = noise, schedule(steps, shift)
    for now, then in pairwise(times):
        z_0 = denoise(z, now)
        check_array("denoised latents", z_0, noise.shape, np.float32)
        z = z_0 + np.float32(then / now) * (z - z_0)
    if not np.isfinite(z).all():
        raise SpatiaError("denoised latents: expected finite numbers, got NaN or infinity")
    return z


def guided(told: Denoise, untold: Denoise, weight: float) -> Denoise:
    """Joint guidance (Video4Spatial, arXiv 2512.03040): ``s(none, noise) + w (s(g, context) - s(none, noise))``.

    In the branch that is told nothing the instruction is dropped and the context replaced by pure
    noise, both together. A weight of 1 asks that branch nothing.
    """
    if weight == 1.0:
        return told

    def denoise(z: Float32, t: float) -> Float32:
        bare = untold(z, t)
        return bare + np.float32(weight) * (told(z, t) - bare)

    return denoise


def boxed(denoise: Denoise, box: Float32, noise: Float32) -> Denoise:
    """A denoiser that is told a box: where ``box`` [T, 1, h, w] is not 0, the last channel of the latents is held to it.

    Its noisy value lies on the line from its own noise [T, C + 1, h, w] to it, as all that is known of a clip would.
    """
    told = box != 0

    def denoise_boxed(z: Float32, t: float) -> Float32:
        z = z.copy()
        z[:, -1:] = np.where(told, np.float32(1.0 - t) * box + np.float32(t) * noise[:, -1:], z[:, -1:])
        z_0 = denoise(z, t).copy()
        z_0[:, -1:] = np.where(told, box, z_0[:, -1:])
        return z_0

    return denoise_boxed if told.any() else denoise
