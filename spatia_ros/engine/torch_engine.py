"""A torch module behind the engine signature: the truth the other runtimes are held against."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from spatia_ros.engine.table import INPUTS, OUTPUTS
from spatia_ros.types import Float32


class TorchEngine:
    """A network run by torch, on the device its weights are on."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()
        self.device = next(network.parameters()).device

    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, Float32]) -> dict[str, Float32]:
        """Run the network once; names and shapes are those of :mod:`.table`."""
        out = self.network(*(torch.from_numpy(inputs[p.name]).to(self.device) for p in INPUTS))
        return {OUTPUTS[0].name: out.float().cpu().numpy()}
