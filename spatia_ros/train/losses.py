"""What the generator is trained to make small. Each term is a small function of named arrays."""

from __future__ import annotations

import torch
from torch import Tensor

LOG_FLOOR = 2e-4
"""Mean square error (colours in 0..1) below which an image asks for no further gain: 37 dB."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean per image [B] of values [B, C, H, W] where mask [B, 1, H, W]; 0 where the mask is empty."""
    weight = mask.expand_as(values).flatten(1).sum(1)
    return (values * mask).flatten(1).sum(1) / weight.clamp(min=1.0)


def log_error(colour: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Half the log of the mean square error per image [B]: PSNR itself, up to sign and scale.

    The mean over images of this is the mean of their PSNRs, so dim and bright, plain and busy
    images count alike, as they do in the evaluation.
    """
    return 0.5 * torch.log(masked_mean((colour - truth) ** 2, mask) + LOG_FLOOR)


def depth_error(log_depth: Tensor, log_spread: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Laplace negative log-likelihood per image [B] of the true log-depth: error over spread, plus log spread."""
    error = (log_depth - truth).abs()
    return masked_mean(error * torch.exp(-log_spread) + log_spread, mask)
