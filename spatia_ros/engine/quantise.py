"""Post-training INT8: weights and activations of convolutions and linear layers between QuantizeLinear pairs.

Static scales from calibration batches, one a weight channel. For TensorRT activations are int8 around
zero (it takes no zero points); for ONNX Runtime on a CPU they are uint8 with a zero point, which its
integer kernels are faster at. Products of two activations (attention), norms, mixtures and fixed
filters stay float.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from spatia_ros.engine.table import AnyArray
from spatia_ros.types import SpatiaError

LEAST_WEIGHTS = 1024
"""Layers with fewer weights stay float: there is nothing to win, and fixed filters are among them."""
LAYERS = ("Conv", "MatMul", "Gemm")


class Batches(CalibrationDataReader):
    """Recorded inputs of one graph, as the calibrator asks for them."""

    def __init__(self, batches: Sequence[Mapping[str, AnyArray]]) -> None:
        self._rest: Iterator[Mapping[str, AnyArray]] = iter(batches)

    def get_next(self) -> dict[str, AnyArray] | None:
        """The next batch, or None."""
        batch = next(self._rest, None)
        return None if batch is None else dict(batch)


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model whose constants are computed: transposed weights become weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        plain = onnx.load(str(path))
    used = {node.domain for node in plain.graph.node}
    imports = [entry for entry in plain.opset_import if entry.domain in used]  # it names all the domains it knows
    del plain.opset_import[:]
    plain.opset_import.extend(imports)
    return plain


def layers_of(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes worth quantising: those with enough weights of their own."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    return [
        node.name for node in model.graph.node
        if node.op_type in LAYERS and sizes.get(node.input[1], 0) >= LEAST_WEIGHTS
    ]  # fmt: skip


def quantised(model: onnx.ModelProto, batches: Sequence[Mapping[str, AnyArray]], *, symmetric: bool) -> onnx.ModelProto:
    """The INT8 twin of a model.

    Args:
        model: float32, weights inside.
        batches: inputs to calibrate with, dozens; the table's names.
        symmetric: activations around zero, as TensorRT wants them; else with a zero point, as CPUs like them.

    Raises:
        SpatiaError: when there are no batches, or no layer to quantise.
    """
    if not batches:
        raise SpatiaError("quantise: expected calibration batches, got none")
    plain = folded(model)
    chosen = layers_of(plain)
    if not chosen:
        raise SpatiaError(f"quantise: expected a convolution or linear layer with {LEAST_WEIGHTS} weights, got none")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(plain, str(source))
        logging.disable(logging.WARNING)  # it advises to fold constants first, which is what was done
        try:
            _quantise(source, target, batches, chosen, symmetric)
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(str(target))


def _quantise(source: Path, target: Path, batches: Sequence[Mapping[str, AnyArray]], chosen: list[str], symmetric: bool) -> None:
    """Calibrate and write the INT8 twin of a file."""
    quantize_static(
        str(source), str(target), Batches(batches), quant_format=QuantFormat.QDQ, nodes_to_quantize=chosen,
        op_types_to_quantize=list(LAYERS), per_channel=True, weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8, calibrate_method=CalibrationMethod.MinMax,
        extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True, "QuantizeBias": not symmetric},
    )  # fmt: skip
