"""Frames to latents at 1/16 of their size, and latents back to frames.

A latent is RMS-normalised over its channels at every place: it lies on a sphere of mean square 1.
So the noise of flow matching, N(0, 1), has the latents' scale from the first step of training to
the last, with no statistic to measure or keep and no KL to weigh; and an all-zero latent can mean
"nothing here", because no frame encodes to it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from spatia_ros.generator.blocks import residual_stack, rms_normalised, start_at_zero

FRAME_CHANNELS = 5
"""Colour 3 and log-depth 1 in the anchor's units, known 1."""
PAINTED_CHANNELS = 4
"""Colour 3 and log-depth 1 in the anchor's units."""
SHUFFLE = 4
STRIDE = 16


def shuffled_convolution(channels: int, width: int) -> nn.Conv2d:
    """A 3x3 convolution over 4x4 pixels shuffled into channels, as the one strided convolution it is (and runs faster as)."""
    return nn.Conv2d(channels, width, 3 * SHUFFLE, stride=SHUFFLE, padding=SHUFFLE)


class Encoder(nn.Module):
    """Frames [N, 5, H, W] to latents [N, C, H / 16, W / 16] of mean square 1; H and W multiples of 16."""

    def __init__(self, widths: tuple[int, int, int], latent: int) -> None:
        super().__init__()
        a, b, c = widths
        self.layers = nn.Sequential(
            shuffled_convolution(FRAME_CHANNELS, a), residual_stack(a, 1),
            nn.Conv2d(a, b, 4, stride=2, padding=1), residual_stack(b, 1),
            nn.Conv2d(b, c, 4, stride=2, padding=1), residual_stack(c, 1), nn.SiLU(), nn.Conv2d(c, latent, 3, padding=1),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        assert frames.shape[1] == FRAME_CHANNELS, frames.shape
        assert frames.shape[2] % STRIDE == frames.shape[3] % STRIDE == 0, frames.shape
        return rms_normalised(self.layers(frames), 1)


class Painter(nn.Module):
    """Latents [N, C, h, w] to frames [N, 4, 16 h, 16 w] in the anchor's units; starts by painting the anchor's mean."""

    def __init__(self, widths: tuple[int, int, int], latent: int) -> None:
        super().__init__()
        a, b, c = widths
        self.enter, self.at_c = nn.Conv2d(latent, c, 3, padding=1), residual_stack(c, 2)
        self.to_b, self.at_b = nn.Conv2d(c, 4 * b, 1), residual_stack(b, 1)
        self.to_a, self.at_a = nn.Conv2d(b, 4 * a, 1), residual_stack(a, 1)
        self.leave = nn.Conv2d(a, PAINTED_CHANNELS * SHUFFLE**2, 3, padding=1)
        start_at_zero(self.leave)

    def forward(self, z: Tensor) -> Tensor:
        """See the class."""
        x = self.at_c(self.enter(z))
        x = self.at_b(F.pixel_shuffle(self.to_b(x), 2))
        x = self.at_a(F.pixel_shuffle(self.to_a(x), 2))
        painted = F.pixel_shuffle(self.leave(F.silu(x)), SHUFFLE)
        assert painted.shape[1:] == (PAINTED_CHANNELS, STRIDE * z.shape[2], STRIDE * z.shape[3]), painted.shape
        return painted
