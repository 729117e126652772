"""The weights a run starts from: of a shipped engine, of another run, or by chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from spatia_ros.engine.bundle import MANIFEST, engines_folder, read_bundle
from spatia_ros.engine.ship import load_network
from spatia_ros.generator.network import ModelConfig, SpaceTimeNet
from spatia_ros.train.checkpoint import load_average
from spatia_ros.types import SpatiaError

PLAN = "plan.json"
"""What a run's folder says it was asked for."""


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan of a run, as plain values.

    Raises:
        SpatiaError: when the folder holds no run.
    """
    path = folder / PLAN
    if not path.is_file():
        raise SpatiaError(f"training run {folder}: expected {PLAN}, found none")
    return json.loads(path.read_text())


def folder_of(init: str) -> Path:
    """The folder ``--init`` names: of a shipped engine by its name, or any folder with an engine or a training run.

    Raises:
        SpatiaError: when there is no such folder.
    """
    folder = Path(init) if "/" in init or init.startswith(".") else engines_folder() / init
    if not ((folder / MANIFEST).is_file() or (folder / PLAN).is_file()):
        raise SpatiaError(f"train --init {init}: expected an engine or a training run, found neither at {folder}")
    return folder


def config_of(init: str) -> ModelConfig:
    """The shape of the network ``--init`` names."""
    folder = folder_of(init)
    is_engine = (folder / MANIFEST).is_file()
    return ModelConfig.from_dict(read_bundle(folder).network if is_engine else read_plan(folder)["model"])


def lineage(init: str | None) -> tuple[str, ...]:
    """The commands that made the weights a run begins with, oldest first, as far as their folders are still there."""
    if init is None:
        return ()
    try:
        folder = folder_of(init)
    except SpatiaError:
        return ()
    if (folder / MANIFEST).is_file():
        return (read_bundle(folder).command,)
    plan = read_plan(folder)
    return (*lineage(plan.get("init")), str(plan.get("command")))


def start_from(network: SpaceTimeNet, init: str) -> None:
    """Take every weight from an engine, or the averaged ones from a run, in place.

    Raises:
        SpatiaError: when they are of another network.
    """
    folder = folder_of(init)
    if not (folder / MANIFEST).is_file():
        load_newest(folder, network)
        return
    shipped = load_network(folder)
    if shipped.config != network.config:
        raise SpatiaError(f"train --init {init}: expected a network of {network.config}, got {shipped.config}")
    network.load_state_dict(shipped.state_dict())


def load_newest(folder: Path, network: SpaceTimeNet) -> tuple[str, int]:
    """Load the averaged weights of the newest stage of a run, finished or not; returns the stage and the steps it has made.

    Raises:
        SpatiaError: when no stage has a checkpoint, or it is of another network.
    """
    for stage, _ in reversed(read_plan(folder)["stages"]):
        step = load_average(folder / stage, network)
        if step is not None:
            return str(stage), step
    raise SpatiaError(f"training run {folder}: expected a checkpoint of one of its stages, found none yet")


def by_chance(network: SpaceTimeNet, seed: int) -> SpaceTimeNet:
    """A new network of the same configuration whose weights follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(network)(network.config)
