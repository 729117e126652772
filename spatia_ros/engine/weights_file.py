"""Weights of several graphs in one safetensors file: every number once, and the graphs point into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

from spatia_ros.engine.table import AnyArray
from spatia_ros.types import SpatiaError

EMBEDDED_BYTES = 256
"""Tensors up to this size stay in the graph: shapes, axes, scales."""
WHOLE = (np.int64, np.int32, np.bool_)
"""Sizes, indices: runtimes read them while they infer shapes, before any file is opened."""
MAX_HEADER_BYTES = 100 << 20

Place = tuple[int, int]
"""Offset and length in a file, bytes."""


def places(path: Path) -> dict[str, Place]:
    """Where the tensors of a safetensors file lie, by name.

    The file is 8 bytes length of the header, the header as JSON with every tensor's offsets, and the tensors.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(size - 8, MAX_HEADER_BYTES):
            raise SpatiaError(f"weights {path}: expected a safetensors header, got one of {length} in a file of {size} bytes")
        data = file.read(length)
    begin = 8 + length
    try:
        header = json.loads(data)
        spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
        found = {name: (begin + start, end - start) for name, (start, end) in spans.items()}
        if any(offset < begin or count < 0 or offset + count > size for offset, count in found.values()):
            raise ValueError(f"tensors outside the {size} bytes")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SpatiaError(f"weights {path}: expected a safetensors header, got {type(error).__name__}: {error!s:.200}") from None
    return found


def content_of(array: AnyArray) -> tuple[str, tuple[int, ...], str]:
    """What makes two tensors the same."""
    return str(array.dtype), array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def gather(models: Mapping[str, onnx.ModelProto], path: Path, state: Mapping[str, AnyArray]) -> dict[str, dict[str, str]]:
    """Write the large tensors of all graphs into one file, equal ones once.

    Args:
        state: arrays that are written under their own names in any case; a graph's tensor that equals one points to it.

    Returns, by graph, the name in the file of each of its tensors.
    """
    kept = {name: np.ascontiguousarray(array) for name, array in state.items()}
    known = {content_of(array): name for name, array in kept.items()}
    names: dict[str, dict[str, str]] = {}
    for graph, model in models.items():
        names[graph] = {}
        for tensor in model.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.nbytes <= EMBEDDED_BYTES or array.dtype in WHOLE:
                continue
            name = known.setdefault(content_of(array), f"{graph}.{tensor.name}")
            kept[name] = np.ascontiguousarray(array)
            names[graph][tensor.name] = name
    save_file(kept, path)
    return names


def point_into(model: onnx.ModelProto, path: Path, names: Mapping[str, str]) -> None:
    """Replace the data of a graph's tensors by references into a safetensors file (``names``: tensor -> name in it)."""
    where = places(path)
    for tensor in model.graph.initializer:
        if tensor.name not in names:
            continue
        offset, length = where[names[tensor.name]]
        expected = int(np.prod(tensor.dims)) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        if length != expected:
            raise SpatiaError(f"weights {path}: {names[tensor.name]}: expected {expected} bytes, got {length}")
        for field in ("raw_data", "float_data", "int32_data", "int64_data"):
            tensor.ClearField(field)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        del tensor.external_data[:]
        for key, value in (("location", path.name), ("offset", offset), ("length", length)):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
