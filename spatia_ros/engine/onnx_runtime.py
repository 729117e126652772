"""ONNX Runtime behind the engine signature: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from spatia_ros.engine.table import INPUTS, OUTPUTS
from spatia_ros.types import Float32, SpatiaError


class OnnxRuntimeEngine:
    """A network run by ONNX Runtime on the CPU; ``sha256`` is that of its weights, where they are known.

    Raises:
        SpatiaError: when the file is no network with the inputs and outputs of :mod:`.table`.
    """

    def __init__(self, path: Path, threads: int, sha256: str = "") -> None:
        self.sha256 = sha256
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Idle workers that spin would take the cores memory's own kernels run on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own unrelated types for a file it cannot use
            raise SpatiaError(f"engine {path}: expected an ONNX network, ONNX Runtime says: {error}") from None
        got = sorted(port.name for port in self.session.get_inputs()), sorted(port.name for port in self.session.get_outputs())
        want = sorted(port.name for port in INPUTS), sorted(port.name for port in OUTPUTS)
        if got != want:
            raise SpatiaError(f"engine {path}: expected inputs and outputs {want}, got {got}")

    def __call__(self, inputs: Mapping[str, Float32]) -> dict[str, Float32]:
        """Run the network once; names and shapes are those of :mod:`.table`."""
        arrays = {name: np.ascontiguousarray(value, np.float32) for name, value in inputs.items()}
        return dict(zip((port.name for port in OUTPUTS), self.session.run([port.name for port in OUTPUTS], arrays), strict=True))
