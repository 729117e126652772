"""What the generator is trained to make small. Each term is a small function of named arrays."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LOG_FLOOR = 2e-4
"""Mean square error (colours in 0..1) below which an image asks for no further gain: 37 dB."""

SEAM_FLOOR = 5e-5
"""The same for the error's change from one place to the next: a step of two levels."""
SEAM_SIDES = (1, 4)
"""Sides of the places compared, px: pixels, and the decoder's cells."""

SPREAD_FLOOR = 0.01
"""Relative depth error below which the foretold spread need not go."""

LEAST_FLOW_TIME = 0.1
"""Flow time below which the error of a velocity is no longer weighted up (it grows with 1 / t)."""


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


def seam_error(colour: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Half the log of how much the error changes from place to place, per image [B]: mean square over neighbours.

    Where nobody can tell what is there the square error is nearly all of being too light or too dark as a whole, and says
    next to nothing of steps that nobody would draw, as between one cell and the next. This is least where the mean of what
    may be there is drawn, as the square error is (after the gradient difference loss of Mathieu et al., arXiv 1511.05440).

    Args:
        mask: pairs of neighbours count as far as both are in it: what is known may itself be wrong, and is not to be followed.
    """
    total = torch.zeros(len(colour), device=colour.device)
    for side in SEAM_SIDES:
        error, there = F.avg_pool2d(colour - truth, side), F.avg_pool2d(mask, side)
        for axis in (2, 3):
            n = error.shape[axis]
            step = error.narrow(axis, 1, n - 1) - error.narrow(axis, 0, n - 1)
            pairs = torch.minimum(there.narrow(axis, 1, n - 1), there.narrow(axis, 0, n - 1))
            total = total + 0.5 * torch.log(masked_mean(step**2, pairs) + SEAM_FLOOR)
    return total / (2 * len(SEAM_SIDES))


def depth_error(log_depth: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean relative error of depth per image [B], |d - d'| / d' of logarithms: AbsRel, as the evaluation measures it.

    To be twice as far errs by 1, half as far by one half: where nobody can tell how far it is, it is least towards the near
    end of what may be. Beyond e times as far it goes on as a line, so that a few wild pixels do not pull harder than all others.
    """
    off = log_depth - truth
    return masked_mean(torch.expm1(off.clamp(max=1.0)).abs() + math.e * (off - 1.0).clamp(min=0.0), mask)


def spread_error(log_spread: Tensor, log_depth: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """How badly the network foretells its own depth error, per image [B].

    The spread is fitted to the error without pulling on it, and in logarithms, so that a few wild
    pixels cannot drown the colour (a Laplace likelihood here has a hundred times colour's gradient).
    """
    told = torch.log((log_depth - truth).abs().detach() + SPREAD_FLOOR)
    return masked_mean((log_spread - told).abs(), mask)


def velocity_error(z0: Tensor, truth: Tensor, flow_time: Tensor, weight: Tensor) -> Tensor:
    """Mean square error of the velocity per clip [B]: that of z_0, over t squared (v = (z_t - z_0) / t).

    Args:
        z0, truth: [B, T, C, h, w]. flow_time: [B]. weight: [B, T, 1, h, w], how much each place counts.
    """
    scale = flow_time.clamp(min=LEAST_FLOW_TIME).view(-1, 1, 1, 1, 1)
    shares = weight.expand_as(truth).flatten(1)
    errors = (((z0 - truth) / scale) ** 2).flatten(1)
    return (errors * shares).sum(1) / shares.sum(1).clamp(min=1e-6)
