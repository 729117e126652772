"""Building an engine as a program of its own; TensorRT is a stand-in here, ONNX Runtime is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_build_engine import stand_ins as stand_ins
from tiny_engine import tiny_engine

from spatia_ros.engine import build_task
from spatia_ros.engine.build_task import build, main
from spatia_ros.engine.bundle import read_bundle
from spatia_ros.engine.table import GRAPHS
from spatia_ros.types import SpatiaError

SIZES = {"width_px": 64, "height_px": 48, "most_width_px": 96, "most_height_px": 64, "clip": 2, "steps": 1}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """An engine of one's own."""
    return Path(shutil.copytree(tiny_engine(), tmp_path / "mine"))


def test_onnx_runtime_is_held_against_torch(mine: Path) -> None:
    told: list[tuple[str, float]] = []
    built = build(str(mine), "onnxruntime", "", False, {}, lambda stage, progress, log: told.append((stage, progress)))
    assert (built["path"], built["sha256"]) == (str(mine / "manifest.json"), read_bundle(mine).files["fp32"]["weights"].sha256)
    assert "largest difference to torch" in built["message"]
    assert list(dict.fromkeys(stage for stage, _ in told)) == ["check", "build", "compare"]
    progress = [share for _, share in told]
    assert progress == sorted(progress)
    assert 0 <= progress[0] <= progress[-1] <= 1


def test_the_graphs_are_written_anew_where_that_is_asked_for(mine: Path) -> None:
    (mine / "text.onnx").unlink()
    with pytest.raises(SpatiaError, match=r"text\.onnx: expected \d+ bytes, got 0"):
        build(str(mine), "onnxruntime", "", False, {}, lambda *_: None)
    assert build(str(mine), "onnxruntime", "", True, {}, lambda *_: None)["sha256"]
    with pytest.raises(SpatiaError, match="shipped engines are not written again"):
        build("nano", "onnxruntime", "", True, {}, lambda *_: None)


def test_graphs_that_compute_something_else_are_refused(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_task, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(SpatiaError, match=r"within -1\.0 of torch"):
        build(str(mine), "onnxruntime", "", False, {}, lambda *_: None)


def test_tensorrt_engines_are_built_with_the_stand_in(mine: Path, stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(stand_ins))
    told: list[str] = []
    built = build(str(mine), "tensorrt", "fp32", False, SIZES, lambda stage, _, log: told.append(f"{stage} {log}"))
    assert f"{len(GRAPHS)} engines in" in built["message"]
    assert [f"build {part}" for part in GRAPHS] == [line for line in told if line.startswith("build ")][: len(GRAPHS)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nano", "--runtime", "tensorrt"], "TensorRT is not installed here"),
        (["nano", "--runtime", "abacus"], "runtime: expected one of"),
        (["nano", "--runtime", "onnxruntime", "--precision", "fp16"], "precision: expected one of ['fp32']"),
        (["no-such"], "expected one of ['nano'"),
    ],
)
def test_what_cannot_be_built_is_said_on_the_last_line(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    if "tensorrt" in words and find_spec("tensorrt"):
        pytest.skip("TensorRT is installed here")
    assert main(words) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert says in last["failed"]


def test_it_ends_with_who_started_it() -> None:
    stand_in = "t.build = lambda *a: time.sleep(600)"
    code = f"import spatia_ros.engine.build_task as t, time; {stand_in}; t.main(['nano', '--with-parent'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True) as child:
        child.stdin.close()
        assert child.wait(60) < 0
