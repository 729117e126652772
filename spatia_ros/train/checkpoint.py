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


def save(
    folder: Path, network: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write the checkpoint of a run: weights, their running average, the optimiser, and ``state``."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for i, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{k}": v for k, v in moments.items()}
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (FILE + ".partial")
    save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata={"state": json.dumps(state)})
    os.replace(partial, folder / FILE)


def load(
    folder: Path, network: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore a run in place and return its state, or None when the folder has no checkpoint.

    Raises:
        SpatiaError: when the checkpoint is of another network.
    """
    path = folder / FILE
    if not path.exists():
        return None
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["state"])

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    try:
        network.load_state_dict(part("network."))
    except RuntimeError as error:
        raise SpatiaError(f"{path}: made for another network ({error}); train in another folder") from None
    average.update(part("average."))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part("optimiser.").items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return state
