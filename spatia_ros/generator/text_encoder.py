"""A phrase of the stated vocabulary to what the denoiser reads: a small trained encoder."""

from __future__ import annotations

from torch import Tensor, nn

from spatia_ros.generator.blocks import SILENCE, SelfAttention


class TextBlock(nn.Module):
    """Attention and a perceptron over tokens [B, S, W], with a bias [B, 1, 1, S] on who is looked at."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention, self.norm, self.norm_mlp = SelfAttention(width, heads), nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """See the class."""
        x = x + self.attention.attend(*self.attention.project(self.norm(x), None), bias, x)
        return x + self.mlp(self.norm_mlp(x))


class TextEncoder(nn.Module):
    """Token ids int64 [B, S] to text [B, S, W]; token 0 is nothing: nobody looks at it, and its row is zero."""

    def __init__(self, words: int, phrase: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.phrase = phrase
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(phrase, width)
        self.blocks = nn.ModuleList(TextBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        assert tokens.shape[1] <= self.phrase, (tokens.shape, self.phrase)
        said = (tokens != 0).to(self.words.weight.dtype)
        bias = ((1.0 - said) * SILENCE)[:, None, None]
        x = self.words(tokens) + self.places.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, bias)
        return self.norm(x) * said[..., None]
