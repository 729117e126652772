"""What :mod:`.fill` computes, in plain torch; and the smooth fill it comes close to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from spatia_ros.generator.fill import SWEEPS


def relax(values: Tensor, known: Tensor) -> Tensor:
    """Every unknown pixel of [1, C, H, W] becomes the mean of its four neighbours (the border repeats)."""
    p = F.pad(values, (1, 1, 1, 1), mode="replicate")
    mean = 0.25 * (p[..., :-2, 1:-1] + p[..., 2:, 1:-1] + p[..., 1:-1, :-2] + p[..., 1:-1, 2:])
    return torch.where(known, values, mean)


def membrane(values: Tensor, known: Tensor) -> Tensor:
    """Filled values [H, W, C], H and W powers of two times equal odd numbers, as :func:`spatia_ros.generator.fill.membrane`."""
    mask = known[None, None]
    levels = [(values.permute(2, 0, 1)[None] * mask, mask)]
    while max(levels[-1][1].shape[-2:]) > 1:
        image, mask = levels[-1]
        odd = (0, mask.shape[-1] % 2, 0, mask.shape[-2] % 2)
        count = 4 * F.avg_pool2d(F.pad(mask.to(values.dtype), odd), 2)
        levels.append((4 * F.avg_pool2d(F.pad(image, odd), 2) / count.clamp(min=1.0), count > 0))
    filled = levels[-1][0]
    for image, mask in reversed(levels[:-1]):
        coarse = F.interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)
        filled = torch.where(mask, image, coarse[..., : mask.shape[-2], : mask.shape[-1]])
        for _ in range(SWEEPS // 2 * 2):
            filled = relax(filled, mask)
    return filled[0].permute(1, 2, 0)


def harmonic(values: Tensor, known: Tensor, sweeps: int = 20_000) -> Tensor:
    """The harmonic fill [H, W, C]: relaxed until it no longer changes."""
    filled = values.permute(2, 0, 1)[None] * known
    for _ in range(sweeps):
        filled = relax(filled, known[None, None])
    return filled[0].permute(1, 2, 0)
