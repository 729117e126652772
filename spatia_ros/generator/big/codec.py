"""Pictures to latents and back, through Wan's video autoencoder: 4 frames of 16 x 16 px a latent, the first frame alone."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from spatia_ros.types import Bool, UInt8

PER_LATENT = 4
"""Frames a latent holds, but for the first, which holds one."""


def latent_frames(frames: int) -> int:
    """How many latents frames make."""
    return (frames - 1) // PER_LATENT + 1


def whole(frames: int) -> int:
    """The next number of frames that fills its latents: 1, 5, 9, ..."""
    return PER_LATENT * (-(-(frames - 1) // PER_LATENT)) + 1


class Codec:
    """The autoencoder with its latents brought to mean 0 and spread 1, as the transformer knows them."""

    def __init__(self, vae: AutoencoderKLWan) -> None:
        self.vae = vae
        shape = (1, vae.config.z_dim, 1, 1, 1)
        self.mean = torch.tensor(vae.config.latents_mean, device=vae.device, dtype=vae.dtype).view(shape)
        self.spread = torch.tensor(vae.config.latents_std, device=vae.device, dtype=vae.dtype).view(shape)
        self.per_pixel = int(vae.config.scale_factor_spatial)

    def pictures(self, rgb: UInt8) -> Tensor:
        """Latents [1, C, F, h, w] of a video uint8 [T, H, W, 3]; black is -1 and white 1."""
        return self._encode(torch.from_numpy(rgb.astype(np.float32) / np.float32(127.5) - np.float32(1.0)))

    def unknown(self, coverage: Bool) -> Tensor:
        """Latents [1, C, F, h, w] of a video that is 1 where memory shows nothing, and 0 where it does; from bool [T, H, W]."""
        uncovered = torch.from_numpy(np.where(coverage, np.float32(0.0), np.float32(1.0)))
        return self._encode(uncovered[..., None].expand(*coverage.shape, 3))

    @torch.inference_mode()
    def _encode(self, video: Tensor) -> Tensor:
        channels_first = video.permute(3, 0, 1, 2)[None].to(self.vae.device, self.vae.dtype)
        return (self.vae.encode(channels_first).latent_dist.mode() - self.mean) / self.spread

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> UInt8:
        """A video uint8 [T, H, W, 3] of latents [1, C, F, h, w]."""
        video = self.vae.decode(latents.to(self.vae.dtype) * self.spread + self.mean).sample[0]
        return ((video.float().clamp(-1, 1) + 1) * 127.5 + 0.5).to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()
