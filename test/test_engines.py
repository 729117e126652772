"""The table, the runtimes, float16 and int8: every way to run a network is held against torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import load_file
from tensorrt_stand_in import __version__ as stand_in_version
from tiny_engine import TINY, engine_copy, tiny_engine, tiny_network

from spatia_ros.engine import table
from spatia_ros.engine.bundle import read_bundle
from spatia_ros.engine.calibration import Recorder, split
from spatia_ros.engine.compare import difference, examples, psnr_db
from spatia_ros.engine.cuda_graph import CapturedFunction, Recording
from spatia_ros.engine.half import casts_to, feeding, to_half
from spatia_ros.engine.quantise import layers_of, quantised
from spatia_ros.engine.runtimes import RUNTIMES, choose, open_engines
from spatia_ros.engine.ship import add_int8, load_network, ship_again, sizes_of
from spatia_ros.engine.table import GRAPHS
from spatia_ros.engine.torch_engine import TorchEngine, halve_products
from spatia_ros.types import SpatiaError

SIZES = sizes_of(TINY)
SMALL = {"frames": 1, "context": 1, "words": 2, "rows": 2, "cols": 3}


def small(graph: table.Graph, seed: int = 0) -> dict[str, np.ndarray]:
    return table.example(graph, {**SMALL, **SIZES}, np.random.default_rng(seed))


def test_sizes_are_sums_of_products() -> None:
    assert table.value_of("16*rows", {"rows": 10}) == 160
    assert table.value_of("channels+1", {"channels": 16}) == 17
    assert table.value_of(6, {}) == 6
    with pytest.raises(SpatiaError, match="expected a value of 'rows'"):
        table.value_of("16*rows", {"cols": 1})


@pytest.mark.parametrize("name", list(GRAPHS))
def test_the_table_is_what_the_network_takes_and_gives(name: str) -> None:
    graph, network = GRAPHS[name], tiny_network()
    sizes = {**SMALL, **SIZES, "frames": 2, "context": 3}
    inputs = table.example(graph, sizes, np.random.default_rng(0))
    assert table.check_inputs(graph, inputs, SIZES).items() >= {k: v for k, v in sizes.items() if _uses(graph, k)}.items()
    outputs = TorchEngine(getattr(network, name), graph)(inputs)
    assert {k: v.shape for k, v in outputs.items()} == {p.name: table.shape_of(p, sizes) for p in graph.outputs}


def _uses(graph: table.Graph, name: str) -> bool:
    return any(name in table.names_in(size) for port in graph.ports for size in port.shape)


def test_inputs_that_are_not_the_tables_are_named() -> None:
    graph = GRAPHS["decode"]
    inputs = small(graph)
    with pytest.raises(SpatiaError, match="expected inputs"):
        table.check_inputs(graph, {"z": inputs["z"]}, SIZES)
    with pytest.raises(SpatiaError, match=r"decode: image: expected float32 .* got float32 \[1, 15, 32, 32\]"):
        table.check_inputs(graph, {**inputs, "image": inputs["image"][..., :32]}, SIZES)
    with pytest.raises(SpatiaError, match="to_view: expected float32"):
        table.check_inputs(graph, {**inputs, "to_view": inputs["to_view"].astype(np.float64)}, SIZES)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_graphs_compute_what_torch_computes(precision: str) -> None:
    measured = read_bundle(tiny_engine()).figures["against_torch"][precision]
    assert set(measured) == set(GRAPHS)
    for off in measured.values():
        assert off["psnr_db"] > (120.0 if precision == "fp32" else 75.0)  # angles rounded on their way: 59
        assert off["largest_difference"] < (1e-4 if precision == "fp32" else 0.1)


def test_every_number_is_in_the_folder_once() -> None:
    folder = tiny_engine()
    state = {name: value.numpy() for name, value in tiny_network().state_dict().items()}
    weights = load_file(folder / "weights.safetensors")
    assert all(np.array_equal(weights[name], value) for name, value in state.items())
    extra = sum(array.nbytes for name, array in weights.items() if name not in state)
    assert extra < 0.01 * sum(array.nbytes for array in weights.values())
    for name in GRAPHS:
        graph = onnx.load(str(folder / f"{name}.onnx"), load_external_data=False).graph
        embedded = sum(len(tensor.raw_data) for tensor in graph.initializer)
        assert embedded < 30_000, name


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_what_is_computed_in_float32_is_not_rounded_on_its_way(name: str) -> None:
    nodes = onnx.load(str(tiny_engine() / f"{name}.fp16.onnx"), load_external_data=False).graph.node
    of_kind = {kind: [n for n in nodes if casts_to(n, kind)] for kind in (onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT)}
    assert of_kind[onnx.TensorProto.FLOAT16], "some of it is float16"
    rounded = {n.output[0] for n in of_kind[onnx.TensorProto.FLOAT16]}
    assert not [n.name for n in of_kind[onnx.TensorProto.FLOAT] if n.input[0] in rounded]


def test_float16_is_a_conversion_of_the_graph() -> None:
    half = onnx.load(str(tiny_engine() / "decode.fp16.onnx"))
    weights = [tensor for tensor in half.graph.initializer if len(tensor.dims) == 4]
    assert len(weights) > 10
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.FLOAT16}
    assert {value.type.tensor_type.elem_type for value in (*half.graph.input, *half.graph.output)} == {onnx.TensorProto.FLOAT}


def test_times_and_norms_stay_float32_in_float16_graphs() -> None:
    model = onnx.load(str(tiny_engine() / "denoise.onnx"))
    kept = set(feeding(model))
    makers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type in ("Sin", "Cos", "Sqrt"):
            assert makers[node.input[0]].name in kept
    late = {"flow_time": np.array([0.9996], np.float32)}
    graph = GRAPHS["denoise"]
    engines = open_engines(f"{tiny_engine()}", "onnxruntime", 1)
    inputs = {**small(graph), **late, "time": np.full((1, 1), 812.437, np.float32)}
    from spatia_ros.engine.onnx_runtime import OnnxRuntimeEngine

    half = OnnxRuntimeEngine(tiny_engine() / "denoise.fp16.onnx", 1, graph=graph)
    assert psnr_db(engines.denoise(inputs)["z0"], half(inputs)["z0"]) > 50.0


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_runtimes_agree_to_a_thousandth(runtime: str) -> None:
    engines, network = open_engines(str(tiny_engine()), runtime, 1), tiny_network()
    assert engines.runtime == runtime
    assert engines.sizes == SIZES
    for name, graph in GRAPHS.items():
        truth = TorchEngine(getattr(network, name), graph)
        assert difference(truth, engines.calls()[name], examples(graph, SIZES, seed=7)[:2]).largest < 1e-3


def test_openvino_agrees_where_it_is_installed() -> None:
    pytest.importorskip("openvino", reason="needs the optional package openvino")
    engines, network = open_engines(str(tiny_engine()), "openvino", 1), tiny_network()
    for name, graph in GRAPHS.items():
        truth = TorchEngine(getattr(network, name), graph)
        assert difference(truth, engines.calls()[name], examples(graph, SIZES, seed=7)[:2]).largest < 1e-3


def test_runtimes_that_are_not_there_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(tiny_engine())
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(SpatiaError, match="pip install openvino"):
        open_engines(name, "openvino", 1)
    with pytest.raises(SpatiaError, match="TensorRT is not installed here"):
        open_engines(name, "tensorrt", 1)
    with pytest.raises(SpatiaError, match="expected one of"):
        open_engines(name, "onnxruntime-int8", 1)
    with pytest.raises(SpatiaError, match=r"generator.runtime: expected one of .*tensorrt"):
        open_engines(name, "abacus", 1)
    assert set(RUNTIMES) > {"auto"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_auto_is_onnx_runtime_on_a_cpu() -> None:
    assert choose(tiny_engine()) == "onnxruntime"
    assert open_engines(str(tiny_engine())).runtime == "onnxruntime"


def test_opening_an_engine_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from spatia_ros.engine.runtimes import open_engines\n"
        f"open_engines({str(tiny_engine())!r}, 'onnxruntime', 1); print('opened')"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert done.stdout.strip() == "opened", done.stderr


@pytest.mark.parametrize(("part", "word"), [("decode", "decode.onnx"), ("weights", "weights.safetensors")])
def test_files_the_manifest_does_not_name_are_refused(tmp_path: Path, part: str, word: str) -> None:
    folder = engine_copy(tmp_path)
    path = folder / read_bundle(folder).file("fp32", part).file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(SpatiaError, match=rf"{word}: expected {len(whole)} bytes, got {len(whole) - 1}"):
        open_engines(str(folder), "onnxruntime", 1)
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(SpatiaError, match=rf"{word}: expected the file its manifest names .* spatia export"):
        open_engines(str(folder), "onnxruntime", 1)


def test_a_graph_that_reaches_outside_its_weights_is_refused(tmp_path: Path) -> None:
    from spatia_ros.engine.bundle import describe, write_bundle

    folder = engine_copy(tmp_path)
    model = onnx.load(str(folder / "text.onnx"), load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL)
    next(entry for entry in tensor.external_data if entry.key == "location").value = "../../secret"
    onnx.save(model, str(folder / "text.onnx"))
    bundle = read_bundle(folder)
    files = {"fp32": {**bundle.files["fp32"], "text": describe(folder / "text.onnx")}}
    write_bundle(folder, bundle.model_copy(update={"files": files}))
    with pytest.raises(SpatiaError, match=r"expected data inside weights\.safetensors"):
        open_engines(str(folder), "onnxruntime", 1)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": 2}, "expected format 3, got 2, made by another version of spatia_ros: train it again"),
        ({"sizes": {}}, "sizes: expected"), ({"files": {"fp32": {}}}, "lacks"),
        ({"steps": "many"}, "not a manifest"),
        ({"files": {"fp32": {"text": {"file": "../x", "bytes": 1, "sha256": "0" * 64}}}}, "not a manifest"),
    ],
)
def test_manifests_that_are_none_are_refused(tmp_path: Path, change: dict, word: str) -> None:
    folder = engine_copy(tmp_path)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(SpatiaError, match=word):
        read_bundle(folder)
    manifest.write_text("[]")
    with pytest.raises(SpatiaError, match="not a manifest"):
        read_bundle(folder)


def test_weights_of_another_network_are_not_loaded(tmp_path: Path) -> None:
    folder = engine_copy(tmp_path)
    manifest = folder / "manifest.json"
    told = json.loads(manifest.read_text())
    told["network"]["depth"] = 3
    manifest.write_text(json.dumps(told))
    with pytest.raises(SpatiaError, match="expected the weights of its network"):
        load_network(folder)


def test_int8_is_near_float_on_what_it_was_calibrated_for(tmp_path: Path) -> None:
    folder = engine_copy(tmp_path)
    batches = {name: [small(graph, seed) for seed in range(8)] for name, graph in GRAPHS.items()}
    measured = add_int8(folder, batches)
    assert read_bundle(folder).figures["int8_against_fp32"] == measured
    assert measured["text"]["psnr_db"] > 100.0
    assert all(18.0 < measured[name]["psnr_db"] < 100.0 for name in ("encode", "context", "denoise", "decode"))
    engines = open_engines(str(folder), "onnxruntime-int8", 1)
    truth = open_engines(str(folder), "onnxruntime", 1)
    assert engines.sha256 != truth.sha256
    inputs = small(GRAPHS["decode"], 3)
    assert psnr_db(truth.decode(inputs)["change"], engines.decode(inputs)["change"]) > 20.0
    assert "int8_against_fp32" not in ship_again(folder, ("fp32",)).figures, "what was measured goes with the graphs"


def test_int8_takes_layers_with_weights_and_says_when_there_is_nothing_to_do() -> None:
    model = onnx.load(str(tiny_engine() / "encode.onnx"))
    assert len(layers_of(model)) >= 3
    twin = quantised(model, [small(GRAPHS["encode"])], symmetric=True)
    zero_points = [t for t in twin.graph.initializer if t.name.endswith("zero_point")]
    assert zero_points
    assert all(not onnx.numpy_helper.to_array(tensor).any() for tensor in zero_points)
    to_half(twin)  # raises where float16 and int8 do not meet
    with pytest.raises(SpatiaError, match="expected calibration batches"):
        quantised(model, [], symmetric=True)


def test_recorded_batches_are_spread_over_the_run() -> None:
    seen = []
    engines = open_engines(str(tiny_engine()), "onnxruntime", 1)._replace(text=lambda inputs: seen.append(inputs) or {})
    recorder = Recorder(engines, most=4)
    for i in range(20):
        recorder.engines.text({"tokens": np.array([[i]])})
    assert len(seen) == 20
    kept = [int(batch["tokens"][0, 0]) for batch in recorder.batches["text"]]
    assert kept == [0, 8, 16]
    used, held = split({"text": [{"i": np.array(i)} for i in range(8)]})
    assert [int(b["i"]) for b in used["text"]] == [0, 1, 2, 4, 5, 6]
    assert [int(b["i"]) for b in held["text"]] == [3, 7]


def test_runs_are_recorded_once_for_every_combination_of_shapes() -> None:
    recorded = []

    def record(forward, inputs):
        recorded.append(inputs[0].shape)
        own, out = tuple(t.clone() for t in inputs), torch.zeros_like(inputs[0])
        return Recording(own, (out,), lambda: out.copy_(forward(*own)[0]))

    twice = CapturedFunction(lambda x: (2 * x,), record, most=2)
    first = twice(torch.ones(2))[0]
    assert twice(torch.full((2,), 3.0))[0].tolist() == [6.0, 6.0]
    assert first.tolist() == [2.0, 2.0]  # the caller's own, not overwritten by the next run
    for size in (3, 4, 2):
        assert twice(torch.ones(size))[0].tolist() == [2.0] * size
    assert recorded == [(2,), (3,), (4,), (2,)]


def test_half_weights_compute_nearly_the_same() -> None:
    network, graph = tiny_network(), GRAPHS["encode"]
    inputs = small(graph)
    expected = TorchEngine(network.encode, graph)(inputs)["latents"]
    halve_products(network)
    assert {p.dtype for p in network.encode.parameters()} == {torch.float16}
    got = TorchEngine(network.encode, graph, torch.device("cpu"), half=True)(inputs)["latents"]
    assert 40.0 < psnr_db(expected, got) < 120.0


def test_the_stand_in_says_it_is_one() -> None:
    assert stand_in_version.endswith("stand-in")


def test_networks_are_timed_by_runtime_under_the_published_names() -> None:
    from spatia_ros.evaluate.bench_engines import engine_figures, frame_ms, runtimes_here, time_engines
    from spatia_ros.evaluate.timing import Timing

    name = str(tiny_engine())
    assert {"onnxruntime", "torch"} <= set(runtimes_here(tiny_engine()))
    timings = time_engines(name, (48, 32), ["onnxruntime", "torch"], 1, 2, 3)
    figures = engine_figures(timings, (48, 32), 3)
    assert set(figures) == {"generator_ms_48x32", *(f"generator_ms_48x32_{part}" for part in GRAPHS)}
    assert all(set(by) == {"onnxruntime", "torch"} and min(by.values()) > 0 for by in figures.values())
    fixed = {part: Timing(ms, ms) for part, ms in {"encode": 1.0, "denoise": 10.0, "decode": 100.0, "context": 1e3}.items()}
    assert frame_ms(fixed, steps=3) == 131.0


def test_calibration_records_what_a_world_gives_its_networks() -> None:
    from tiny_room import recorded, turning

    from spatia_ros.config import from_dict
    from spatia_ros.evaluate.calibrate import recorded_batches

    told: list[int] = []
    config = from_dict({"memory": {"voxel_m": 0.05}, "generator": {"threads": 1}})
    batches = recorded_batches(
        str(tiny_engine()), config, recorded(path=turning, frames=6), (64, 48), 4, 8, told.append
    )
    assert told == [1, 2, 3, 4]
    for name, graph in GRAPHS.items():
        assert batches[name], name
        for batch in batches[name]:
            table.check_inputs(graph, batch, SIZES)


ROOM = """
import sys
import numpy as np
from spatia_ros.engine import table
from spatia_ros.engine.runtimes import open_engines
from spatia_ros.nodes.health import allocated
engines, rng = open_engines("nano", "onnxruntime"), np.random.default_rng(0)
before = allocated()["allocated_mb"]
for _ in range(2):
    for context in range(1, 10):
        sizes = {**engines.sizes, "frames": 1, "context": context, "words": 8, "rows": 6, "cols": 10}
        for name, call in engines.calls().items():
            call(table.example(table.GRAPHS[name], sizes, rng))
print(allocated()["allocated_mb"] - before)
"""


def test_the_networks_share_one_room_to_work_in() -> None:
    """One for each, in powers of two, takes 65 MB for the same; shared, 49."""
    pytest.importorskip("rclpy")
    from spatia_ros.nodes.environment import MALLOC
    from spatia_ros.nodes.health import allocated

    if "allocated_mb" not in allocated():
        pytest.skip("needs glibc 2.33 or newer, which tells what is allocated")
    done = subprocess.run([sys.executable, "-c", ROOM], capture_output=True, text=True, env=os.environ | MALLOC, timeout=300)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 57.0
