"""spatia map: what it leaves, with poses and without, and that an interrupted one goes on as if it had not been."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from speckled_room import frame_at
from tiny_room import swaying

from spatia_ros import cli
from spatia_ros.actors import cast_file
from spatia_ros.cli import mapping
from spatia_ros.memory import Memory
from spatia_ros.memory.exposure import exposed
from spatia_ros.record.map_journal import MapJournal
from spatia_ros.sequence import open_sequence, write_tum
from spatia_ros.sequence.tum import read_poses
from spatia_ros.train.scene_take import TakePlan, procedural_take
from spatia_ros.types import SpatiaError

COARSE = ["--set", "memory.voxel_m=0.06"]
FRAMES = 9


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    """A camera that sways in the speckled room, a few centimetres and degrees a frame."""
    frames = [frame_at(swaying(0.04 * k), (k + 10) * 10**8) for k in range(FRAMES)]
    return write_tum(frames, tmp_path_factory.mktemp("data") / "room")


def spatia_map(*words: object) -> int:
    return cli.main(["map", *[str(word) for word in words], *COARSE])


def figures_in(path: Path) -> dict:
    return json.loads(path.with_suffix(".json").read_text())


def test_everything_promised_is_left_behind(recording, tmp_path, capsys):
    out = tmp_path / "room.spatia"
    assert spatia_map("--sequence", recording, "--out", out, "--json", tmp_path / "again.json") == 0
    said = capsys.readouterr().out
    assert all(f"{out.with_suffix(ending)}" in said for ending in (".spatia", ".ply", ".png", ".html", ".poses.txt", ".json"))
    figures = figures_in(out)
    assert figures == json.loads((tmp_path / "again.json").read_text())
    assert (figures["frames"], figures["complete"], figures["lost"]) == (FRAMES, True, 0)
    assert figures["points"] == len(Memory.load(out)) > 1000
    assert "ate_rmse_m" not in figures, "poses that were used are no truth"
    np.testing.assert_allclose(read_poses(out.with_suffix(".poses.txt")).T_world_cam[3], swaying(0.12), atol=1e-6)
    html = out.with_suffix(".html").read_text()
    assert html.count("data:image/jpeg;base64,") == 2
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*"', html)
    assert not out.with_suffix(".progress.json").exists()


def test_a_map_says_how_many_frames_were_brought_to_its_exposure(recording, tmp_path, capsys):
    steady = open_sequence(recording)
    frames = [steady.frame(k) for k in range(FRAMES)]
    frames[3:5] = [replace(f, rgb=exposed(f.rgb, np.full(3, -0.7))) for f in frames[3:5]]
    dimmed = write_tum(frames, tmp_path / "dimmed")
    for source, evened in ((recording, 0), (dimmed, 2)):
        assert spatia_map("--sequence", source, "--out", tmp_path / "m.spatia", "--overwrite", "--no-report", "--no-ply") == 0
        assert figures_in(tmp_path / "m.spatia")["frames_evened"] == evened
        assert f"{evened} frames evened" in capsys.readouterr().out


def test_poses_withheld_are_only_compared_with(recording, tmp_path, capsys):
    out = tmp_path / "tracked.spatia"
    assert spatia_map("--sequence", recording, "--poses", "tracked", "--out", out, "--no-ply") == 0
    figures, path = figures_in(out), read_poses(out.with_suffix(".poses.txt"))
    np.testing.assert_allclose(path.T_world_cam[0], np.eye(4), atol=1e-9)
    assert (figures["tracked_fraction"], figures["pairs"], figures["aligned_by"]) == (1.0, FRAMES, "positions")
    assert figures["ate_rmse_m"] < 0.02
    assert "ATE" in capsys.readouterr().out
    assert "withheld" in out.with_suffix(".html").read_text()
    assert not out.with_suffix(".ply").exists()


def test_true_poses_from_elsewhere(recording, tmp_path):
    out = tmp_path / "room.spatia"
    truth = ("--truth", recording / "groundtruth.txt")
    assert spatia_map("--sequence", recording, *truth, "--every", 2, "--no-ply", "--no-report", "--out", out) == 0
    assert figures_in(out)["pairs"] == 5
    assert figures_in(out)["ate_rmse_m"] < 1e-6
    assert not out.with_suffix(".html").exists()


def test_an_interrupted_map_is_gone_on_with(recording, tmp_path, monkeypatch, capsys):
    words = ("--sequence", recording, "--no-dynamics", "--no-ply", "--out")
    whole, parts = tmp_path / "whole.spatia", tmp_path / "parts.spatia"
    assert spatia_map(*words, whole) == 0
    observe, seen = mapping.Making._observe, []

    def interrupted(self, index):
        import signal

        seen.append(index)
        if len(seen) == 4:
            signal.raise_signal(signal.SIGINT)
        return observe(self, index)

    monkeypatch.setattr(mapping.Making, "_observe", interrupted)
    assert spatia_map(*words, parts) == cli.INTERRUPTED
    assert "4 of 9 frames" in capsys.readouterr().out
    assert (figures_in(parts)["complete"], figures_in(parts)["frames"]) == (False, 4)
    assert "Interrupted" in parts.with_suffix(".html").read_text()
    assert spatia_map(*words, parts, "--every", 2) == 2, "another map is not gone on with"
    assert "belongs to another map" in capsys.readouterr().err
    assert spatia_map(*words, parts) == 0
    assert seen == list(range(FRAMES)), "no frame twice, none left out"
    assert figures_in(parts)["frames"] == FRAMES
    np.testing.assert_array_equal(*(read_poses(p.with_suffix(".poses.txt")).T_world_cam for p in (whole, parts)))
    a, b = (Memory.load(path).points() for path in (whole, parts))
    assert len(a.xyz) == len(b.xyz)
    assert a.confidence.sum() == pytest.approx(b.confidence.sum(), rel=0.01)


def test_frames_can_be_chosen(recording, tmp_path, capsys):
    out = tmp_path / "some.spatia"
    words = ("--sequence", recording, "--no-ply", "--no-report", "--out", out)
    assert spatia_map(*words, "--first", 2, "--last", 6, "--every", 2) == 0
    assert read_poses(out.with_suffix(".poses.txt")).stamps_ns.tolist() == [(k + 10) * 10**8 for k in (2, 4, 6)]
    assert spatia_map("--sequence", recording, "--first", 40, "--out", out) == 2
    assert "--first" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{}", "[", '{"format": 9}', '{"format": 1, "identity": {}, "stamps_ns": [1], "states": [], '
                                  '"T_world_cam": [], "totals": {}, "spent_s": 0}'])  # fmt: skip
def test_a_damaged_journal_is_refused(tmp_path, text):
    path = tmp_path / "a.progress.json"
    path.write_text(text)
    with pytest.raises(SpatiaError, match=r"a\.progress\.json"):
        MapJournal.read(path, {})


def test_what_moves_is_left_beside_the_map(tmp_path, capsys):
    take = procedural_take("desk", 2, TakePlan(size=(96, 64), frames=7))
    shots = [take.look("source", k, take.times_s[k], round(1e9 * take.times_s[k])).frame for k in range(7)]
    recording = write_tum(shots, tmp_path / "desk")
    out = tmp_path / "desk.spatia"
    assert spatia_map("--sequence", recording, "--out", out, "--actors", "--no-report", "--no-ply") == 0
    assert str(out.with_suffix(".cast.npz")) in capsys.readouterr().out
    (crate,) = (a for a in cast_file.load(out.with_suffix(".cast.npz")) if a.kind != "shadow")
    assert crate.body.span_s == pytest.approx((0.0, 3.0))
    assert figures_in(out)["points"] == len(Memory.load(out))
