"""A torch module behind the engine signature: the truth the other runtimes are held against, and a fast one on CUDA."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from spatia_ros.engine.cuda_graph import CapturedFunction, Recorder, record_on_cuda
from spatia_ros.engine.table import AnyArray, Graph
from spatia_ros.types import Float32

Function = Callable[..., "Tensor | tuple[Tensor, ...]"]


class TorchEngine:
    """A network run by torch.

    Args:
        network: a module, or a method of one, that takes the inputs of ``graph`` in the table's order.
        graph: which line of the table it is.
        device: where it runs; the device of a module's parameters if not given.
        half: multiply in float16 on CUDA (autocast); inputs and outputs stay float32.
        record: how to record launches once for every combination of shapes; None runs each operation by itself.
    """

    def __init__(
        self, network: Function, graph: Graph, device: torch.device | None = None, *,
        half: bool = False, record: Recorder | None = None,
    ) -> None:  # fmt: skip
        if isinstance(network, nn.Module):
            network = network.eval()
            device = device or next(network.parameters()).device
        self.graph, self.device, self.half = graph, device or torch.device("cpu"), half
        self.network = network
        self._run: Callable[..., tuple[Tensor, ...]] = CapturedFunction(self._forward, record) if record else self._forward

    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, AnyArray]) -> dict[str, Float32]:
        """Run the network once; names and shapes are those of :mod:`.table`."""
        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[p.name])).to(self.device) for p in self.graph.inputs]
        outputs = self._run(*tensors)
        return {p.name: out.float().cpu().numpy() for p, out in zip(self.graph.outputs, outputs, strict=True)}

    def _forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The network on tensors of its device."""
        with torch.autocast(self.device.type, torch.float16, enabled=self.half):
            out = self.network(*tensors)
        return out if isinstance(out, tuple) else (out,)


def cuda_or_cpu() -> torch.device:
    """The first CUDA device, or the CPU where there is none."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def halve_products(network: nn.Module) -> None:
    """Store the weights of products in float16, in place: autocast then has nothing to convert at every call."""
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)):
            module.half()


def torch_calls(
    network: nn.Module, graphs: Sequence[Graph], device: torch.device, *, half: bool = False, capture: bool = True,
) -> dict[str, TorchEngine]:  # fmt: skip
    """The methods of a network as engines, one a graph, by the graphs' names.

    Args:
        network: has a method of every graph's name.
        device: where it is moved to.
        half: float16 products on CUDA (the network's weights are converted).
        capture: record CUDA graphs, one a combination of shapes.
    """
    network = network.eval().requires_grad_(False).to(device)
    on_cuda = device.type == "cuda"
    if half and on_cuda:
        halve_products(network)
    record = record_on_cuda if capture and on_cuda else None
    return {g.name: TorchEngine(getattr(network, g.name), g, device, half=half and on_cuda, record=record) for g in graphs}
