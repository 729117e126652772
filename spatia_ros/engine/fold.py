"""Constants computed ahead: what the tracer leaves of Python's arithmetic becomes numbers in the graph.

Runtimes would do this too, but TensorRT refuses some types (a scale computed in float64) before it
gets that far. Weights stay as they are, so that every graph points at the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from spatia_ros.engine.table import AnyArray

MOST_NUMBERS = 1024
"""Constants of more numbers are weights, and what is computed of them is left to the runtime."""


def fold_constants(model: onnx.ModelProto, given: Mapping[str, AnyArray] | None = None) -> None:
    """Replace nodes that depend on small constants alone by their results, in place.

    Args:
        given: values known beforehand (they must be in the graph as initializers).
    """
    graph = model.graph
    known: dict[str, AnyArray] = dict(given or {})
    kept = []
    for node in graph.node:
        result = _computed(node, known, model.opset_import[0].version)
        if result is None:
            kept.append(node)
        else:
            known.update(result)
    outputs = {value.name for value in graph.output}
    used = {name for node in kept for name in node.input} | outputs
    del graph.node[:]
    graph.node.extend(kept)
    there = {tensor.name for tensor in graph.initializer}
    new = ((name, array) for name, array in known.items() if name in used and name not in there)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in new)


def _computed(node: onnx.NodeProto, known: dict[str, AnyArray], opset: int) -> dict[str, AnyArray] | None:
    """What a node gives, when that can be known and is small."""
    if any(name and name not in known for name in node.input) or (not node.input and node.op_type != "Constant"):
        return None
    if any(attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for attribute in node.attribute):
        return None
    given = {name: known[name] for name in node.input if name}
    results = dict(zip(node.output, _evaluate(node, given, opset), strict=True))
    return results if all(array.size <= MOST_NUMBERS for array in results.values()) else None


def _evaluate(node: onnx.NodeProto, given: dict[str, AnyArray], opset: int) -> list[AnyArray]:
    """A node's outputs."""
    return list(ReferenceEvaluator(node, opsets={"": opset}).run(None, given))
