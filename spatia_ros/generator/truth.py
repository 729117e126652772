"""What :mod:`.fill` computes, in plain torch; and the smooth fill it comes close to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from spatia_ros.generator.fill import HELD, SWEEPS


def relax(values: Tensor, weight: Tensor, data: Tensor) -> Tensor:
    """Every pixel of [1, C, H, W] that is not HELD becomes the weighted mean of its four neighbours and of its data."""
    p = F.pad(values, (1, 1, 1, 1), mode="replicate")
    around = p[..., :-2, 1:-1] + p[..., 2:, 1:-1] + p[..., 1:-1, :-2] + p[..., 1:-1, 2:]
    return torch.where(weight >= float(HELD), values, (around + weight * data) / (4.0 + weight))


def membrane(values: Tensor, weight: Tensor) -> Tensor:
    """Filled values [H, W, C], H and W powers of two times equal odd numbers, as :func:`spatia_ros.generator.fill.membrane`.

    Args:
        weight: [H, W], HELD where known, :func:`spatia_ros.generator.fill.trust_weight` elsewhere.
    """
    levels = [(values.permute(2, 0, 1)[None], weight[None, None].to(values.dtype))]
    while max(levels[-1][1].shape[-2:]) > 1:
        image, weight = levels[-1]
        odd = (0, weight.shape[-1] % 2, 0, weight.shape[-2] % 2)
        total = 4 * F.avg_pool2d(F.pad(weight, odd), 2)
        mean = 4 * F.avg_pool2d(F.pad(image * weight, odd), 2) / total.clamp(min=1e-30)
        levels.append((torch.where(total > 0, mean, torch.zeros_like(mean)), total))
    filled = levels[-1][0]
    for image, weight in reversed(levels[:-1]):
        coarse = F.interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)
        filled = torch.where(weight >= float(HELD), image, coarse[..., : weight.shape[-2], : weight.shape[-1]])
        for _ in range(SWEEPS // 2 * 2):
            filled = relax(filled, weight, image)
    return filled[0].permute(1, 2, 0)


def harmonic(values: Tensor, known: Tensor, sweeps: int = 20_000) -> Tensor:
    """The harmonic fill [H, W, C]: relaxed until it no longer changes."""
    data, weight = values.permute(2, 0, 1)[None], known[None, None] * float(HELD)
    filled = data * known
    for _ in range(sweeps):
        filled = relax(filled, weight, data)
    return filled[0].permute(1, 2, 0)
