"""Whether TensorRT can build a graph, asked of its published tables instead of a GPU.

``support/`` holds, for each release whose table was found, what it says of the operators a network
of ours might use: the types each works on, and which of its inputs must be constants. TensorRT
10.3 (JetPack 6) lies between 10.1 and 10.15: what both take, it takes. For TensorRT 11 no table was
found; its release notes up to 11.5 add operators and withdraw none, and it reads opsets 9 to 25.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import TensorProto, shape_inference
from pydantic import BaseModel, ConfigDict

SUPPORT = Path(__file__).parent / "support"
TYPES: dict[int, str] = {
    TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16", TensorProto.INT32: "int32",
    TensorProto.INT64: "int64", TensorProto.INT8: "int8", TensorProto.UINT8: "uint8", TensorProto.BOOL: "bool",
    TensorProto.DOUBLE: "fp64",
}  # fmt: skip
"""As the tables call them."""
DATA_INPUT = {"Where": 1}
"""The input whose type a table means, where it is not the first."""
RESIZE = {
    "mode": {"nearest", "linear"},
    "coordinate_transformation_mode": {"half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners"},
    "nearest_mode": {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"},
}
"""What both tables take of Resize."""


class Support(BaseModel):
    """What a release's table says.

    Args:
        opset: lowest and highest. operators: types by operator, separated by spaces.
        constant_inputs: indices of inputs that must be constants, by operator. refused: operators it does not take.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tensorrt: str
    source: str
    opset: tuple[int, int]
    operators: dict[str, str]
    constant_inputs: dict[str, list[int]]
    refused: list[str]


def tables() -> list[Support]:
    """The tables at hand, oldest first."""
    found = [Support.model_validate(json.loads(path.read_text())) for path in SUPPORT.glob("tensorrt_*.json")]
    return sorted(found, key=lambda table: tuple(map(int, table.tensorrt.split("."))))


def refusals(model: onnx.ModelProto, support: Support) -> list[str]:
    """Why a TensorRT of this table would not build a model: one sentence a reason, none if it would.

    Args:
        model: its weights may be external, and need not be there.
    """
    found = []
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if not support.opset[0] <= opset <= support.opset[1]:
        found.append(f"opset {opset}: expected {support.opset[0]} to {support.opset[1]}")
    foreign = [entry.domain for entry in model.opset_import if entry.domain not in ("", "ai.onnx")]
    found += [f"domain {domain}: expected ONNX's own operators" for domain in foreign]
    types, constants = _types(model), _constants(model)
    for node in model.graph.node:
        found += [f"{node.op_type} {node.name}: {reason}" for reason in _of_node(node, support, types, constants)]
    return list(dict.fromkeys(found))


def _of_node(node: onnx.NodeProto, support: Support, types: Mapping[str, int], constants: set[str]) -> list[str]:
    """Why one node would be refused."""
    if node.op_type not in support.operators:
        known = "refused by the table" if node.op_type in support.refused else "not in the table"
        return [f"{known} of TensorRT {support.tensorrt}"]
    found = []
    allowed = support.operators[node.op_type].split()
    got = TYPES.get(_type_of(node, types), "an unknown type")
    if got not in allowed:
        found.append(f"expected one of {allowed}, works on {got}")
    for index in support.constant_inputs.get(node.op_type, []):
        if index < len(node.input) and node.input[index] and node.input[index] not in constants:
            found.append(f"input {index} must be a constant")
    found += _of_attributes(node)
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and TYPES.get(types.get(node.input[-1], 0)) == "uint8":
        found.append("expected int8 around zero, works on uint8")
    return found


def _of_attributes(node: onnx.NodeProto) -> list[str]:
    """Why the attributes of a node would be refused."""
    given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Resize":
        words = {name: given[name].decode() for name in RESIZE if name in given}
        wrong = {name: word for name, word in words.items() if word not in RESIZE[name]}
        return [f"{name}: expected one of {sorted(RESIZE[name])}, got {word}" for name, word in wrong.items()]
    if node.op_type in ("AveragePool", "MaxPool") and any(step != 1 for step in given.get("dilations", [])):
        return ["expected no dilation"]
    if node.op_type == "LayerNormalization" and len([name for name in node.output if name]) > 1:
        return ["expected only its first output to be used"]
    return []


def _type_of(node: onnx.NodeProto, types: Mapping[str, int]) -> int:
    """The type a node works on, as the tables mean it."""
    if node.op_type in ("Constant", "ConstantOfShape", "Range") or not node.input:
        return types.get(node.output[0], 0)
    return types.get(node.input[DATA_INPUT.get(node.op_type, 0)], 0)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every value of a model."""
    known = shape_inference.infer_shapes(model, data_prop=True).graph
    found = {tensor.name: tensor.data_type for tensor in known.initializer}
    return found | {v.name: v.type.tensor_type.elem_type for v in (*known.input, *known.value_info, *known.output)}


def _constants(model: onnx.ModelProto) -> set[str]:
    """Names of values that do not depend on inputs."""
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" or (node.input and all(name in constants or not name for name in node.input)):
            constants.update(node.output)
    return constants
