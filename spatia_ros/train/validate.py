"""How good a network is on clips it has never seen: invented pixels, and what each condition is worth."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spatia_ros.generator.decoder import shrink
from spatia_ros.generator.flow import sample
from spatia_ros.train.conditions import conditions_of, decode_frames, denoise
from spatia_ros.train.losses import masked_mean
from spatia_ros.train.noise import Dropped, blanked, drop, none_dropped, only_dropped

if TYPE_CHECKING:
    from spatia_ros.generator.network import SpaceTimeNet
    from spatia_ros.train.example import Batch

LEAST_INVENTED = 0.01
"""Share of a frame that must be invented for the frame to count."""
SHIFT = 2.0
"""Shift of the flow times sampled at, as in training."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Colour in 0..1 [B, T, 3, H, W] as filled, as generated, and as it truly was; depth in metres is left out."""

    view: Tensor
    fill: Tensor
    ours: Tensor
    truth: Tensor


@torch.no_grad()
def generate(network: SpaceTimeNet, batch: Batch, steps: int, seed: int, dropped: Dropped | None = None) -> Tensor:
    """The network's change [B, T, 5, H, W] of a batch's images, sampled in so many steps."""
    noise_of = torch.Generator().manual_seed(seed)
    dropped = dropped or none_dropped(len(batch.image))
    conditions = drop(conditions_of(network, batch), dropped, noise_of)
    B, T, C, h, w = conditions.memory.shape
    noise = torch.randn((B, T, C + 1, h, w), generator=noise_of).to(conditions.memory)
    z0 = sample(partial(_denoise, network, conditions), noise, steps, SHIFT)
    return decode_frames(network, z0, replace(batch, image=blanked(batch.image, dropped.memory_render))).float()


def _denoise(network: SpaceTimeNet, conditions: object, z: Tensor, flow_time: Tensor) -> Tensor:
    return denoise(network, z, flow_time, conditions)  # type: ignore[arg-type]


def psnr(colour: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """PSNR of colours in 0..1 [N, 3, H, W] over a mask [N, 1, H, W], dB, at most 50: [N]."""
    return -10.0 * torch.log10(masked_mean((colour.clamp(0, 1) - truth) ** 2, mask).clamp(min=1e-5))


def relative_depth_error(log_depth: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """AbsRel over a mask, from log-depths [N, 1, H, W]: [N]."""
    return masked_mean((torch.exp(log_depth - truth) - 1.0).abs(), mask)


def figures_of(change: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Per frame, of those with enough to invent: PSNR and AbsRel of the network and of the bare fill in invented pixels."""
    flat = lambda x: x.flatten(0, 1)  # noqa: E731
    image, offset, truth = flat(batch.image), flat(change), flat(batch.colour)
    scale, hole = flat(batch.scale), 1.0 - flat(batch.image)[:, 4:5]
    mean = flat(batch.mean)
    invented = hole * flat(batch.measured)
    told = hole.flatten(1).mean(1) >= LEAST_INVENTED
    deep = told & (invented.flatten(1).mean(1) >= LEAST_INVENTED)
    true = truth * scale + mean
    return {
        "psnr_net": psnr((image[:, :3] + offset[:, :3]) * scale + mean, true, hole)[told],
        "psnr_fill": psnr(image[:, :3] * scale + mean, true, hole)[told],
        "absrel_net": relative_depth_error(image[:, 3:4] + offset[:, 3:4], flat(batch.log_depth), invented)[deep],
        "absrel_fill": relative_depth_error(image[:, 3:4], flat(batch.log_depth), invented)[deep],
    }


def mean_figures(found: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """Means over all frames of several batches."""
    return {name: float(torch.cat([f[name] for f in found]).mean()) for name in found[0]}


def validate(network: SpaceTimeNet, batches: Sequence[Batch], steps: int = 1, seed: int = 0) -> dict[str, float]:
    """Mean figures over held-out batches (see :func:`figures_of`)."""
    return mean_figures([figures_of(generate(network, batch, steps, seed + i), batch) for i, batch in enumerate(batches)])


def worth(network: SpaceTimeNet, name: str, batches: Sequence[Batch], steps: int = 1, seed: int = 0) -> tuple[float, float]:
    """PSNR in invented pixels, dB, with everything told, and without one condition (the same pixels)."""
    told, untold = [], []
    for i, batch in enumerate(batches):
        dropped = only_dropped(name, len(batch.image))
        change = generate(network, batch, steps, seed + i, dropped)
        untold.append(figures_of(_with_fill_of(batch, blanked(batch.image, dropped.memory_render), change), batch))
        told.append(figures_of(generate(network, batch, steps, seed + i), batch))
    return mean_figures(told)["psnr_net"], mean_figures(untold)["psnr_net"]


def by_share(network: SpaceTimeNet, batches: Sequence[Batch], shares: Sequence[float]) -> dict[float, dict[str, float]]:
    """Figures over held-out batches with the decoder's choices only so far from their prior (see ``decoder.shrink``)."""
    out = {}
    for share in shares:
        restrained = copy.deepcopy(network)
        shrink(restrained.decode, share)
        out[share] = validate(restrained, batches)
    return out


def _with_fill_of(batch: Batch, image: Tensor, change: Tensor) -> Tensor:
    """A change of ``image`` as a change of the batch's own images, which are what figures are taken against."""
    difference = torch.zeros_like(change)
    difference[:, :, :4] = image[:, :, :4] - batch.image[:, :, :4]
    return change + difference


def pictures_of(change: Tensor, batch: Batch) -> Pictures:
    """What to show of a batch."""
    bright = lambda x: (x * batch.scale + batch.mean).clamp(0, 1)  # noqa: E731
    covered = batch.image[:, :, 4:5]
    fill = bright(batch.image[:, :, :3])
    return Pictures(fill * covered, fill, bright(batch.image[:, :, :3] + change[:, :, :3]), bright(batch.colour))
