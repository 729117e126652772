"""The denoiser: tokens of the clip look at each other, at clean context, and at the text.

The tokens of a context frame look only among themselves, at diffusion time 0, so their keys and
values are computed once and kept while the frame is held.

One rule for every condition that is dropped or missing: zero means not there. Rays, memory, a
context frame's latents and a text token are never all zero when they are there.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatia_ros.generator.anchor import NO_CLOCK
from spatia_ros.generator.blocks import (
    Modulation,
    Places,
    TransformerBlock,
    Turn,
    absent,
    rms_normalised,
    rotate,
    start_at_zero,
    waves,
)
from spatia_ros.generator.rays import RAY_CHANNELS, SEEN

RAY_OCTAVES = 4
TICKS_S = 16.0
"""Ticks of a second: time differences in rotations and waves are counted in these."""


class Clock(nn.Module):
    """Animation times [B, T] in seconds to embeddings [B, T, C].

    Waves, a two-layer perceptron, and two causal 1-D convolutions over frames (SpaceTimePilot, arXiv
    2512.25075; of stride 1 here, because our latents keep the frame rate). A frame that has no
    clock looks like those before the first one.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.first, self.second = nn.Conv1d(width, width, 3), nn.Conv1d(width, width, 3)

    def forward(self, animation: Tensor) -> Tensor:
        """See the class."""
        there = (animation > NO_CLOCK).to(animation.dtype)[:, None]
        x = self.mlp(waves(there[:, 0] * animation * TICKS_S, self.width // 2, 1e4)).transpose(1, 2) * there
        x = F.silu(self.first(F.pad(x, (2, 0)))) * there
        return self.second(F.pad(x, (2, 0))).transpose(1, 2)


class DiffusionTime(nn.Module):
    """Diffusion times [B] in 0..1 to what every block is modulated by, [B, 6 * W]; starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.enter, self.between = nn.Linear(width, width), nn.Linear(width, width)
        self.leave = nn.Linear(width, 6 * width)
        start_at_zero(self.leave)

    def forward(self, flow_time: Tensor) -> Tensor:
        """See the class."""
        x = self.between(F.silu(self.enter(waves(flow_time * 1000.0, self.width // 2, 1e4))))
        return self.leave(F.silu(x))


class Timing(nn.Module):
    """What every block is told of diffusion time and of animation time, all blocks at once.

    One projection of diffusion time for all blocks and a learned offset per block (PixArt-alpha, arXiv
    2310.00426), whose scales start at 1 and gates at 0. Animation time is added to the tokens of every
    block (SpaceTimePilot, arXiv 2512.25075) by a layer that starts at zero.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.flow_time, self.clock = DiffusionTime(width), Clock(width // 4)
        self.offset = nn.Parameter(torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0, 0.0])[:, None].repeat(blocks, width))
        self.added = nn.Linear(width // 4, blocks * width)
        start_at_zero(self.added)

    def forward(self, flow_time: Tensor, animation: Tensor) -> list[Modulation]:
        """Of every block, from diffusion times [B] and animation times [B, T] in seconds."""
        W = self.offset.shape[1]
        flow = self.flow_time(flow_time).view(-1, 1, 6, W) + self.offset.view(self.blocks, 6, W)
        parts = flow.flatten(1, 2)[:, :, None].split([1] * (6 * self.blocks), 1)
        clocks = self.added(self.clock(animation))[:, :, None].split([W] * self.blocks, -1)
        return [Modulation(clock, *parts[6 * i : 6 * i + 6]) for i, clock in enumerate(clocks)]


class Denoiser(nn.Module):
    """A flow-matching transformer over C + 1 latent channels; the last is the box (+1 inside, -1 outside, 0 unknown).

    Spatia's control blocks (arXiv 2512.15716): one for every ``control_every`` main ones, fed by the
    memory's latents and how much of each is not covered, added to the main stream through layers
    that start at zero.
    """

    def __init__(self, latent: int, width: int, depth: int, heads: int, control_every: int) -> None:
        super().__init__()
        hints = -(-depth // control_every)
        self.latent, self.every = latent, control_every
        self.enter = nn.Linear(latent + 1, width)
        self.rays = nn.Linear(RAY_CHANNELS * (1 + 2 * RAY_OCTAVES), width)
        self.memory = nn.Linear(latent + 1, width)
        self.places, self.timing = Places(width // heads), Timing(width, depth + hints)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(depth))
        self.control = nn.ModuleList(TransformerBlock(width, heads) for _ in range(hints))
        self.hint = nn.ModuleList(nn.Linear(width, width) for _ in range(hints))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.leave = nn.Linear(width, latent + 1)
        for layer in (self.rays, self.memory, *self.hint, self.leave):
            start_at_zero(layer)

    def context(self, latents: Tensor, rays: Tensor, time: Tensor, animation: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of clean context, [B, depth, heads, K * h * w, d] each; zero where a frame is not there.

        Frames do not look at each other, so each one's h * w keys and values can be kept on their own.

        Args:
            latents: [B, K, C + 1, h, w]. rays: [B, K, 9, h, w]. time, animation: [B, K], seconds since the anchor.
        """
        B, frames = latents.shape[0], latents.flatten(0, 1)[:, None]
        time, animation, rays = time.reshape(-1, 1), animation.reshape(-1, 1), rays.flatten(0, 1)[:, None]
        turn, told = self.turn(time, animation, rays), self.timing(torch.zeros_like(time[:, 0]), animation)
        x = self.enter(tokens_of(frames)) + self.rays(octaves(tokens_of(rays)))
        kept = []
        for block, timing in zip(self.blocks, told, strict=False):
            x, k, v = block(x, timing, turn, None, None)
            kept.append(torch.stack([k, v]))
        there = (absent(tokens_of(frames[:, :, : self.latent])) == 0).to(x.dtype)[:, :, None, :, None]
        both = torch.stack(kept, 2) * there  # [2, B * K, depth, heads, h * w, d]
        both = both.view(2, B, -1, *both.shape[2:]).permute(0, 1, 3, 4, 2, 5, 6).flatten(4, 5)
        return both[0], both[1]

    def denoise(
        self, z: Tensor, flow_time: Tensor, memory: Tensor, uncovered: Tensor, rays: Tensor, time: Tensor,
        animation: Tensor, text: Tensor, keys: Tensor, values: Tensor,
    ) -> Tensor:
        """The clean latents [B, T, C + 1, h, w] that noisy ones are thought to come from: the memory's, plus what is learned.

        Args:
            z: [B, T, C + 1, h, w]. flow_time: [B], 1 is noise and 0 is clean.
            memory: [B, T, C, h, w]. uncovered: [B, T, 1, h, w], shares in 0..1.
            rays, time, animation: as in :meth:`context`, of T frames.
            text: [B, S, W]. keys, values: what :meth:`context` gave.
        """
        assert memory.shape[2] + 1 == z.shape[2] == self.latent + 1, (z.shape, memory.shape)
        assert keys.shape[1] == len(self.blocks), keys.shape
        turn, told = self.turn(time, animation, rays), self.timing(flow_time, animation)
        nobody = torch.zeros_like(z[:, :, 0]).flatten(1)
        bias = torch.cat([nobody, absent(keys[:, 0, 0]), absent(text)], 1)[:, None, None]
        seen = [torch.cat(pair, 3).unbind(1) for pair in zip((keys, values), self.text_keys(text, time, animation), strict=True)]
        x = self.enter(tokens_of(z)) + self.rays(octaves(tokens_of(rays)))
        hint = x + self.memory(tokens_of(torch.cat([memory, uncovered], 2)))
        for i, block in enumerate(self.blocks):
            if i % self.every == 0:
                j = i // self.every
                hint, _, _ = self.control[j](hint, told[len(self.blocks) + j], turn, None, None)
                x = x + self.hint[j](hint)
            x, _, _ = block(x, told[i], turn, (seen[0][i], seen[1][i]), bias)
        learned = self.leave(self.norm(x)).transpose(2, 3).reshape(z.shape)
        return learned + torch.cat([memory, torch.zeros_like(uncovered)], 2)

    def turn(self, time: Tensor, animation: Tensor, rays: Tensor) -> Turn:
        """Where the tokens of frames are; a frame without a clock shows the anchor's time.

        Args:
            time, animation: [B, T], seconds since the anchor. rays: [B, T, 9, h, w].
        """
        there = (animation > NO_CLOCK).to(animation.dtype)
        return self.places(time * TICKS_S, there * animation * TICKS_S, rays[:, :, SEEN])

    def text_keys(self, text: Tensor, time: Tensor, animation: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, depth, heads, S, d] of text tokens [B, S, W], by every block's own projection.

        Text has the place of the middle of the clip's first frame and its times, of [B, T]: so only differences of time
        matter. It lies in no direction.
        """
        layers, W = [cast(TransformerBlock, block).attention for block in self.blocks], int(text.shape[2])
        split = F.linear(self.norm(text), torch.cat([layer.qkv.weight[W:] for layer in layers]))
        split = split.view(text.shape[0], -1, len(layers), 2, *layers[0].split[1:])
        keys, values = split.permute(3, 0, 2, 4, 1, 5).unbind(0)
        keys = rms_normalised(keys, -1) * torch.stack([layer.gain[1] for layer in layers])[:, None, None]
        keys = keys + torch.stack([layer.lean[1] for layer in layers])
        nowhere = torch.zeros_like(time[:, :1])[:, :, None, None, None].expand(-1, -1, RAY_CHANNELS, -1, -1)
        cos, sin = self.turn(time[:, :1], animation[:, :1], nowhere)
        return rotate(keys, (cos[:, None], sin[:, None])), values


def tokens_of(grid: Tensor) -> Tensor:
    """[B, T, C, h, w] to tokens [B, T, h * w, C]."""
    return grid.flatten(3).transpose(2, 3)


def octaves(rays: Tensor) -> Tensor:
    """Rays [..., 9] beside their sines and cosines at rising frequencies [..., 9 * (1 + 2 * RAY_OCTAVES)] (NeRF, eq. 4)."""
    angles = torch.cat([rays * 2.0**i for i in range(RAY_OCTAVES)], -1)
    there = (rays.abs().amax(-1, keepdim=True) > 0).to(rays.dtype)
    return torch.cat([rays, angles.sin(), angles.cos() * there], -1)
