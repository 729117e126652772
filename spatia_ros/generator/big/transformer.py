"""Wan's transformer with Spatia's additions: control blocks, clean tokens at time 0, references with positions of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import Tensor

from spatia_ros.generator.big.control import EVERY, ControlBranch
from spatia_ros.generator.big.low_rank import LowRank


@dataclass(frozen=True)
class Network:
    """The transformer and what stands beside it.

    Args:
        base: Wan's. control: Spatia's blocks. low_rank: Spatia's change to the base for clips with a history.
        strength: what the control's residuals are multiplied by.
    """

    base: WanTransformer3DModel
    control: ControlBranch
    low_rank: Sequence[LowRank] = field(default=())
    strength: float = 1.0

    @torch.inference_mode()
    def velocity(self, latents: Tensor, times: Tensor, text: Tensor, memory: Tensor | None, references: int) -> Tensor:
        """What flow matching follows: noise minus picture, [1, C, R + F, h, w].

        Args:
            latents: [1, C, R + F, h, w], R references, then the clip, its clean beginning included.
            times: [R + F], 0..1000 of each latent frame: 0 is clean.
            text: [1, S, text channels]. memory: [1, 2 C, F, h, w], or None for plain Wan. references: R.
        """
        _, _, frames, height, width = latents.shape
        base = self.base
        depth, rows, columns = (n // p for n, p in zip((frames, height, width), base.config.patch_size, strict=True))
        patches = rows * columns
        tokens = base.patch_embedding(latents).flatten(2).transpose(1, 2).contiguous()
        rotary = tuple(part.to(latents.device) for part in positions(base, depth - references, rows, columns, references))
        embedded, modulation, words, _ = base.condition_embedder(
            times.repeat_interleave(patches), text, None, timestep_seq_len=len(tokens[0])
        )
        modulation = modulation.unflatten(2, (6, -1))
        skip = references * patches
        residuals = []
        if memory is not None:
            clip = tokens[:, skip:], words, modulation[:, skip:], tuple(part[:, skip:] for part in rotary)
            residuals = self.control(memory, *clip)
        for i, block in enumerate(base.blocks):
            tokens = block(tokens, words, modulation, rotary)
            if residuals and i % EVERY == 0:
                tokens[:, skip:] += self.strength * residuals[i // EVERY]
        return self._unpatched(tokens, embedded, (depth, rows, columns))

    def _unpatched(self, tokens: Tensor, embedded: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Tokens [1, N, dim] as latents [1, C, F, h, w]."""
        base = self.base
        shift, scale = (base.scale_shift_table.unsqueeze(0) + embedded.unsqueeze(2)).unbind(2)
        out = base.proj_out((base.norm_out(tokens.float()) * (1 + scale) + shift).type_as(tokens))
        out = out.unflatten(1, grid).unflatten(-1, (*base.config.patch_size, -1))  # [1, f, r, c, pf, pr, pc, C]
        return out.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def positions(base: WanTransformer3DModel, frames: int, rows: int, columns: int, references: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [1, N, 1, head] of every token's place: references first, then the clip.

    The clip counts frames, rows and columns from 0. References stand before it in time, at -R..-1, and one picture's height
    below it, so that none of their places is one of the clip's (Spatia's release).
    """
    head = base.config.attention_head_dim
    aside = 2 * (head // 6)
    of_clip = _grid(range(frames), range(rows), range(columns))
    of_references = _grid(range(-references, 0), range(rows, 2 * rows), range(columns))
    places = torch.cat([of_references, of_clip])
    parts = [
        get_1d_rotary_pos_embed(dim, places[:, axis], use_real=True, repeat_interleave_real=True, freqs_dtype=torch.float64)
        for axis, dim in enumerate((head - 2 * aside, aside, aside))
    ]
    cosines, sines = (torch.cat([part[i] for part in parts], 1)[None, :, None] for i in (0, 1))
    return cosines, sines


def _grid(*axes: range) -> Tensor:
    """Every place of a grid, float64 [N, 3], the last axis fastest."""
    return torch.cartesian_prod(*(torch.arange(a.start, a.stop, dtype=torch.float64) for a in axes)).reshape(-1, 3)
