"""A stand-in for TensorRT, for machines without a GPU: the Python calls we make, answered by ONNX Runtime.

Not TensorRT: it proves that names, types, shapes and addresses are set as TensorRT's interface wants
them, and nothing about what TensorRT makes of a graph. A "plan" is the JSON this stand-in's builder
writes: the path of the ONNX file and the profile.
"""

from __future__ import annotations

import ctypes
import json
from enum import Enum
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime

__version__ = "10.3.0-stand-in"


class DataType(Enum):
    FLOAT = "tensor(float)"
    INT64 = "tensor(int64)"


class Logger:
    WARNING = 1

    def __init__(self, level: int) -> None:
        self.level = level


class Runtime:
    def __init__(self, logger: Logger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        try:
            told = json.loads(plan)
        except ValueError:
            return None
        return Engine(Path(told["onnx"]), told["shapes"])


class Engine:
    def __init__(self, path: Path, shapes: dict) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.ports = {port.name: port for port in (*self.session.get_inputs(), *self.session.get_outputs())}
        self.shapes, self.num_io_tensors = shapes, len(self.ports)

    def get_tensor_name(self, index: int) -> str:
        return list(self.ports)[index]

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType(self.ports[name].type)

    def get_tensor_profile_shape(self, name: str, profile: int) -> tuple:
        assert profile == 0
        return tuple(map(tuple, self.shapes[name]))

    def create_execution_context(self) -> Context:
        return Context(self)


class Context:
    """Reads its inputs and writes its outputs at the addresses it was given."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.given, self.addresses = engine, {}, {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self.engine.shapes.get(name, (shape, shape, shape))
        self.given[name] = shape
        return all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        zeros = {k: np.zeros(v, self._dtype(k)) for k, v in self.given.items()}
        return dict(zip(self._outputs(), (a.shape for a in self.engine.session.run(self._outputs(), zeros)), strict=True))[name]

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 0
        inputs = {name: self._at(name, shape) for name, shape in self.given.items()}
        for name, result in zip(self._outputs(), self.engine.session.run(self._outputs(), inputs), strict=True):
            self._at(name, result.shape)[...] = result
        return True

    def _outputs(self) -> list[str]:
        return [port.name for port in self.engine.session.get_outputs()]

    def _dtype(self, name: str) -> type:
        return {"tensor(float)": np.float32, "tensor(int64)": np.int64}[self.engine.ports[name].type]

    def _at(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        dtype = np.dtype(self._dtype(name))
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer((ctypes.c_char * size).from_address(self.addresses[name]), dtype).reshape(shape)


MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
