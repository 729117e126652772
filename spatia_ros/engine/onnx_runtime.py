"""ONNX Runtime behind the engine signature: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime

from spatia_ros.engine.table import AnyArray, Graph
from spatia_ros.types import Float32, SpatiaError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def has_cuda() -> bool:
    """Whether the installed ONNX Runtime was built for CUDA."""
    return CUDA in onnxruntime.get_available_providers()


EXTEND_AS_ASKED = 1
"""Of ONNX Runtime's arena: it grows by what is asked for (its own default is to the next power of two)."""


@cache
def share_arena() -> None:
    """Have all sessions of this process that ask for it work in one arena, which grows by what is asked for.

    One for each session grows to the worst moment of each, and each time that no free piece is large enough, by a piece twice
    as large as the last; a session keeps all of it for good.
    """
    cpu = onnxruntime.OrtMemoryInfo("Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg({"arena_extend_strategy": EXTEND_AS_ASKED}))


class OnnxRuntimeEngine:
    """A network run by ONNX Runtime.

    Args:
        path: of the ONNX file; external data lies beside it.
        threads: of the CPU.
        graph: which line of the table it is.
        cuda: run on the GPU.

    Raises:
        SpatiaError: when the file is no network with the inputs and outputs of :mod:`.table`.
    """

    def __init__(self, path: Path, threads: int, graph: Graph, *, cuda: bool = False) -> None:
        self.graph = graph
        share_arena()
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.intra_op_num_threads = threads
        # Workers spin while a run lasts (a network of hundreds of small products wakes them as often), and stop with it:
        # idle ones would take the cores memory's own kernels run on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if cuda and not has_cuda():
            raise SpatiaError(f"engine {path}: expected an ONNX Runtime with {CUDA}; pip install onnxruntime-gpu in its place")
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=[CUDA, CPU] if cuda else [CPU])
        except Exception as error:  # onnxruntime raises its own unrelated types for a file it cannot use
            raise SpatiaError(f"engine {path}: expected an ONNX network, ONNX Runtime says: {error}") from None
        if cuda and CUDA not in self.session.get_providers():
            raise SpatiaError(f"engine {path}: expected ONNX Runtime to run it on CUDA, it fell back to the CPU")
        got = sorted(port.name for port in self.session.get_inputs()), sorted(port.name for port in self.session.get_outputs())
        want = sorted(port.name for port in graph.inputs), sorted(port.name for port in graph.outputs)
        if got != want:
            raise SpatiaError(f"engine {path}: expected inputs and outputs {want}, got {got}")

    def __call__(self, inputs: Mapping[str, AnyArray]) -> dict[str, Float32]:
        """Run the network once; names and shapes are those of :mod:`.table`."""
        arrays = {port.name: np.ascontiguousarray(inputs[port.name], port.dtype) for port in self.graph.inputs}
        names = [port.name for port in self.graph.outputs]
        return dict(zip(names, self.session.run(names, arrays), strict=True))
