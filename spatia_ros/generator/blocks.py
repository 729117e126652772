"""What the generator's networks are made of: convolutional blocks for maps, a transformer block for tokens.

Every block begins as the identity. Tokens are float32 [B, T, N, W]: T frames of N places each.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SILENCE = -1e4
"""Added to the attention logit of what is not there."""
GRID = (10.0, 16.0)
"""Rows and columns an image has for the places of its tokens, whatever its size."""
LEAN = 0.6
"""How much queries and keys lean towards equal animation times at first."""
TIMES, TIMES_SHOWN, SIDES, DIRECTIONS = (1.0, 1e4), (1.0, 16.0), (1.0, 1e2), (24.0, 32.0)
"""Highest frequency, and how many times the lowest it is, by which tokens are turned: per tick, per tick of animation time,
per row or column, per unit of direction. A latent of a usual camera is some 0.07 of a unit wide."""


def start_at_zero(layer: nn.Module) -> None:
    """Zero a layer, so that what it feeds begins as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, width, 3, padding=1)
        start_at_zero(self.leave)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x + self.leave(F.silu(self.enter(F.silu(x))))


def residual_stack(width: int, count: int) -> nn.Sequential:
    """Residual blocks after each other."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


class Attention(nn.Module):
    """Places [B, N, C] look at context tokens [B, M, C]; starts as the identity."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_context = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        start_at_zero(self.out)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """See the class."""
        B, N, C = x.shape
        split = (B, -1, self.heads, C // self.heads)
        q = self.q(self.norm(x)).view(split).transpose(1, 2)
        k, v = (t.reshape(split).transpose(1, 2) for t in self.kv(self.norm_context(context)).chunk(2, -1))
        attention = torch.softmax(q @ k.transpose(-1, -2) * (C // self.heads) ** -0.5, -1)
        return x + self.out((attention @ v).transpose(1, 2).reshape(B, N, C))


def waves(x: Tensor, count: int, longest: float) -> Tensor:
    """Cosines and sines [..., 2 * count] of numbers [...], periods from 2 pi to ``longest`` times that."""
    frequency = longest ** -(torch.arange(count, dtype=torch.float32, device=x.device) / count)
    angle = x[..., None] * frequency
    return torch.cat([angle.cos(), angle.sin()], -1)


Turn = tuple[Tensor, Tensor]
"""Cosines and sines [B, 1, M, d / 2] of what the halves of a head's vectors are turned by."""


class Places(nn.Module):
    """Where tokens are, as rotations of d / 2 pairs (RoPE, arXiv 2104.09864): an eighth of the pairs for each of eight places.

    Time, animation time, row and column of the image, and the direction in which the anchor sees the
    token's surface, along four axes (a tetrahedron's, so that no direction is told better than another).
    The direction is what two frames have in common that look at one surface from different cameras:
    attention finds it without having to learn projection. Rows and columns are shares of the image,
    so grids of different sizes share their places; times may have gaps and be no integers
    (Video4Spatial, arXiv 2512.03040).
    """

    frequency: Tensor

    def __init__(self, d: int) -> None:
        super().__init__()
        assert d % 16 == 0, f"head width: expected a multiple of 16, got {d}"
        down = torch.arange(d // 16) / (d // 16)
        ladders = [most * span**-down for most, span in (TIMES, TIMES_SHOWN, SIDES, SIDES, *4 * (DIRECTIONS,))]
        self.register_buffer("frequency", torch.stack(ladders), persistent=False)

    def forward(self, time: Tensor, animation: Tensor, seen: Tensor) -> Turn:
        """Turns of M = T * h * w tokens.

        Args:
            time, animation: [B, T], in ticks. seen: [B, T, 3, h, w], unit directions; zeros: not known.
        """
        height, width = seen.shape[3:]
        row = (torch.arange(height, device=time.device) + 0.5) / height * GRID[0]
        column = (torch.arange(width, device=time.device) + 0.5) / width * GRID[1]
        x, y, z = (seen * 3**-0.5).unbind(2)
        nowhere = torch.zeros_like(x)
        times = [clock[:, :, None, None] + nowhere for clock in (time, animation)]
        places = [*times, row[:, None] + nowhere, column + nowhere, x + y + z, x - y - z, y - x - z, z - x - y]
        angle = (torch.stack(places, -1)[..., None] * self.frequency).flatten(4).flatten(1, 3)[:, None]
        return angle.cos(), angle.sin()


def rotate(x: Tensor, turn: Turn) -> Tensor:
    """Turn the halves of x [B, heads, M, d] against each other."""
    half = int(x.shape[-1]) // 2
    (a, b), (cos, sin) = x.split((half, half), -1), turn
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def rms_normalised(x: Tensor, dim: int) -> Tensor:
    """Mean square 1 along ``dim``; zeros stay zeros."""
    return x / torch.sqrt((x * x).mean(dim, keepdim=True) + 1e-6)


def absent(tokens: Tensor) -> Tensor:
    """What to add to attention logits [..., M] so that nobody looks at tokens [..., M, d] that are all zero."""
    return (tokens.abs().amax(-1) == 0).to(tokens.dtype) * SILENCE


class SelfAttention(nn.Module):
    """Multi-head attention in parts, so that keys and values can be kept.

    Queries and keys are RMS-normalised per head (arXiv 2302.05442, 1910.07467) and turned by RoPE. The
    usual 1 / sqrt(d) is where the queries' gain starts. Both lean, each head its own way (a bias before they are turned): the
    logits of two leans depend on how far apart their tokens are, and on nothing else. They start with the time shown alone:
    what is to show a moment looks first at what was seen of it, which would take long to learn by content.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.split, d = (3, heads, width // heads), width // heads
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gain = nn.Parameter(torch.stack([torch.full((d,), d**-0.5), torch.ones(d)]))
        self.lean = nn.Parameter(torch.zeros(2, heads, 1, d))
        nn.init.constant_(self.lean[..., d // 16 : d // 8], LEAN)

    def project(self, x: Tensor, turn: Turn | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, heads, M, d] of tokens [B, ..., W], M in all; unturned where there is no turn."""
        qkv = self.qkv(x).view(x.shape[0], -1, *self.split).permute(2, 0, 3, 1, 4)
        qk = rms_normalised(qkv[:2], -1) * self.gain[:, None, None, None] + self.lean[:, None]
        q, k = (qk if turn is None else rotate(qk, turn)).unbind(0)
        return q, k, qkv[2]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, like: Tensor) -> Tensor:
        """What queries [B, heads, M, d] find among keys and values [B, heads, L, d], as tokens of the shape of ``like``."""
        found = F.scaled_dot_product_attention(q, k, v, bias, scale=1.0)
        return self.out(found.transpose(1, 2).reshape_as(like))


class Modulation(NamedTuple):
    """What a block is told of time: its animation time's tokens [B, T, 1, W], then six of [B, 1, 1, W] by diffusion time."""

    clock: Tensor
    shift: Tensor
    scale: Tensor
    gate: Tensor
    shift_mlp: Tensor
    scale_mlp: Tensor
    gate_mlp: Tensor


class TransformerBlock(nn.Module):
    """Attention and a two-layer perceptron, both modulated by the diffusion time (adaLN-zero, DiT, arXiv 2212.09748).

    Its layers have no biases: the shifts before them and the clock's tokens are theirs.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attention = SelfAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width, bias=False), nn.SiLU(), nn.Linear(4 * width, width, bias=False))

    def forward(
        self, x: Tensor, told: Modulation, turn: Turn, more: tuple[Tensor, Tensor] | None, bias: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One block.

        Args:
            x: [B, T, N, W]. turn: where the tokens are, M = T * N.
            more: keys and values [B, heads, L, d] seen beside the tokens' own; bias: [B, 1, 1, M + L] for the logits.

        Returns:
            tokens like x, and their own keys and values [B, heads, M, d].
        """
        x = x + told.clock
        q, k, v = self.attention.project(self.norm(x) * told.scale + told.shift, turn)
        keys, values = (k, v) if more is None else (torch.cat([k, more[0]], 2), torch.cat([v, more[1]], 2))
        x = x + told.gate * self.attention.attend(q, keys, values, bias, x)
        x = x + told.gate_mlp * self.mlp(self.norm(x) * told.scale_mlp + told.shift_mlp)
        return x, k, v
