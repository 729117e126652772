"""Latents and the filled view to what changes of the fill: what is remembered never passes through latents.

Colour in holes is a mixture, pixel by pixel, of candidates: the fill, ever wider blurs of it, the
fill without recall, the mean, and what the latents show. Depth is one of the guess, what the latents
show, and a step nearer and further. The network decides how far each is to be trusted. Free
corrections learned the places they were trained on by heart, and lost on unseen recordings what they
won on seen ones; a mixture cannot. The latents start with next to no share, so an untrained network
gives the fill.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatia_ros.generator.autoencoder import SHUFFLE, STRIDE, Painter, shuffled_convolution
from spatia_ros.generator.blocks import Attention, residual_stack, start_at_zero
from spatia_ros.generator.image import INPUT_CHANNELS

OUTPUT_CHANNELS = 5
"""Change of colour 3 and of log-depth 1, and the log of the depth's expected relative error."""
VIEW_CHANNELS = 5
"""From the anchor's units to the view's: colour scale 1 and offset 3, log-depth offset 1."""
COLOUR_PRIOR = (0.0, 0.0, 0.0, 0.0, -1.0, -3.0, -5.0)
"""Logits an untrained network gives the candidates of :func:`candidates`, and the latents' colour."""
DEPTH_PRIOR = (0.0, -3.0, -3.0, -6.0)
"""The same for depth: as guessed, nearer, further, as the latents have it."""
DEPTH_STEP = 0.2
"""How much nearer or further depth can be made, of its logarithm."""
TOLD = 1 + len(COLOUR_PRIOR) + len(DEPTH_PRIOR)
"""Per pixel: the log of depth's spread, and logits of colour's and depth's candidates."""


def blur(image: Tensor, side: int) -> Tensor:
    """Two box filters of ``side`` px, by columns and by rows: close to a Gaussian of sigma ``side / 2.4``."""
    half = side // 2
    for _ in range(2):
        for window, margin in (((side, 1), (half, 0)), ((1, side), (0, half))):
            image = F.avg_pool2d(image, window, stride=1, padding=margin, count_include_pad=False)
    return image


def candidates(image: Tensor) -> tuple[Tensor, ...]:
    """What colour a hole could take, each [B, 3, H, W]: fill, two blurs, fill without recall, widest blur, mean."""
    filled, plain = image[:, :3].contiguous(), image[:, 10:13]
    widest = F.interpolate(blur(F.avg_pool2d(filled, 8), 3), scale_factor=8.0, mode="bilinear", align_corners=False)
    return filled, blur(filled, 3), blur(filled, 9), plain, widest, torch.zeros_like(filled)


def mixture(parts: tuple[Tensor, ...], logits: Tensor) -> Tensor:
    """The mean of n parts [B, C, H, W] by the softmax of logits [B, n, H, W]."""
    # Spelled out: runtimes have fast softmaxes for the last axis only.
    weight = torch.exp(logits - logits.amax(1, keepdim=True))
    total = sum(share * part for share, part in zip(weight.split([1] * len(parts), 1), parts, strict=True))
    return total / weight.sum(1, keepdim=True)


class Decoder(nn.Module):
    """Latents and view to change.

    Args of forward:
        z: float32 [N, C + 1, h, w]; its last channel, the box, is not looked at.
        image: float32 [N, 15, 16 h, 16 w] (see :mod:`.condition`).
        to_view: float32 [N, 5]: ``colour = scale * painted + offset``, ``log_depth = painted + offset``.

    Returns:
        float32 [N, 5, 16 h, 16 w].
    """

    def __init__(self, widths: tuple[int, int, int], painter: tuple[int, int, int], latent: int, heads: int) -> None:
        super().__init__()
        a, b, c = widths
        self.latent = latent
        self.paint = Painter(painter, latent)
        self.stem = shuffled_convolution(INPUT_CHANNELS, a)
        self.down_a, self.to_b = residual_stack(a, 2), nn.Conv2d(a, b, 4, stride=2, padding=1)
        self.down_b, self.to_c = residual_stack(b, 2), nn.Conv2d(b, c, 4, stride=2, padding=1)
        self.bottom = residual_stack(c, 2)
        self.rays, self.latents = nn.Conv2d(2, c, 1), nn.Conv2d(latent, c, 1)
        self.among = Attention(c, heads)
        self.bottom_after = residual_stack(c, 2)
        self.up_b, self.up_a = nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)
        self.after_b, self.after_a = residual_stack(b, 2), residual_stack(a, 2)
        self.head = nn.Conv2d(a, TOLD * SHUFFLE**2, 3, padding=1)
        start_at_zero(self.latents)
        start_at_zero(self.head)
        assert self.head.bias is not None
        with torch.no_grad():
            self.head.bias[SHUFFLE**2 :] = prior_logits()

    def forward(self, z: Tensor, image: Tensor, to_view: Tensor) -> Tensor:
        """See the class."""
        assert z.shape[1] == self.latent + 1, z.shape
        assert image.shape[1:] == (INPUT_CHANNELS, STRIDE * z.shape[2], STRIDE * z.shape[3]), (z.shape, image.shape)
        assert to_view.shape[1:] == (VIEW_CHANNELS,), to_view.shape
        z = z[:, : self.latent]
        painted, to_view, hole = self.paint(z), to_view[:, :, None, None], 1.0 - image[:, 4:5]
        told = F.pixel_shuffle(self.head(F.silu(self.features(z, image))), SHUFFLE)
        spread, of_colour, of_depth = told.split([1, len(COLOUR_PRIOR), len(DEPTH_PRIOR)], 1)
        colour = to_view[:, :1] * painted[:, :3] + to_view[:, 1:4]
        colour = mixture((*candidates(image), colour), of_colour) - image[:, :3]
        step = torch.full_like(hole, DEPTH_STEP)
        further = mixture((torch.zeros_like(hole), -step, step, painted[:, 3:] + to_view[:, 4:] - image[:, 3:4]), of_depth)
        change = torch.cat([hole * colour, hole * further, spread], 1)
        assert change.shape[1:] == (OUTPUT_CHANNELS, *image.shape[2:]), change.shape
        return change

    def features(self, z: Tensor, image: Tensor) -> Tensor:
        """A quarter-resolution U-Net [N, a, H / 4, W / 4] over the view that meets the latents at its bottom."""
        at_a = self.down_a(self.stem(image))
        at_b = self.down_b(self.to_b(at_a))
        x = self.bottom(self.to_c(at_b)) + self.rays(F.avg_pool2d(image[:, -2:], STRIDE)) + self.latents(z)
        tokens = x.flatten(2).transpose(1, 2)
        x = self.bottom_after(self.among(tokens, tokens).transpose(1, 2).reshape(x.shape))
        x = self.after_b(at_b + F.interpolate(self.up_b(x), scale_factor=2.0, mode="nearest"))
        return self.after_a(at_a + F.interpolate(self.up_a(x), scale_factor=2.0, mode="nearest"))


def prior_logits() -> Tensor:
    """Logits an untrained head gives, [11 * 16]: the bias of its part that decides."""
    return torch.tensor((*COLOUR_PRIOR, *DEPTH_PRIOR)).repeat_interleave(SHUFFLE**2)


@torch.no_grad()
def shrink(decoder: Decoder, share: float, depth_share: float | None = None) -> None:
    """Move the decision between candidates to ``share`` of the way from its prior to what was learned, in place.

    A few hours of few places teach too firm a trust in recall; shrinking an estimate towards its
    prior is the cure for that.

    Args:
        depth_share: of the decision between depths; None: the same.
    """
    prior = prior_logits()
    shares = torch.tensor([share] * len(COLOUR_PRIOR) + [share if depth_share is None else depth_share] * len(DEPTH_PRIOR))
    decides, by = slice(SHUFFLE**2, None), shares.repeat_interleave(SHUFFLE**2)
    assert decoder.head.bias is not None
    decoder.head.weight[decides] *= by.to(decoder.head.weight)[:, None, None, None]
    decoder.head.bias[decides] = prior.to(decoder.head.bias) + by * (decoder.head.bias[decides] - prior.to(decoder.head.bias))
