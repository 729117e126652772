"""TensorRT behind the engine signature. Its arrays are torch tensors on the GPU; one context for every combination of shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spatia_ros.engine.built import INSTALL
from spatia_ros.engine.cuda_graph import CapturedFunction, Recorder, record_on_cuda
from spatia_ros.engine.table import AnyArray, Graph
from spatia_ros.types import Float32, SpatiaError

TYPES = {
    "FLOAT": torch.float32, "HALF": torch.float16, "BF16": torch.bfloat16, "INT64": torch.int64, "INT32": torch.int32,
    "BOOL": torch.bool,
}  # fmt: skip
Shapes = tuple[tuple[int, ...], ...]
MOST_CONTEXTS = 12
"""Contexts kept at most, each with the scratch memory of its shapes; at one more all go, and the recordings that use them."""


class TensorRtEngine:
    """A network run by TensorRT 10 or 11.

    Args:
        path: of the built engine; the caller has checked that it was built here (TensorRT trusts what it is given).
        graph: which line of the table it is.
        device: of its arrays.
        record: how to record launches once for every combination of shapes; None launches every time.

    Raises:
        SpatiaError: when TensorRT is missing, or refuses the file, or the file is another graph.
    """

    def __init__(
        self, path: Path, graph: Graph, device: torch.device | None = None, record: Recorder | None = record_on_cuda
    ) -> None:
        try:
            import tensorrt
        except ImportError:
            raise SpatiaError(INSTALL) from None
        self.graph, self.path, self.device = graph, path, device or torch.device("cuda", 0)
        self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))  # must outlive the engine
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise SpatiaError(f"engine {path}: refused by TensorRT {tensorrt.__version__}; build it again: spatia build-engine")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        wanted = [port.name for port in graph.ports]
        if sorted(names) != sorted(wanted):
            raise SpatiaError(f"TensorRT engine {path}: expected inputs and outputs {wanted}, got {names}")
        self._types = {name: TYPES[self._engine.get_tensor_dtype(name).name] for name in names}
        self._record = record
        self._contexts: dict[Shapes, Any] = {}
        self._run = self._fresh()

    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, AnyArray]) -> dict[str, Float32]:
        """Run the network once; names and shapes are those of :mod:`.table`.

        Raises:
            SpatiaError: when a shape is outside what the engine was built for.
        """
        tensors = [
            torch.from_numpy(np.ascontiguousarray(inputs[port.name])).to(self.device, self._types[port.name])
            for port in self.graph.inputs
        ]  # fmt: skip
        if len(self._contexts) >= MOST_CONTEXTS and shapes_of(tensors) not in self._contexts:
            self._run = self._fresh()
        outputs = self._run(*tensors)
        return {port.name: out.float().cpu().numpy() for port, out in zip(self.graph.outputs, outputs, strict=True)}

    def _fresh(self) -> Callable[..., tuple[Tensor, ...]]:
        """A run that has met no shapes yet."""
        self._contexts = {}
        return CapturedFunction(self._launch, self._record, MOST_CONTEXTS) if self._record else self._launch

    def _launch(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Queue one run on the current stream."""
        context = self._context(tensors)
        for port, tensor in zip(self.graph.inputs, tensors, strict=True):
            context.set_tensor_address(port.name, tensor.data_ptr())
        outputs = []
        for port in self.graph.outputs:
            shape = tuple(context.get_tensor_shape(port.name))
            outputs.append(torch.empty(shape, dtype=self._types[port.name], device=self.device))
            context.set_tensor_address(port.name, outputs[-1].data_ptr())
        stream = torch.cuda.current_stream(self.device).cuda_stream if self.device.type == "cuda" else 0
        if not context.execute_async_v3(stream):
            raise SpatiaError(f"TensorRT engine {self.path}: the run failed; TensorRT's log says why")
        return tuple(outputs)

    def _context(self, tensors: tuple[Tensor, ...]) -> Any:
        """The context of these shapes: a recorded launch must not find another's shapes in it."""
        key = shapes_of(tensors)
        if key not in self._contexts:
            context = self._engine.create_execution_context()
            for port, shape in zip(self.graph.inputs, key, strict=True):
                if not context.set_input_shape(port.name, shape):
                    least, _, most = self._engine.get_tensor_profile_shape(port.name, 0)
                    raise SpatiaError(
                        f"{self.graph.name}: {port.name}: expected a shape from {list(least)} to {list(most)}, got "
                        f"{list(shape)}; build engines that take it: spatia build-engine --most WIDTHxHEIGHT --clip FRAMES"
                    )
            self._contexts[key] = context
        return self._contexts[key]


def shapes_of(tensors: Iterable[Tensor]) -> Shapes:
    """The shapes of tensors."""
    return tuple(tuple(tensor.shape) for tensor in tensors)
