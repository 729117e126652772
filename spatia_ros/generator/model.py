"""The first learned generator: a quarter-resolution U-Net with reference tokens at its bottom.

Colour in holes is a mixture, pixel by pixel, of candidates that can be had without learning: the
fill, ever wider blurs of it, the fill without recall, and the mean. The network decides how far
each is to be trusted. It cannot paint what no candidate holds, and so it cannot learn the places it
was trained on by heart: a free correction of colour did, and lost on the unseen half of the same
recordings what it won on the seen half. Depth is corrected freely; the shipped weights
leave it as it is. Attention at 1/16 of the
resolution lets every place look at every other and at the reference frames.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatia_ros.generator.blocks import Attention, residual_stack, start_at_zero
from spatia_ros.generator.decoder import candidates, mixture
from spatia_ros.generator.fill_nano import REFERENCE_CHANNELS
from spatia_ros.generator.image import INPUT_CHANNELS

SHUFFLE = 4
OUTPUT_CHANNELS = 5
"""Change of colour 3 and of log-depth 1, and the log of the depth's expected relative error."""
CANDIDATE_PRIOR = (0.0, 0.0, 0.0, 0.0, -1.0, -3.0)
"""Logits an untrained network gives: the fill, three ever wider blurs of it (in the order of
:func:`candidates`: narrow, middle, then without recall, then widest), and the mean colour."""


@dataclass(frozen=True, slots=True)
class FillNetConfig:
    """Widths at 1/4, 1/8 and 1/16 of the resolution, and blocks at each."""

    widths: tuple[int, int, int] = (48, 96, 160)
    blocks: tuple[int, int, int] = (2, 2, 2)
    heads: int = 4

    def as_dict(self) -> dict[str, object]:
        """Plain values, for a manifest."""
        return asdict(self)


class ReferenceEncoder(nn.Module):
    """Reference frames [B, K, 11, 40, 64] to tokens [B, K * 160, C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(4 * REFERENCE_CHANNELS, width // 2, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, references: Tensor) -> Tensor:
        """See the class."""
        B, K = references.shape[:2]
        tokens = self.layers(references.flatten(0, 1))
        return tokens.flatten(2).transpose(1, 2).reshape(B, K * tokens.shape[2] * tokens.shape[3], -1)


def mixture_change(image: Tensor, logits: Tensor) -> Tensor:
    """What mixing the candidates by logits [B, 6, H, W] changes of the fill [B, 3, H, W], in holes only."""
    return (1.0 - image[:, 4:5]) * (mixture(candidates(image), logits) - image[:, :3])


class FillNet(nn.Module):
    """Condition to change.

    Args of forward:
        image: float32 [B, 15, H, W], H and W multiples of 16 (see :mod:`.condition`).
        references: float32 [B, K, 11, 40, 64], K >= 1.

    Returns:
        float32 [B, 5, H, W].
    """

    def __init__(self, config: FillNetConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c = config.widths
        na, nb, nc = config.blocks
        self.stem = nn.Conv2d(INPUT_CHANNELS * SHUFFLE**2, a, 3, padding=1)
        self.down_a, self.to_b = residual_stack(a, na), nn.Conv2d(a, b, 4, stride=2, padding=1)
        self.down_b, self.to_c = residual_stack(b, nb), nn.Conv2d(b, c, 4, stride=2, padding=1)
        self.bottom = residual_stack(c, nc)
        self.rays = nn.Conv2d(2, c, 1)
        self.encode = ReferenceEncoder(c)
        self.among, self.across = Attention(c, config.heads), Attention(c, config.heads)
        self.bottom_after = residual_stack(c, nc)
        self.up_b, self.up_a = nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)
        self.after_b, self.after_a = residual_stack(b, nb), residual_stack(a, na)
        self.head = nn.Conv2d(a, (2 + len(CANDIDATE_PRIOR)) * SHUFFLE**2, 3, padding=1)
        start_at_zero(self.head)
        assert self.head.bias is not None
        with torch.no_grad():
            self.head.bias[2 * SHUFFLE**2 :] = torch.tensor(CANDIDATE_PRIOR).repeat_interleave(SHUFFLE**2)

    def forward(self, image: Tensor, references: Tensor) -> Tensor:
        """See the class."""
        assert image.shape[1] == INPUT_CHANNELS, image.shape
        assert image.shape[2] % 16 == image.shape[3] % 16 == 0, image.shape
        assert references.shape[2] == REFERENCE_CHANNELS, references.shape
        at_a = self.down_a(self.stem(F.pixel_unshuffle(image, SHUFFLE)))
        at_b = self.down_b(self.to_b(at_a))
        x = self.bottom(self.to_c(at_b)) + self.rays(F.avg_pool2d(image[:, -2:], 16))
        B, C, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        tokens = self.across(self.among(tokens, tokens), self.encode(references))
        x = self.bottom_after(tokens.transpose(1, 2).reshape(B, C, h, w))
        x = self.after_b(at_b + F.interpolate(self.up_b(x), scale_factor=2.0, mode="nearest"))
        x = self.after_a(at_a + F.interpolate(self.up_a(x), scale_factor=2.0, mode="nearest"))
        told = F.pixel_shuffle(self.head(F.silu(x)), SHUFFLE)
        change = torch.cat([mixture_change(image, told[:, 2:]), told[:, :2]], 1)
        assert change.shape == (B, OUTPUT_CHANNELS, *image.shape[2:]), change.shape
        return change
