"""The five networks of a generator, stood in for by a few lines whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spatia_ros.types import Float32

CHANNELS = 5
Arrays = Mapping[str, np.ndarray]


@dataclass
class TinyNetworks:
    """Latents are block means of what is encoded. Denoised, they are memory, plus ``push`` for what is asked for.

    ``asked`` counts calls by network, ``last`` keeps the last arrays each was given. The decoder writes the latents'
    colour, enlarged, where memory shows nothing, so what is sampled can be seen.
    """

    push: float = 0.0
    noisy: float = 0.0
    sha256: str = "tiny"
    asked: dict[str, int] = field(default_factory=dict)
    last: dict[str, Arrays] = field(default_factory=dict)

    def note(self, name: str, inputs: Arrays) -> None:
        self.asked[name] = self.asked.get(name, 0) + 1
        self.last[name] = inputs

    def encode(self, inputs: Arrays) -> dict[str, Float32]:
        self.note("encode", inputs)
        n, c, height, width = inputs["frames"].shape
        assert c == 5
        return {"latents": inputs["frames"].reshape(n, c, height // 16, 16, width // 16, 16).mean((3, 5))}

    def text(self, inputs: Arrays) -> dict[str, Float32]:
        self.note("text", inputs)
        tokens = inputs["tokens"]
        assert tokens.dtype == np.int64
        return {"text": np.repeat(tokens[..., None], 4, -1).astype(np.float32)}

    def context(self, inputs: Arrays) -> dict[str, Float32]:
        self.note("context", inputs)
        _, K, channels, rows, cols = inputs["latents"].shape
        assert (channels, rows, cols) == (CHANNELS + 1, 5, 8)
        assert inputs["rays"].shape == (1, K, 9, 5, 8)
        assert inputs["time"].shape == inputs["animation"].shape == (1, K)
        keys = np.repeat(inputs["latents"].reshape(1, 1, 1, K * 40, -1), 2, 1)
        return {"keys": keys.astype(np.float32), "values": -keys.astype(np.float32)}

    def denoise(self, inputs: Arrays) -> dict[str, Float32]:
        self.note("denoise", inputs)
        z, memory = inputs["z"], inputs["memory"]
        assert inputs["flow_time"].shape == (1,)
        assert z.shape[2] == memory.shape[2] + 1 == CHANNELS + 1
        told = self.push * (np.abs(inputs["keys"]).mean() + inputs["text"].mean())
        clean = np.concatenate([memory + told, np.zeros_like(memory[:, :, :1])], 2) + self.noisy * z
        return {"z0": clean.astype(np.float32)}

    def decode(self, inputs: Arrays) -> dict[str, Float32]:
        self.note("decode", inputs)
        image, z, to_view = inputs["image"], inputs["z"], inputs["to_view"]
        colour = np.kron(z[:, :3], np.ones((1, 1, 16, 16))) * to_view[:, 0, None, None, None] + to_view[:, 1:4, None, None]
        change = np.zeros((len(image), 5, *image.shape[2:]), np.float32)
        change[:, :3] = (1 - image[:, 4:5]) * (colour - image[:, :3])
        change[:, 4] = -3.0
        return {"change": change}
