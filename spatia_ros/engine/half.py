"""A float32 graph as a strongly typed float16 one: tensors and weights are float16, what needs range or precision is not.

TensorRT 10 and 11 build such a graph as it stands: types are what the graph says, no flag decides
them. Inputs and outputs stay float32, so callers do not know.
"""

from __future__ import annotations

import onnx
from onnx import shape_inference

SENSITIVE = ("Sqrt", "Sin", "Cos", "LayerNormalization")
"""Computed in float32: norms, whose squares overflow and whose small terms vanish, and the angles of times and positions."""
NORM = ("Add", "ReduceMean")
"""What lies between a square and its root in a norm."""
FLOAT16_SCALES = 19
"""The first opset whose QuantizeLinear takes float16; what it changed besides, it only added."""
ALLOWED = ("Min", "Max", "Upsample")
"""Refused by the converter for the sake of old ONNX Runtimes; float16 in TensorRT."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The float16 twin of a model whose weights are loaded.

    Raises:
        onnx.shape_inference.InferenceError: when a type in it is inconsistent (a fault of the conversion).
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    known = shape_inference.infer_shapes(model, data_prop=True)
    operators = [name for name in DEFAULT_OP_BLOCK_LIST if name not in ALLOWED] + list(SENSITIVE)
    half = convert_float_to_float16(
        known, keep_io_types=True, disable_shape_infer=True, op_block_list=operators, node_block_list=feeding(model),
    )  # fmt: skip
    del half.graph.value_info[:]
    unrounded(half)
    if any(node.op_type == "QuantizeLinear" for node in half.graph.node):
        half.opset_import[0].version = max(half.opset_import[0].version, FLOAT16_SCALES)
    OnnxModel(half).topological_sort(is_deterministic=True)
    check_types(half)
    return half


def feeding(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes whose results must reach a sensitive one in float32.

    All that an angle is computed from (a time of some seconds as float16 is off by turns of the fast
    waves), and the squares and means under a root.
    """
    maker = {output: node for node in model.graph.node for output in node.output}
    found: dict[str, None] = {}

    def follow(name: str, *, norm: bool) -> None:
        node = maker.get(name)
        if node is None or node.name in found or (norm and node.op_type not in (*NORM, "Mul", "Pow")):
            return
        found[node.name] = None
        if not (norm and node.op_type in ("Mul", "Pow")):
            for source in node.input:
                follow(source, norm=norm)

    for node in model.graph.node:
        if node.op_type in ("Sin", "Cos"):
            follow(node.input[0], norm=False)
        elif node.op_type == "Sqrt":
            follow(node.input[0], norm=True)
    return list(found)


def unrounded(model: onnx.ModelProto) -> None:
    """Lead float32 results straight to what takes them in float32, in place: the converter rounds them to float16 on the way.

    An angle of 160 (a time 10 s from the anchor) would be off by up to a sixteenth of a radian.
    """
    nodes = model.graph.node
    down = {n.output[0]: n.input[0] for n in nodes if casts_to(n, onnx.TensorProto.FLOAT16)}
    up = {n.output[0]: down[n.input[0]] for n in nodes if casts_to(n, onnx.TensorProto.FLOAT) and n.input[0] in down}
    kept = [node for node in nodes if not any(name in up for name in node.output)]
    for node in kept:
        for i, name in enumerate(node.input):
            node.input[i] = up.get(name, name)
    used = {name for node in kept for name in node.input} | {put.name for put in model.graph.output}
    del nodes[:]
    nodes.extend(node for node in kept if any(name not in down or name in used for name in node.output))


def casts_to(node: onnx.NodeProto, kind: int) -> bool:
    """Whether a node is a Cast to an element type."""
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)


def check_types(model: onnx.ModelProto) -> None:
    """Prove a model strongly typed: every operator gets the types its definition allows, and every output has one.

    Raises:
        onnx.shape_inference.InferenceError: naming the node that does not.
    """
    shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
