"""The stages of training and their numbers for every size of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spatia_ros.types import SpatiaError

StageName = Literal["autoencoder", "flow", "direct", "consistency", "tune", "navigate"]
STAGES: tuple[StageName, ...] = ("autoencoder", "flow", "direct")
"""What a run from nothing goes through; ``consistency`` is the other way to few steps, ``tune`` starts from shipped
weights, and so does ``navigate``, which learns to go by pictures alone."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage's numbers.

    Args:
        steps: optimiser steps. batch: clips a step, of one process.
        frames, context: frames of a clip, and of its context, at most.
        learning_rate: at its peak, after ``warmup`` steps; then a cosine down to a fiftieth.
        average_decay: of the running average of the weights (the one that is shipped).
    """

    steps: int
    batch: int
    frames: int
    context: int
    learning_rate: float
    warmup: int = 200
    average_decay: float = 0.998


@dataclass(frozen=True, slots=True)
class Preset:
    """A size of the network and how each stage trains it."""

    name: str
    stages: dict[StageName, StagePlan]


NANO = Preset(
    "nano",
    {
        "autoencoder": StagePlan(3_000, 4, 2, 1, 4e-4, warmup=50),
        "flow": StagePlan(6_000, 2, 4, 6, 4e-4, warmup=50),
        "direct": StagePlan(6_000, 2, 4, 6, 3e-4, warmup=50),
        "consistency": StagePlan(4_000, 2, 4, 6, 1e-4, warmup=50),
        "tune": StagePlan(400, 2, 4, 6, 1e-4, warmup=50, average_decay=0.99),
        "navigate": StagePlan(4_000, 2, 4, 9, 3e-4, warmup=50),
    },
)
SMALL = Preset(
    "small",
    {
        "autoencoder": StagePlan(40_000, 16, 4, 1, 3e-4, warmup=1000, average_decay=0.999),
        "flow": StagePlan(100_000, 16, 8, 6, 2e-4, warmup=2000, average_decay=0.9995),
        "direct": StagePlan(40_000, 16, 8, 6, 1e-4, warmup=500, average_decay=0.999),
        "consistency": StagePlan(20_000, 16, 8, 6, 5e-5, warmup=500, average_decay=0.999),
        "tune": StagePlan(2_000, 8, 8, 6, 5e-5, warmup=100),
        "navigate": StagePlan(30_000, 16, 8, 9, 1e-4, warmup=500, average_decay=0.999),
    },
)
BASE = Preset(
    "base",
    {
        "autoencoder": StagePlan(100_000, 16, 4, 1, 2e-4, warmup=1000, average_decay=0.9995),
        "flow": StagePlan(400_000, 16, 16, 9, 1e-4, warmup=5000, average_decay=0.9999),
        "direct": StagePlan(80_000, 16, 16, 9, 5e-5, warmup=1000, average_decay=0.9995),
        "consistency": StagePlan(40_000, 16, 16, 9, 2e-5, warmup=1000, average_decay=0.9995),
        "tune": StagePlan(4_000, 8, 16, 9, 2e-5, warmup=200),
        "navigate": StagePlan(60_000, 16, 16, 9, 5e-5, warmup=1000, average_decay=0.9995),
    },
)
PRESETS = {preset.name: preset for preset in (NANO, SMALL, BASE)}


def preset_of(name: str) -> Preset:
    """The preset of a size.

    Raises:
        SpatiaError: for an unknown name.
    """
    if name not in PRESETS:
        raise SpatiaError(f"train --size: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
