"""What :mod:`.fill` computes, in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def push_pull(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Filled values [H, W, C] and how far they came [H, W], as :func:`spatia_ros.generator.fill.push_pull`."""
    h, w, c = values.shape
    image = torch.cat([values, torch.zeros(h, w, 1, dtype=values.dtype)], -1).permute(2, 0, 1)[None]
    weight = known.to(values.dtype)[None, None]
    levels = [(image * weight, weight)]
    while max(weight.shape[-2:]) > 1:
        odd = (0, weight.shape[-1] % 2, 0, weight.shape[-2] % 2)
        total = 4 * F.avg_pool2d(F.pad(weight, odd), 2)
        image = 4 * F.avg_pool2d(F.pad(image * weight, odd), 2) / total.clamp(min=1e-12)
        weight = total.clamp(max=1.0)
        levels.append((image * weight, weight))
    filled = image * (weight > 0)
    for weighted, weight in reversed(levels[:-1]):
        filled[:, c] += 1.0 / (len(levels) - 1)
        coarse = F.interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)[..., : weight.shape[-2], : weight.shape[-1]]
        filled = weighted + (1.0 - weight) * coarse
    return filled[0, :c].permute(1, 2, 0), filled[0, c]
