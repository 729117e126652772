"""Turning away from all that was seen: the measure of how a place goes on."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from spatia_ros.cli import main
from spatia_ros.config import WorldConfig
from spatia_ros.evaluate import onward
from spatia_ros.evaluate.measures import psnr
from spatia_ros.evaluate.onward import Picture, Turn, absrel, blown, colour_off, evaluate_onward, figures_of, turning
from spatia_ros.geometry import rotation_error_deg
from spatia_ros.types import SpatiaError

PROJECTION = WorldConfig.model_validate({"generator": {"name": "projection"}, "camera": {"width_px": 64, "height_px": 48}})


def _flat(level: int) -> np.ndarray:
    return np.full((8, 10, 3), level, np.uint8)


def _seen(level: int, depth_m: float = 2.0, kept: float = 1.0) -> Picture:
    return Picture(_flat(level), np.full((8, 10), depth_m, np.float32), kept)


def test_figures_have_known_answers() -> None:
    assert colour_off(_flat(90), np.array((80.0, 80.0, 80.0))) == pytest.approx(10.0)
    assert colour_off(_flat(90), np.array((90.0, 90.0, 78.0))) == pytest.approx(12.0 / np.sqrt(3.0))
    half = _flat(255)
    half[:4] = (0, 255, 0)
    assert blown(half) == pytest.approx(0.5)
    assert blown(_flat(3)) == 1.0
    turns = [
        Turn(str(k), np.full(3, 100.0), {
            "generated": [_seen(100 + k, 1.0, 0.5), _seen(255, 3.0)], "projection": [_seen(100), _seen(110)],
            "mean": [_seen(100), _seen(100)], "truth": [_seen(120), _seen(140)],
        })
        for k in (10, 20)
    ]  # fmt: skip
    figures = figures_of(turns)
    assert figures["psnr"]["mean"] == pytest.approx([psnr(_flat(100), _flat(120)), psnr(_flat(100), _flat(140))], abs=1e-3)
    assert figures["off"] == {"generated": [15.0, 155.0], "projection": [0.0, 10.0], "mean": [0.0, 0.0], "truth": [20.0, 40.0]}
    assert figures["blown"]["generated"] == [0.0, 1.0]
    assert figures["depth"] == {"generated": [0.5, 0.5], "projection": [0.0, 0.0]}
    assert figures["kept"]["generated"] == [0.5, 1.0]
    nothing = np.zeros((8, 10), np.float32)
    assert np.isnan(absrel(nothing, nothing)), "the sky has no depth"


def test_the_camera_turns_on_the_spot_by_even_steps() -> None:
    start = np.eye(4)
    start[:3, 3] = 1.0, 2.0, 3.0
    for step in (2.0, -2.0):
        way = turning(start, step, 10)
        assert np.array_equal(way[:, :3, 3], np.tile(start[:3, 3], (10, 1)))
        assert [rotation_error_deg(start[:3, :3], T[:3, :3]) for T in way] == pytest.approx(2.0 * np.arange(1, 11), abs=1e-5)
        assert np.sign(way[0, 0, 2]) == np.sign(step), "to the right where steps are above 0"


def test_what_a_world_shows_is_compared_at_the_angles_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flown = []
    gone_on = onward.gone_on
    monkeypatch.setattr(onward, "gone_on", lambda *args: flown.append(args) or gone_on(*args))
    figures = evaluate_onward(PROJECTION, tmp_path, scenes=1, seed=3, degrees=(6.0, 75.0), step_deg=3.0)
    (_, _, way, at), _ = flown
    assert (len(way), at) == (25, [1, 24])
    assert figures["psnr"]["generated"] == figures["psnr"]["projection"], "the same generator, the same world"
    # Six degrees away nearly all was seen; at 75 nothing was, and what is shown is the mean of it.
    assert figures["psnr"]["generated"][0] > figures["psnr"]["mean"][0] + 4.0
    assert figures["psnr"]["generated"][1] == pytest.approx(figures["psnr"]["mean"][1], abs=4.0)
    assert figures["kept"]["generated"][0] > 0.6, "memory holds what was seen, and nothing of what nobody is sure of"
    assert figures["kept"]["generated"][1] < figures["kept"]["generated"][0]
    assert figures["depth"]["generated"][0] < 0.1
    assert figures["off"]["mean"] == pytest.approx([0.0, 0.0], abs=0.5)
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    assert cv2.imread(str(tmp_path / "strip.png")) is not None


@pytest.mark.parametrize("degrees", [(), (10.0, 5.0), (1.0, 40.0), (-5.0, 10.0)])
def test_angles_that_make_no_way_are_refused(tmp_path: Path, degrees: tuple[float, ...]) -> None:
    with pytest.raises(SpatiaError, match="rising degrees"):
        evaluate_onward(PROJECTION, tmp_path, degrees=degrees, step_deg=3.0)


def test_the_command_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sized = [part for side, px in (("width_px", 64), ("height_px", 48)) for part in ("--set", f"camera.{side}={px}")]
    given = ["--scenes", "1", "--degrees", "6", "--step", "3", "--out", str(tmp_path), "--set", "generator.name=projection"]
    assert main(["evaluate", "onward", *given, *sized]) == 0
    said = capsys.readouterr().out
    assert "1 scenes, 3 degrees a frame" in said
    assert "white or black" in said
