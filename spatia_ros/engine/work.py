"""How much work a graph is: products, bytes and memory, counted in the graph itself at given sizes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference

from spatia_ros.engine.fold import fold_constants
from spatia_ros.engine.table import Graph, shape_of
from spatia_ros.types import SpatiaError

PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
ROUNDS = 12
"""Shapes computed of shapes need one round each; more would be a loop."""


class Work(NamedTuple):
    """One run of a graph.

    Args:
        flops: of products and convolutions, a multiplication and an addition each counted.
        weights: numbers of the graph itself.
        peak: numbers alive at once, besides the weights.
        moved: numbers read or written if everything between two products were fused: weights, inputs, outputs, and what
            goes in and out of products.
        products: how many products and convolutions there are.
    """

    flops: int
    weights: int
    peak: int
    moved: int
    products: int


def at_sizes(model: onnx.ModelProto, graph: Graph, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """A copy of a model whose shapes are all numbers.

    Raises:
        SpatiaError: when one stays unknown.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    by_name = {port.name: shape_of(port, sizes) for port in graph.inputs}
    for value in fixed.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, by_name[value.name], strict=True):
            dim.dim_value = size
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    for _ in range(ROUNDS):
        del fixed.graph.value_info[:]
        known = shape_inference.infer_shapes(fixed, data_prop=True)
        fixed.CopyFrom(known)
        if not _answer_shapes(fixed):
            return fixed
    raise SpatiaError(f"{graph.name}: expected shapes that follow from its inputs' in {ROUNDS} rounds")


def _answer_shapes(model: onnx.ModelProto) -> bool:
    """Put numbers in the place of every Shape node whose input's shape is known; whether there was one."""
    shapes = shapes_of(model)
    answered = [node for node in model.graph.node if node.op_type == "Shape" and node.input[0] in shapes]
    for node in answered:
        numbers = np.array(shapes[node.input[0]], np.int64)
        cut = {attribute.name: attribute.i for attribute in node.attribute}
        part = numbers[slice(cut.get("start"), cut.get("end"))]
        model.graph.node.remove(node)
        model.graph.initializer.append(numpy_helper.from_array(part, node.output[0]))
    constants = [tensor for tensor in model.graph.initializer if tensor.data_location != onnx.TensorProto.EXTERNAL]
    fold_constants(model, {t.name: numpy_helper.to_array(t) for t in constants if prod(t.dims) <= ANSWERS})
    return bool(answered)


ANSWERS = 64
"""Constants of at most so many numbers take part in computing shapes."""


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The shapes that are known as numbers, by name."""
    found = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            found[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return found


def work_of(model: onnx.ModelProto, graph: Graph, sizes: Mapping[str, int]) -> Work:
    """Count the work of one run at given sizes (the model's and the free ones).

    Raises:
        SpatiaError: when a shape cannot be known.
    """
    fixed = at_sizes(model, graph, sizes)
    shapes, weights = shapes_of(fixed), {tensor.name for tensor in fixed.graph.initializer}
    flops = moved = products = 0
    for node in fixed.graph.node:
        if node.op_type in PRODUCTS:
            missing = [name for name in (*node.input, *node.output) if name and name not in shapes]
            if missing:
                raise SpatiaError(f"{graph.name}: {node.name}: expected a shape of {missing[0]}")
            products += 1
            flops += _flops(node, shapes)
            moved += sum(prod(shapes[name]) for name in (node.input[0], *node.output))
            moved += 0 if node.input[1] in weights else prod(shapes[node.input[1]])
    own = sum(prod(tensor.dims) for tensor in model.graph.initializer)
    ports = sum(prod(shape_of(port, sizes)) for port in graph.ports)
    return Work(flops, own, _peak(fixed, shapes, weights), own + moved + ports, products)


def _flops(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Multiplications and additions of one product."""
    first, second, out = shapes[node.input[0]], shapes[node.input[1]], shapes[node.output[0]]
    if node.op_type == "Conv":
        return 2 * prod(out) * prod(second[1:])
    if node.op_type == "ConvTranspose":
        return 2 * prod(first) * prod(second[1:])
    turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return 2 * prod(out) * (first[0] if turned else first[-1])


def _peak(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], weights: set[str]) -> int:
    """Numbers alive at once when nodes run in order and everything is freed after its last use."""
    last = {name: step for step, node in enumerate(model.graph.node) for name in node.input}
    last |= {value.name: len(model.graph.node) for value in model.graph.output}
    alive = sum(prod(shapes.get(value.name, ())) for value in model.graph.input)
    peak = alive
    for step, node in enumerate(model.graph.node):
        alive += sum(prod(shapes.get(name, (0,))) for name in node.output if name)
        peak = max(peak, alive)
        done = {name for name in node.input if name and last[name] == step and name not in weights}
        alive -= sum(prod(shapes.get(name, (0,))) for name in done)
    return peak
