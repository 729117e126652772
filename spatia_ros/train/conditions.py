"""From a batch of clips to what the transformer is told: everything colour-like through the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from spatia_ros.generator.network import SpaceTimeNet
    from spatia_ros.train.example import Batch


@dataclass(frozen=True, slots=True)
class Conditions:
    """The transformer's conditions for B clips of T frames, with K context frames.

    Args:
        memory: [B, T, C, h, w], latents of the memory render. uncovered: [B, T, 1, h, w].
        rays: [B, T, 9, h, w], in the anchor's frame. time, animation: [B, T].
        tokens: int64 [B, S].
        context: [B, K, C + 1, 5, 8], clean latents with an empty box channel. context_rays: [B, K, 9, 5, 8].
        context_time, context_animation: [B, K].
    """

    memory: Tensor
    uncovered: Tensor
    rays: Tensor
    time: Tensor
    animation: Tensor
    tokens: Tensor
    context: Tensor
    context_rays: Tensor
    context_time: Tensor
    context_animation: Tensor


def maps(clips: Tensor) -> Tensor:
    """Frames [B, T, C, H, W] one after another [B * T, C, H, W], channels last in memory: several times as fast on a CPU."""
    return clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def encode_frames(network: SpaceTimeNet, frames: Tensor) -> Tensor:
    """Latents [B, T, C, h, w] of frames [B, T, 5, H, W]."""
    return network.encode(maps(frames)).unflatten(0, frames.shape[:2])


def _there(network: SpaceTimeNet, frames: Tensor) -> Tensor:
    """Latents of frames [B, T, 5, H, W]; zero, which is nothing, of frames that are all zero."""
    there = frames.flatten(2).abs().amax(2)[:, :, None, None, None] > 0
    return torch.where(there, encode_frames(network, frames), 0.0)


def conditions_of(network: SpaceTimeNet, batch: Batch) -> Conditions:
    """What the network is told of a batch."""
    context = _there(network, batch.context_frames)
    no_box = torch.zeros_like(context[:, :, :1])
    return Conditions(
        memory=_there(network, batch.memory),
        uncovered=batch.uncovered,
        rays=batch.rays,
        time=batch.time,
        animation=batch.animation,
        tokens=batch.tokens,
        context=torch.cat([context, no_box], 2),
        context_rays=batch.context_rays,
        context_time=batch.context_time,
        context_animation=batch.context_animation,
    )


def denoise(network: SpaceTimeNet, z: Tensor, flow_time: Tensor, c: Conditions) -> Tensor:
    """The network's guess z_0 [B, T, C + 1, h, w] at noisy latents z of the same shape and their times [B]."""
    text = network.text(c.tokens)
    keys, values = network.context(c.context, c.context_rays, c.context_time, c.context_animation)
    return network.denoise(z, flow_time, c.memory, c.uncovered, c.rays, c.time, c.animation, text, keys, values)


def decode_frames(network: SpaceTimeNet, z: Tensor, batch: Batch) -> Tensor:
    """The change [B, T, 5, H, W] that latents z [B, T, C + 1, h, w] make of the batch's images."""
    change = network.decode(maps(z), maps(batch.image), batch.to_view.flatten(0, 1))
    return change.unflatten(0, z.shape[:2])
