"""The weights a run starts from: of a shipped engine, of another run, or by chance with a decoder that already fills."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from spatia_ros.engine.manifest import engines_folder, read_manifest
from spatia_ros.generator.decoder import from_fill_nano
from spatia_ros.train.checkpoint import WEIGHTS, load_weights
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from spatia_ros.generator.network import SpaceTimeNet


def folder_of(init: str) -> Path:
    """The folder ``--init`` names: of a shipped engine by its name, or any folder with weights.

    Raises:
        SpatiaError: when there is no such folder.
    """
    folder = Path(init) if "/" in init or init.startswith(".") else engines_folder() / init
    if not (folder / WEIGHTS).is_file():
        raise SpatiaError(f"train --init {init}: expected a shipped engine or a folder with {WEIGHTS}, found none at {folder}")
    return folder


def start_from(network: SpaceTimeNet, init: str) -> None:
    """Take every weight from an engine or a finished run, in place."""
    load_weights(folder_of(init) / WEIGHTS, network)


def bootstrap(network: SpaceTimeNet, engine: str) -> None:
    """Start the decoder as the mixture network of an engine of the first generation, in place.

    Raises:
        SpatiaError: when its widths are others than the decoder's.
    """
    folder = engines_folder() / engine
    weights = load_file(folder / Path(read_manifest(folder).weights).name)
    try:
        from_fill_nano(network.decode, weights)
    except (KeyError, RuntimeError) as error:
        raise SpatiaError(f"train: the decoder cannot start from engine {engine}: {error}") from None


def by_chance(network: SpaceTimeNet, seed: int) -> SpaceTimeNet:
    """A new network of the same configuration whose weights follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(network)(network.config)
