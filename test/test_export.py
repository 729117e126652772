"""``spatia export`` of an engine: its graphs anew, or its weights trusted otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_engine import engine_copy

from spatia_ros.cli import main
from spatia_ros.engine.bundle import read_bundle
from spatia_ros.engine.runtimes import open_engines
from spatia_ros.engine.ship import load_network
from spatia_ros.engine.table import GRAPHS


def test_an_engines_graphs_are_written_again_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, figures = engine_copy(tmp_path), tmp_path / "figures.json"
    before = read_bundle(folder)
    (folder / "encode.onnx").write_bytes(b"lost")
    assert main(["export", str(folder), "--json", str(figures)]) == 0
    assert read_bundle(folder).files["fp32"]["encode"].sha256 == before.files["fp32"]["encode"].sha256
    assert "fp32 against torch" in capsys.readouterr().out
    assert set(json.loads(figures.read_text())["measured"]["fp32"]) == set(GRAPHS)
    open_engines(str(folder), "onnxruntime", 1)
    assert main(["export", str(tmp_path / "nothing")]) == 2


def test_an_engine_may_be_trusted_less_and_all_of_it_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full, less, again, none = engine_copy(tmp_path), *(tmp_path / name for name in ("less", "again", "none"))
    (full / "card.md").write_text("what it learned from")
    assert main(["export", str(full), "--depth-share", "0.25", "--name", "calm", "--out", str(less)]) == 0
    assert main(["export", str(less), "--depth-share", "1", "--out", str(again)]) == 0
    assert main(["export", str(less), "--share", "0", "--depth-share", "0", "--out", str(none)]) == 0
    bundle = read_bundle(less)
    assert (bundle.name, bundle.figures["share"], bundle.figures["depth_share"]) == ("calm", 1.0, 0.25)
    assert (less / "card.md").read_text() == "what it learned from"
    heads = {at: load_network(at).decode.head.weight for at in (full, less, again, none)}
    changed = (heads[full] != heads[less]).flatten(1).any(1)
    assert changed.any()
    np.testing.assert_allclose(heads[less][changed], 0.25 * heads[full][changed], rtol=1e-6)
    np.testing.assert_allclose(heads[again], heads[full], rtol=1e-6)
    assert not heads[none][changed].any()
    capsys.readouterr()
    for here in ([], ["--out", str(full)]):
        before = (full / "manifest.json").read_bytes()
        assert main(["export", str(full), "--share", "0.5", *here]) == 2
        assert "--out: expected another folder" in capsys.readouterr().err
        assert (full / "manifest.json").read_bytes() == before
    assert main(["export", str(none), "--share", "0.5", "--out", str(again)]) == 2
    assert "--share: expected 0" in capsys.readouterr().err
    assert main(["export", str(full), "--depth-share", "1.5"]) == 2
    assert "--depth-share: expected 0 (the prior) to 1" in capsys.readouterr().err
