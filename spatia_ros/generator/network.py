"""The generator's network, whole: one architecture for space, time and context, in three sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import Tensor, nn

from spatia_ros.generator.autoencoder import Encoder
from spatia_ros.generator.decoder import Decoder
from spatia_ros.generator.text_encoder import TextEncoder
from spatia_ros.generator.transformer import Denoiser
from spatia_ros.types import SpatiaError


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a network.

    Args:
        latent: channels of a latent. width, depth, heads: of the transformer.
        control_every: main blocks for every control block.
        encoder, painter, decoder: widths at 1/4, 1/8 and 1/16 of the resolution. decoder_heads: at its bottom.
        words: rows of the vocabulary. phrase: longest text in tokens. text_depth: blocks of the text encoder.
    """

    latent: int
    width: int
    depth: int
    heads: int
    encoder: tuple[int, int, int]
    painter: tuple[int, int, int]
    decoder: tuple[int, int, int]
    decoder_heads: int = 4
    control_every: int = 4
    words: int = 256
    phrase: int = 16
    text_depth: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a manifest."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of :meth:`as_dict`.

        Raises:
            SpatiaError: when a name is missing or unknown.
        """
        known = {field.name for field in fields(ModelConfig)}
        if set(values) != known:
            raise SpatiaError(f"network: expected the fields {sorted(known)}, got {sorted(values)}")
        shape: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return ModelConfig(**shape)


NANO = ModelConfig(16, 192, 8, 3, encoder=(32, 64, 96), painter=(32, 64, 96), decoder=(48, 96, 160))
SMALL = ModelConfig(32, 512, 16, 8, encoder=(64, 128, 256), painter=(64, 128, 256), decoder=(64, 128, 256))
BASE = ModelConfig(32, 1024, 24, 16, encoder=(96, 192, 384), painter=(96, 192, 384), decoder=(96, 192, 384))
PRESETS = {"nano": NANO, "small": SMALL, "base": BASE}
"""By name: 9.5, 82.7 and 438.0 million parameters (what they cost: :mod:`.cost`)."""


class SpaceTimeNet(nn.Module):
    """What memory shows, where the cameras are, what time it is, what was seen and what is asked for, to RGB and depth.

    Its five parts run alone, and are exported alone (see :mod:`spatia_ros.engine.table`).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encode = Encoder(config.encoder, config.latent)
        self.text = TextEncoder(config.words, config.phrase, config.width, config.heads, config.text_depth)
        self.transformer = Denoiser(config.latent, config.width, config.depth, config.heads, config.control_every)
        self.decode = Decoder(config.decoder, config.painter, config.latent, config.decoder_heads)

    def context(self, latents: Tensor, rays: Tensor, time: Tensor, animation: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of clean context (see :meth:`.transformer.Denoiser.context`)."""
        return self.transformer.context(latents, rays, time, animation)

    def denoise(
        self, z: Tensor, flow_time: Tensor, memory: Tensor, uncovered: Tensor, rays: Tensor, time: Tensor,
        animation: Tensor, text: Tensor, keys: Tensor, values: Tensor,
    ) -> Tensor:
        """Clean latents from noisy ones (see :meth:`.transformer.Denoiser.denoise`)."""
        return self.transformer.denoise(z, flow_time, memory, uncovered, rays, time, animation, text, keys, values)

    def paint(self, z: Tensor) -> Tensor:
        """Latents [N, C, h, w] alone to colour and log-depth [N, 4, 16 h, 16 w] in the anchor's units."""
        return self.decode.paint(z)


class ContextGraph(nn.Module):
    """A network's context pass as a module of its own."""

    def __init__(self, network: SpaceTimeNet) -> None:
        super().__init__()
        self.transformer = network.transformer

    def forward(self, latents: Tensor, rays: Tensor, time: Tensor, animation: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`.transformer.Denoiser.context`."""
        return self.transformer.context(latents, rays, time, animation)


class DenoiseGraph(nn.Module):
    """A network's denoising pass as a module of its own."""

    def __init__(self, network: SpaceTimeNet) -> None:
        super().__init__()
        self.transformer = network.transformer

    def forward(
        self, z: Tensor, flow_time: Tensor, memory: Tensor, uncovered: Tensor, rays: Tensor, time: Tensor,
        animation: Tensor, text: Tensor, keys: Tensor, values: Tensor,
    ) -> Tensor:
        """See :meth:`.transformer.Denoiser.denoise`."""
        return self.transformer.denoise(z, flow_time, memory, uncovered, rays, time, animation, text, keys, values)


def graphs(network: SpaceTimeNet) -> dict[str, nn.Module]:
    """The five parts of a network by the names of the engine's graphs, sharing its weights."""
    return {
        "encode": network.encode, "text": network.text, "context": ContextGraph(network),
        "denoise": DenoiseGraph(network), "decode": network.decode,
    }
