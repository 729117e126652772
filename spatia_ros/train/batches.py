"""From shards to batches of tensors; batch k depends on the seed and k alone, so training resumes exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from spatia_ros.generator.condition import REFERENCE_CHANNELS, REFERENCE_SIZE, assemble, guess_depth
from spatia_ros.train.augment import augment
from spatia_ros.train.pairs import Pair
from spatia_ros.train.shards import read_shard
from spatia_ros.types import Float32, SpatiaError


@dataclass(frozen=True, slots=True)
class Batch:
    """B conditions and their truths.

    Args:
        image: [B, 15, H, W]. references: [B, K, 11, 40, 64].
        colour: [B, 3, H, W], true colour in the condition's units. scale: [B, 1, 1, 1], that unit in 0..1.
        log_depth: [B, 1, H, W], true log-depth in the condition's units. measured: [B, 1, H, W], where it is known.
    """

    image: Tensor
    references: Tensor
    colour: Tensor
    scale: Tensor
    log_depth: Tensor
    measured: Tensor


def example(pair: Pair, references: int) -> tuple[Float32, ...]:
    """One pair as the arrays of a :class:`Batch`, through the generator's own ``assemble``."""
    target = pair.target
    told = assemble(pair.view, guess_depth(pair.view), pair.recalled, target.camera, target.T_world_cam, pair.references)
    h, w = told.size
    packed = np.zeros((references, REFERENCE_CHANNELS, *REFERENCE_SIZE), np.float32)
    packed[: len(told.references)] = told.references[:references]
    colour = (pair.target.rgb.astype(np.float32) / 255.0 - told.colour_mean) / told.colour_scale
    depth = pair.target.depth
    log_depth = np.where(depth > 0, np.log(np.maximum(depth, 1e-3)) - told.log_depth_mean, 0.0)
    return (
        told.image[:, :h, :w], packed, colour.transpose(2, 0, 1), np.full((1, 1, 1), told.colour_scale, np.float32),
        log_depth[None].astype(np.float32), (depth > 0)[None].astype(np.float32),
    )


class PairSet:
    """All pairs of a folder of shards, in memory.

    Raises:
        SpatiaError: when the folder has none.
    """

    def __init__(self, folder: Path, sources: dict[str, float], held_out: int) -> None:
        self.shares = sources
        self.pairs: dict[str, list[Pair]] = {}
        self.validation: list[Pair] = []
        for source in sources:
            paths = sorted(folder.glob(f"{source}-*.npz"))
            pairs = [pair for path in tqdm(paths, desc=f"read {source}", unit="shard") for pair in read_shard(path)]
            cut = held_out if source == "scenes" else 0
            self.validation += pairs[:cut]
            if pairs[cut:]:
                self.pairs[source] = pairs[cut:]
        if not self.pairs:
            raise SpatiaError(f"training pairs: expected shards of {list(sources)} in {folder}, found none")

    def __len__(self) -> int:
        return sum(map(len, self.pairs.values()))

    def draw(self, rng: np.random.Generator) -> Pair:
        """A random pair: first the source, by its share, then any pair of it."""
        names = list(self.pairs)
        share = np.array([self.shares[name] for name in names])
        pairs = self.pairs[names[rng.choice(len(names), p=share / share.sum())]]
        return pairs[rng.integers(len(pairs))]

    def batch(self, seed: int, step: int, size: int, references: int) -> Batch:
        """The augmented batch of a step."""
        rng = np.random.default_rng([seed, step])
        return stack([example(augment(self.draw(rng), rng), references) for _ in range(size)])


def stack(examples: list[tuple[Float32, ...]]) -> Batch:
    """Examples side by side."""
    return Batch(*(torch.from_numpy(np.stack(arrays)) for arrays in zip(*examples, strict=True)))
