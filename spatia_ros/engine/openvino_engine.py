"""OpenVINO behind the engine signature. It is not among the pinned requirements: pip install openvino."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spatia_ros.engine.table import AnyArray, Graph
from spatia_ros.types import Float32, SpatiaError


class OpenVinoEngine:
    """A network run by OpenVINO on the CPU, in float32 throughout.

    Args:
        path: of the ONNX file; external data lies beside it.
        graph: which line of the table it is.
        threads: of the CPU.

    Raises:
        SpatiaError: when OpenVINO is not installed, or cannot use the file.
    """

    def __init__(self, path: Path, graph: Graph, threads: int) -> None:
        try:
            import openvino
        except ImportError:
            raise SpatiaError("runtime openvino: expected the package openvino; pip install openvino") from None
        self.graph = graph
        # Left to itself it computes in bfloat16 where the processor can, and two machines then differ.
        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        try:
            core = openvino.Core()
            self._request = core.compile_model(core.read_model(str(path)), "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise SpatiaError(f"engine {path}: expected an ONNX network, OpenVINO says: {error}") from None

    def __call__(self, inputs: Mapping[str, AnyArray]) -> dict[str, Float32]:
        """Run the network once; names and shapes are those of :mod:`.table`."""
        arrays = {port.name: np.ascontiguousarray(inputs[port.name], port.dtype) for port in self.graph.inputs}
        self._request.infer(arrays, share_inputs=True)
        return {port.name: self._request.get_tensor(port.name).data.copy() for port in self.graph.outputs}
