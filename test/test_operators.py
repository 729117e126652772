"""TensorRT's published operator tables, asked about our graphs and about graphs it would refuse."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_engine import TINY, tiny_engine

from spatia_ros.engine.fold import fold_constants
from spatia_ros.engine.operators import Support, refusals, tables
from spatia_ros.engine.quantise import quantised
from spatia_ros.engine.ship import sizes_of
from spatia_ros.engine.table import GRAPHS, example
from spatia_ros.engine.work import work_of
from spatia_ros.generator import cost
from spatia_ros.types import SpatiaError

OLDEST = tables()[0]


def model(nodes: list, dtype: int = TensorProto.FLOAT, constants: list = (), opset: int = 18) -> onnx.ModelProto:
    value = helper.make_tensor_value_info("x", dtype, ["rows", 4])
    out = helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)
    graph = helper.make_graph(nodes, "g", [value], [out], [onnx.numpy_helper.from_array(a, name) for name, a in constants])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def test_the_tables_lie_on_both_sides_of_what_jetpack_brings() -> None:
    releases = [tuple(map(int, table.tensorrt.split("."))) for table in tables()]
    assert releases[0] <= (10, 3) <= releases[-1]
    for table in tables():
        assert "onnx-tensorrt" in table.source
        assert len(table.operators) > 80
        assert not set(table.operators) & set(table.refused)


@pytest.mark.parametrize("precision", ["", ".fp16"])
@pytest.mark.parametrize("graph", list(GRAPHS))
@pytest.mark.parametrize("support", tables(), ids=lambda table: table.tensorrt)
def test_every_operator_of_every_graph_is_taken(graph: str, precision: str, support: Support) -> None:
    exported = onnx.load(str(tiny_engine() / f"{graph}{precision}.onnx"), load_external_data=False)
    assert refusals(exported, support) == []


def test_int8_graphs_are_taken_when_they_are_symmetric() -> None:
    plain, graph = onnx.load(str(tiny_engine() / "encode.onnx")), GRAPHS["encode"]
    sizes = {**sizes_of(TINY), "frames": 1, "rows": 2, "cols": 2}
    batches = [example(graph, sizes, np.random.default_rng(0))]
    for support in tables():
        assert refusals(quantised(plain, batches, symmetric=True), support) == []
        assert any("expected int8" in reason for reason in refusals(quantised(plain, batches, symmetric=False), support))


@pytest.mark.parametrize(
    ("nodes", "dtype", "word"),
    [
        ([helper.make_node("Unique", ["x"], ["y"])], TensorProto.FLOAT, "Unique .*refused by the table"),
        ([helper.make_node("NoSuchThing", ["x"], ["y"])], TensorProto.FLOAT, "NoSuchThing .*not in the table"),
        ([helper.make_node("Sqrt", ["x"], ["y"])], TensorProto.DOUBLE, r"Sqrt .*works on fp64"),
        ([helper.make_node("Softmax", ["x"], ["y"])], TensorProto.INT64, r"Softmax .*works on int64"),
        (
            [helper.make_node("Shape", ["x"], ["axes"]), helper.make_node("ReduceSum", ["x", "axes"], ["y"])],
            TensorProto.FLOAT, "ReduceSum .*input 1 must be a constant",
        ),
        (
            [helper.make_node("Resize", ["x", "", "s"], ["y"], mode="cubic")], TensorProto.FLOAT,
            "Resize .*mode: expected one of .*got cubic",
        ),
    ],
)  # fmt: skip
def test_what_tensorrt_would_refuse_is_named(nodes: list, dtype: int, word: str) -> None:
    constants = [("s", np.array([1.0, 2.0], np.float32))] if nodes[0].op_type == "Resize" else []
    with pytest.raises(AssertionError, match=word):
        assert refusals(model(nodes, dtype, constants), OLDEST) == []


def test_other_opsets_and_domains_are_refused() -> None:
    late = model([helper.make_node("Relu", ["x"], ["y"])], opset=23)
    assert "opset 23" in refusals(late, OLDEST)[0]
    foreign = model([helper.make_node("Relu", ["x"], ["y"])])
    foreign.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert "com.microsoft" in refusals(foreign, OLDEST)[0]


def test_constants_are_computed_and_weights_are_not() -> None:
    weights = np.ones((64, 64), np.float32)
    nodes = [
        helper.make_node("Sqrt", ["d"], ["root"]), helper.make_node("Cast", ["root"], ["scale"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["w"], ["turned"]), helper.make_node("Mul", ["x", "scale"], ["y"]),
    ]  # fmt: skip
    graph = model(nodes, constants=[("d", np.array(16.0)), ("w", weights)])
    graph.graph.node.insert(0, helper.make_node("Constant", [], ["d"], value=onnx.numpy_helper.from_array(np.array(16.0))))
    del graph.graph.initializer[0]
    fold_constants(graph)
    assert [node.op_type for node in graph.graph.node] == ["Transpose", "Mul"]
    assert onnx.numpy_helper.to_array(next(t for t in graph.graph.initializer if t.name == "scale")) == 4.0


def test_work_is_counted_as_the_arithmetic_has_it() -> None:
    sizes = {**sizes_of(TINY), "frames": 1, "context": 3, "words": 4, "rows": 4, "cols": 6}
    counted = {}
    for name in ("encode", "denoise", "decode"):
        exported = onnx.load(str(tiny_engine() / f"{name}.onnx"), load_external_data=False)
        counted[name] = work_of(exported, GRAPHS[name], sizes)
    # box filters and the like are in the graphs, and not in the arithmetic
    assert counted["encode"].flops == pytest.approx(cost.encode(TINY, 64, 96), rel=0.02)
    assert counted["decode"].flops == pytest.approx(cost.decode(TINY, 64, 96), rel=0.05)
    assert counted["denoise"].flops == pytest.approx(cost.denoise(TINY, 64, 96, 1, 3, 4), rel=0.1)
    for work in counted.values():
        assert work.moved > work.weights > 0
        assert work.peak > 0


def test_a_shape_that_depends_on_values_is_refused() -> None:
    from spatia_ros.engine.table import Graph, Port

    nodes = [
        helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]  # fmt: skip
    graph = model(nodes, constants=[("w", np.ones((4, 4), np.float32))])
    with pytest.raises(SpatiaError, match="expected a shape of f"):
        work_of(graph, Graph("g", (Port("x", ("rows", 4)),), (Port("y", ("rows", 4)),)), {"rows": 4})
