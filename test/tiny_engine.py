"""A generator small enough to export in seconds, none of whose layers gives nothing."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch

from spatia_ros.engine.ship import ship
from spatia_ros.generator.network import ModelConfig, SpaceTimeNet

TINY = ModelConfig(8, 32, 2, 2, encoder=(8, 8, 16), painter=(8, 8, 16), decoder=(8, 8, 16), decoder_heads=2)


def tiny_network(seed: int = 0) -> SpaceTimeNet:
    """Random weights, also where training would start at zero."""
    torch.set_num_threads(1)  # for tensors this small, threads cost more than they do
    torch.manual_seed(seed)
    network = SpaceTimeNet(TINY).eval().requires_grad_(False)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network


@cache
def tiny_engine() -> Path:
    """An engine folder of it, float32 and float16, made once and not to be changed."""
    folder = Path(mkdtemp(prefix="tiny-engine-")) / "tiny"
    ship(tiny_network(), folder, "tiny", "none", 0, {}, ("fp32", "fp16"))
    return folder


def engine_copy(folder: Path) -> Path:
    """A copy of it inside a folder, to be changed."""
    return Path(shutil.copytree(tiny_engine(), folder / "tiny"))
