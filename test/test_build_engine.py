"""Building and running TensorRT engines, against stand-ins that say they are some; plans; refusals."""

from __future__ import annotations

import json
import runpy
import shutil
import stat
import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import tensorrt_stand_in
import torch
from tiny_engine import TINY, tiny_engine, tiny_network

from spatia_ros.cli import main
from spatia_ros.engine import build, built
from spatia_ros.engine.build import SCRIPT, Plan
from spatia_ros.engine.built import Host, cache_folder, plans, read_records
from spatia_ros.engine.devices import DEVICES, device
from spatia_ros.engine.plan import Options, device_lines, estimate, memory_bytes
from spatia_ros.engine.ship import sizes_of
from spatia_ros.engine.table import GRAPHS, example
from spatia_ros.engine.tensorrt_engine import MOST_CONTEXTS, TensorRtEngine
from spatia_ros.engine.torch_engine import TorchEngine
from spatia_ros.types import SpatiaError

HERE = Host(tensorrt=tensorrt_stand_in.__version__, gpu="Stand-in GPU", sm="8.7", cuda="12.6")
OPTIONS = Options(precision="fp32", width_px=64, height_px=48, most_width_px=96, most_height_px=64, clip=2)
BUILT: list[Plan] = []
POLYGRAPHY = '''
"""A stand-in for Polygraphy's TensorRT backend: what it would build is written down as JSON."""
import json


class Profile(dict):
    def add(self, name, min, opt, max):
        self[name] = (min, opt, max)


def CreateConfig(profiles, load_timing_cache, memory_pool_limits, builder_optimization_level):
    assert memory_pool_limits == {"workspace": 1 << 30}
    return profiles[0]


def NetworkFromOnnxPath(path, strongly_typed):
    assert strongly_typed
    return path


def EngineFromNetwork(network, config, save_timing_cache):
    return {"onnx": network, "shapes": config}


class SaveEngine:
    def __init__(self, engine, path):
        self.engine, self.path = engine, path

    def __call__(self):
        with open(self.path, "w") as file:
            json.dump(self.engine, file)
'''


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for TensorRT and Polygraphy, here and in child processes; returns a cache folder."""
    packages = tmp_path / "stand_ins"
    backend = packages / "polygraphy" / "backend"
    backend.mkdir(parents=True)
    for folder in (packages / "polygraphy", backend):
        (folder / "__init__.py").touch()
    (backend / "trt.py").write_text(POLYGRAPHY)
    (packages / "tensorrt.py").write_text("class MemoryPoolType:\n    WORKSPACE = 'workspace'\n")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_stand_in)
    monkeypatch.setattr(build, "host", lambda: HERE)
    monkeypatch.setattr(built, "host", lambda: HERE)
    return tmp_path / "cache"


@pytest.fixture
def ready(stand_ins: Path) -> Plan:
    """A plan whose engines are built already, in a cache of its own."""
    if not BUILT:
        BUILT.append(Plan(str(tiny_engine()), OPTIONS, cache=Path(mkdtemp(prefix="tiny-built-"))))
        BUILT[0].build()
    shutil.copytree(BUILT[0].work, stand_ins / "tiny")
    return Plan(str(tiny_engine()), OPTIONS, cache=stand_ins)


def test_engines_are_built_once_and_kept(stand_ins: Path) -> None:
    told: list[tuple[str, int]] = []
    plan = Plan(str(tiny_engine()), OPTIONS, cache=stand_ins)
    records = plan.build(lambda what, done, total: told.append((what, done)))
    assert [name for name, _ in told] == [*GRAPHS, "done"]
    assert told[-1][1] == len(GRAPHS) == len(records)
    files = {record.file for record in records.values()}
    assert files == {path.name for path in plan.work.glob("*.plan")}
    (plan.work / SCRIPT).unlink()
    before = {path.name: path.stat().st_mtime_ns for path in plan.work.glob("*.plan")}
    assert plan.build() == records
    assert before == {path.name: path.stat().st_mtime_ns for path in plan.work.glob("*.plan")}
    wider = Plan(str(tiny_engine()), OPTIONS.model_copy(update={"most_width_px": 128}), cache=stand_ins).build()
    assert not {record.file for record in wider.values()} - {wider["text"].file, wider["context"].file} & files


def built_file(plan: Plan, name: str) -> Path:
    return plan.work / read_records(plan.work)[name].file


@pytest.mark.parametrize("name", list(GRAPHS))
def test_the_runtime_sets_what_tensorrt_wants(ready: Plan, name: str) -> None:
    graph = GRAPHS[name]
    engine = TensorRtEngine(built_file(ready, name), graph, torch.device("cpu"), record=None)
    sizes = {**sizes_of(TINY), "frames": 2, "context": 2, "words": 3, "rows": 3, "cols": 4}
    inputs = example(graph, sizes, np.random.default_rng(0))
    truth = TorchEngine(getattr(tiny_network(), name), graph)(inputs)
    got = engine(inputs)
    assert set(got) == set(truth)
    for key, expected in truth.items():
        np.testing.assert_allclose(got[key], expected, atol=1e-4)


def test_shapes_outside_the_profile_are_refused_by_name(ready: Plan) -> None:
    engine = TensorRtEngine(built_file(ready, "encode"), GRAPHS["encode"], torch.device("cpu"), record=None)
    sizes = {**sizes_of(TINY), "frames": 3, "rows": 3, "cols": 4}
    with pytest.raises(SpatiaError, match=r"frames: expected a shape from \[1, 5, 32, 32\] to \[2, 5, 64, 96\], got \[3, 5"):
        engine(example(GRAPHS["encode"], sizes, np.random.default_rng(0)))


def test_contexts_are_kept_by_shape_and_bounded(ready: Plan) -> None:
    engine = TensorRtEngine(built_file(ready, "text"), GRAPHS["text"], torch.device("cpu"), record=None)
    for words in range(1, MOST_CONTEXTS + 3):
        assert engine({"tokens": np.ones((1, words), np.int64)})["text"].shape == (1, words, TINY.width)
    assert len(engine._contexts) == 2


def test_a_file_that_is_no_engine_is_refused(ready: Plan, tmp_path: Path) -> None:
    (tmp_path / "x.plan").write_bytes(b"not one")
    with pytest.raises(SpatiaError, match=r"refused by TensorRT 10\.3\.0-stand-in; build it again"):
        TensorRtEngine(tmp_path / "x.plan", GRAPHS["text"], torch.device("cpu"))
    path = built_file(ready, "text")
    with pytest.raises(SpatiaError, match="expected inputs and outputs"):
        TensorRtEngine(path, GRAPHS["decode"], torch.device("cpu"))


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("tensorrt", "11.4.1", "foreign: built for tensorrt 10.3.0-stand-in, here is 11.4.1"),
        ("gpu", "Orin", "foreign: built for gpu Stand-in GPU, here is Orin"),
        ("sm", "9.0", "foreign: built for sm 8.7"), ("cuda", "13.0", "foreign: built for cuda 12.6"),
    ],
)  # fmt: skip
def test_foreign_engines_are_refused_with_a_way_out(ready: Plan, field: str, value: str, word: str) -> None:
    with pytest.raises(SpatiaError, match=f"{word}.*; build it again: spatia build-engine"):
        plans(ready.folder, ready.bundle, HERE.model_copy(update={field: value}), ready.work.parent)


def test_stale_and_damaged_engines_are_refused(ready: Plan, tmp_path: Path) -> None:
    plan, folder, bundle, cache = ready, ready.folder, ready.bundle, ready.work.parent
    with pytest.raises(SpatiaError, match=r"lacks .*build it: spatia build-engine"):
        plans(folder, bundle, HERE, tmp_path)
    assert set(plans(folder, bundle, HERE, cache)) == set(GRAPHS)
    weights = bundle.files["fp32"]["weights"].model_copy(update={"sha256": "0" * 64})
    other = bundle.model_copy(update={"files": {"fp32": {**bundle.files["fp32"], "weights": weights}}})
    with pytest.raises(SpatiaError, match="is stale: built of weights"):
        plans(folder, other, HERE, cache)
    built_file(plan, "decode").write_text("{}")
    with pytest.raises(SpatiaError, match="is not the file that was built"):
        plans(folder, bundle, HERE, cache)
    (plan.work / "built.json").write_text("[1]")
    with pytest.raises(SpatiaError, match="not a record of built engines"):
        read_records(plan.work)


def test_a_build_that_fails_says_what_polygraphy_said(stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(str(tiny_engine()), OPTIONS, cache=stand_ins)
    monkeypatch.setattr(build, "TEMPLATE", "raise SystemExit('out of memory')")
    with pytest.raises(SpatiaError, match=r"encode: Polygraphy ended with 1: out of memory \(all of it: .*encode.log\)"):
        plan.build()
    assert read_records(plan.work) == {}


def test_the_script_is_what_polygraphy_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trt = pytest.importorskip("polygraphy.backend.trt", reason="needs Polygraphy (requirements/tensorrt.txt)")
    saved = []
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_stand_in)
    monkeypatch.setattr(trt.SaveEngine, "__call__", lambda self: saved.append(self))
    script = Plan(str(tiny_engine()), OPTIONS, cache=tmp_path).write_script()
    monkeypatch.setattr(sys, "argv", [str(script)])
    runpy.run_path(str(script))
    assert len(saved) == len(GRAPHS)


def test_float16_and_int8_graphs_are_made_where_they_are_not_shipped(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_engine(), tmp_path / "tiny"))
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["fp16"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    half = Plan(str(folder), Options(), cache=tmp_path / "cache")
    half.write_script()
    assert (half.work / "denoise.fp16.onnx").is_file()
    with pytest.raises(SpatiaError, match="expected calibration batches"):
        Plan(str(folder), Options(precision="int8"), cache=tmp_path / "cache").write_script()
    sizes = {**sizes_of(TINY), "frames": 1, "context": 1, "words": 1, "rows": 2, "cols": 2}
    batches = {name: [example(graph, sizes, np.random.default_rng(0))] for name, graph in GRAPHS.items()}
    Plan(str(folder), Options(precision="int8"), batches, "noise", tmp_path / "cache").write_script()
    assert (tmp_path / "cache" / "tiny" / "decode.int8.onnx").is_file()


def test_the_cache_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    assert folder == tmp_path / "spatia_ros" / "engines"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_without_tensorrt_the_command_plans_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    name, figures = str(tiny_engine()), tmp_path / "plan.json"
    assert main(["build-engine", name, "--dry-run", "--device", "orin", "--size", "64x48", "--json", str(figures)]) == 0
    printed = capsys.readouterr().out
    assert "Jetson AGX Orin 64 GB, fp16, frames of 64x48" in printed
    assert "TensorRT is not installed here" in printed
    compile(Path(json.loads(figures.read_text())["script"]).read_text(), SCRIPT, "exec")
    assert main(["build-engine", name]) == 2
    assert "sudo apt install nvidia-jetpack" in capsys.readouterr().err
    assert main(["build-engine", name, "--device", "orin"]) == 2
    assert "add --dry-run" in capsys.readouterr().err
    assert main(["build-engine", name, "--dry-run", "--device", "abacus"]) == 2
    assert "device: expected one of" in capsys.readouterr().err


def test_a_devices_plan_is_its_arithmetic() -> None:
    parts = Plan(str(tiny_engine()), OPTIONS).parts
    orin = device("orin")
    assert orin.fp16_tflops == pytest.approx(16 * 1024 * 2 * 1.3e9 / 1e12)
    assert orin.int8_tops * 2 == pytest.approx(171, rel=0.01)  # its data sheet counts sparse int8
    decode = next(part.work for part in parts if part.graph.name == "decode")
    found = estimate(decode, orin, "fp16")
    assert found.compute_ms == pytest.approx(decode.flops / orin.fp16_tflops / 1e9)
    assert found.memory_ms == pytest.approx(2 * decode.moved / orin.bandwidth_gbps / 1e6)
    assert found.expected_ms == pytest.approx(max(found.compute_ms, found.memory_ms) / 0.4 + found.kernels_ms)
    needs = memory_bytes(parts, "fp16", 512)
    assert needs["weights"] == 2 * sum(part.work.weights for part in parts)
    assert needs["workspace at most"] == 512 << 20
    for name in DEVICES:
        assert "frames a second of generation (estimated, not measured)" in "\n".join(device_lines(parts, device(name), OPTIONS))


def test_profiles_come_from_the_table() -> None:
    parts = {part.graph.name: part.profile for part in Plan(str(tiny_engine()), OPTIONS).parts}
    assert parts["encode"] == {"frames": ((1, 5, 32, 32), (1, 5, 48, 64), (2, 5, 64, 96))}
    assert parts["denoise"]["keys"] == ((1, 2, 2, 40, 16), (1, 2, 2, 200, 16), (1, 2, 2, 360, 16))
    assert "flow_time" not in parts["denoise"]
