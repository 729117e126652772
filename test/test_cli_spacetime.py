"""spatia spacetime: what it leaves, what it keeps, that it goes on, and that its help tells no lies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spatia_ros import cli
from spatia_ros.actors.patterns import SHAPES
from spatia_ros.cli import spacetime
from spatia_ros.sequence import write_tum
from spatia_ros.sequence.camera_presets import PRESETS
from spatia_ros.sequence.tum import read_poses
from spatia_ros.train.scene_take import TakePlan, procedural_take

SMALL = [
    "--set", "camera.width_px=96", "--set", "camera.height_px=64", "--set", "generator.name=projection",
    "--set", "memory.voxel_m=0.03", "--set", "actors.complete=false",
]  # fmt: skip
FRAMES = 7


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    take = procedural_take("desk", 2, TakePlan(size=(96, 64), frames=FRAMES))
    shots = [take.look("source", k, take.times_s[k], round(1e9 * take.times_s[k])).frame for k in range(FRAMES)]
    return write_tum(shots, tmp_path_factory.mktemp("data") / "desk")


def fly(*words: object) -> int:
    return cli.main(["spacetime", *[str(word) for word in words], *SMALL])


def test_help_names_every_camera_and_every_time(capsys):
    assert {name: words for name, (words, _) in PRESETS.items()} == spacetime.CAMERAS
    assert set(SHAPES) == set(spacetime.TIMES)
    with pytest.raises(SystemExit):
        cli.main(["spacetime", "--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in (*PRESETS, *SHAPES))


def test_everything_promised_is_left_and_another_camera_starts_at_once(recording, tmp_path, capsys):
    out, kept = tmp_path / "flight", tmp_path / "map"
    common = "--sequence", recording, "--map", kept
    assert fly(*common, "--camera", "orbit:0.5,dolly", "--frames", 4, "--time", "bullet-time", "--out", out) == 0
    assert "taken apart already" not in capsys.readouterr().out
    for name in ("spacetime.mp4", "strip.png", "figures.json", "poses.txt", "w2c.txt", "memory.spatia", "rgb.txt", "config.yaml"):
        assert (out / name).stat().st_size > 0, name
    figures = json.loads((out / "figures.json").read_text())
    assert (figures["frames"], figures["recorded_frames"], figures["actors"]) == (7, FRAMES, 1)
    assert (figures["animation_s"][0], figures["animation_s"][-1]) == (pytest.approx(0.0), pytest.approx(3.0))
    assert figures["animation_s"][3] == pytest.approx(1.5), "the middle stands"
    recorded = read_poses(recording / "groundtruth.txt").T_world_cam
    np.testing.assert_allclose(read_poses(out / "poses.txt").T_world_cam[0], recorded[0], atol=1e-6)

    other = tmp_path / "other"
    where = "--camera", "pan", "--frames", 3, "--first-camera", 4
    assert fly(*common, *where, "--span", 0.5, 1.0, "--time", "reverse", "--out", other) == 0
    assert "taken apart already" in capsys.readouterr().out
    np.testing.assert_allclose(read_poses(other / "poses.txt").T_world_cam[0], recorded[4], atol=1e-6)
    assert json.loads((other / "figures.json").read_text())["animation_s"] == pytest.approx([1.0, 0.75, 0.5])


def test_a_path_and_a_clock_from_files_and_a_flight_that_goes_on(recording, tmp_path, monkeypatch):
    clock = tmp_path / "clock.yaml"
    clock.write_text("knots: [[0.0, 3.0], [10.0, 3.0]]\n")
    words = "--sequence", recording, "--map", tmp_path / "map", "--camera", recording / "groundtruth.txt", "--time", clock
    whole = tmp_path / "whole"
    assert fly(*words, "--out", whole) == 0
    assert json.loads((whole / "figures.json").read_text())["animation_s"] == [3.0] * FRAMES
    np.testing.assert_allclose(
        read_poses(whole / "poses.txt").T_world_cam, read_poses(recording / "groundtruth.txt").T_world_cam, atol=1e-6
    )
    assert fly(*words, "--out", whole) == 0, "all frames are there: only the films are made again"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--camera", "wobble"], "wobble"),
        (["--time", "wobble"], "wobble"),
        (["--span", "2", "1"], "first before last"),
        (["--first-camera", "99"], "expected a frame of 0..6"),
        (["--first-camera", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_what_is_wrong_is_said(recording, tmp_path_factory, capsys, words, says):
    folder = tmp_path_factory.getbasetemp() / "shared_map"
    assert fly("--sequence", recording, "--map", folder, *words, "--out", folder.with_name("none")) == cli.BAD_INPUT
    assert says in capsys.readouterr().err


def test_a_film_without_depth_needs_an_estimator(tmp_path, capsys):
    import cv2

    (tmp_path / "film").mkdir()
    for k in range(3):
        cv2.imwrite(str(tmp_path / "film" / f"{k}.png"), np.full((32, 48, 3), 60 * k, np.uint8))
    assert fly("--sequence", tmp_path / "film", "--out", tmp_path / "out") == cli.BAD_INPUT
    assert "--depth-model" in capsys.readouterr().err
