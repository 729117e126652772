"""Saving and resuming: every tensor in safetensors, everything else in JSON, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spatia_ros.types import SpatiaError

FILE = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors to a safetensors file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, partial, metadata=metadata)
    os.replace(partial, path)


def save(
    folder: Path, module: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write the checkpoint of a stage: weights, their running average, the optimiser, and ``state``."""
    tensors = {f"module.{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for i, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{k}": v for k, v in moments.items()}
    save_tensors(folder / FILE, tensors, {"state": json.dumps(state)})


def load(
    folder: Path, module: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore a stage in place and return its state, or None when the folder has no checkpoint.

    Raises:
        SpatiaError: when the checkpoint is damaged or of another network.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
    except Exception as error:  # safetensors raises its own unrelated type for a file it cannot read
        raise SpatiaError(f"{path}: not a checkpoint ({error}); delete it to begin the stage again") from None

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    try:
        module.load_state_dict(part("module."))
    except RuntimeError as error:
        raise SpatiaError(f"{path}: made for another network ({error}); train in another folder") from None
    for name, value in part("average.").items():
        average[name].copy_(value)
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part("optimiser.").items():
        index, key = name.split(".", 1)
        like = parameters[int(index)]
        # Laid out in memory as the weights are: sums in another order would not give the same bits.
        moments.setdefault(int(index), {})[key] = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return state


def load_weights(path: Path, network: nn.Module) -> None:
    """Load a network's weights from a safetensors file, every one of them.

    Raises:
        SpatiaError: when the file is missing or of another network.
    """
    if not path.is_file():
        raise SpatiaError(f"weights {path}: expected a safetensors file, found none")
    try:
        network.load_state_dict(load_file(path))
    except Exception as error:  # safetensors and torch each raise their own
        raise SpatiaError(f"weights {path}: expected those of this network, got others ({error})") from None


def load_average(folder: Path, network: nn.Module) -> int | None:
    """Load a stage's averaged weights into a network; returns the steps made, or None when it has no checkpoint.

    Raises:
        SpatiaError: when the checkpoint is of another network.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith("average.")]  # noqa: SIM118  (no mapping)
            weights = {name.removeprefix("average."): file.get_tensor(name) for name in names}
            state = json.loads(file.metadata()["state"])
    except Exception as error:  # safetensors raises its own unrelated type for a file it cannot read
        raise SpatiaError(f"{path}: not a checkpoint ({error!s:.200})") from None
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise SpatiaError(f"{path}: made for another network ({error})") from None
    return int(state["step"])
