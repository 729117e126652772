"""The control branch: blocks beside the transformer's that read what memory shows, and add to it.

Spatia (arXiv 2512.15716, and its release): 8 blocks for the 30 of Wan2.2-TI2V-5B, one beside every fourth. Each goes on from the
one before it and hands the transformer a residual through a linear layer that training began at zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel, WanTransformerBlock
from torch import Tensor, nn

from spatia_ros.generator.big.layout import Tensors, in_diffusers_words, load_exactly

EVERY = 4
"""Main blocks for each control block."""


class ControlBlock(WanTransformerBlock):
    """A transformer block that also gives a residual; the first one takes in the tokens being denoised."""

    def __init__(self, dim: int, ffn_dim: int, heads: int, eps: float, first: bool) -> None:
        super().__init__(dim, ffn_dim, heads, cross_attn_norm=True, eps=eps)
        self.before_proj = nn.Linear(dim, dim) if first else None
        self.after_proj = nn.Linear(dim, dim)


class ControlBranch(nn.Module):
    """The control blocks of one transformer.

    Args:
        base: the transformer they stand beside; it gives them their size, not its weights.
    """

    def __init__(self, base: WanTransformer3DModel) -> None:
        super().__init__()
        config = base.config
        dim = config.num_attention_heads * config.attention_head_dim
        self.patch_embedding = nn.Conv3d(2 * config.in_channels, dim, config.patch_size, config.patch_size)
        self.blocks = nn.ModuleList(
            ControlBlock(dim, config.ffn_dim, config.num_attention_heads, config.eps, first=i == 0)
            for i in range(-(-config.num_layers // EVERY))
        )

    def forward(
        self, memory: Tensor, tokens: Tensor, text: Tensor, modulation: Tensor, rotary: tuple[Tensor, Tensor]
    ) -> list[Tensor]:
        """The residuals after main blocks 0, 4, 8, ...

        Args:
            memory: [1, 2 C, F, h, w], latents of what memory shows, then of where it shows nothing.
            tokens: [1, N, dim], the patches being denoised, as they enter the transformer (no references among them).
            text: [1, S, dim]. modulation: [1, N, 6, dim]. rotary: cosines and sines [1, N, 1, head].
        """
        state = self.patch_embedding(memory).flatten(2).transpose(1, 2)
        residuals = []
        for block in self._all_blocks():
            if block.before_proj is not None:
                state = block.before_proj(state) + tokens
            state = block(state, text, modulation, rotary)
            residuals.append(block.after_proj(state))
        return residuals

    def _all_blocks(self) -> Iterator[ControlBlock]:
        return (block for block in self.blocks if isinstance(block, ControlBlock))

    def load_published(self, tensors: Tensors, where: str) -> None:
        """Take the weights as they were released.

        Raises:
            SpatiaError: when names or shapes are not those of this branch.
        """
        load_exactly(self, {_name(name): value for name, value in tensors.items()}, where)

    def published(self) -> Tensors:
        """The weights under the names they were released with."""
        back = {in_diffusers_words(name): name for name in _first_release_names(len(self.blocks))}
        return {back[f"vace_{name}"]: value for name, value in self.state_dict().items()}


def _name(published: str) -> str:
    return in_diffusers_words(published).removeprefix("vace_")


def _first_release_names(blocks: int) -> list[str]:
    attention = [f"{kind}.{part}" for kind in ("self_attn", "cross_attn") for part in ("q", "k", "v", "o")]
    linear = [*attention, "ffn.0", "ffn.2", "norm3", "after_proj"]
    inside = [f"{name}.{end}" for name in linear for end in ("weight", "bias")]
    inside += [f"{kind}.norm_{part}.weight" for kind in ("self_attn", "cross_attn") for part in "qk"] + ["modulation"]
    names = [f"vace_blocks.{i}.{name}" for i in range(blocks) for name in inside]
    edges = ("vace_blocks.0.before_proj", "vace_patch_embedding")
    return names + [f"{name}.{end}" for name in edges for end in ("weight", "bias")]


def empty_like(base: WanTransformer3DModel) -> ControlBranch:
    """A branch without weights yet, which takes no memory."""
    with torch.device("meta"):
        return ControlBranch(base)
