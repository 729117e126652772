"""The evaluation runs in a tiny room, with the null generator: what they read, what they give back, what they leave."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_room import recorded, swaying, turning

from spatia_ros.config import from_dict, load
from spatia_ros.evaluate import evaluate_closed_loop, evaluate_novel_view
from spatia_ros.evaluate.closed_loop import out_and_back
from spatia_ros.evaluate.novel_view import half, interpolate
from spatia_ros.types import SpatiaError

CONFIG = from_dict({
    "camera": {"width_px": 80, "height_px": 60}, "memory": {"voxel_m": 0.05}, "generator": {"name": "projection"},
})
METHODS = {"generated", "projection", "telea", "navier_stokes", "no_memory"}


def test_protocols_never_draw_what_they_seed() -> None:
    for frames in (5, 31, 96):
        for protocol in (half, interpolate):
            plan = protocol(frames)
            assert not set(plan.seeds) & set(plan.targets)
    assert half(10).targets == [5, 8]
    assert interpolate(20).seeds == [0, 8, 16]
    assert interpolate(20).targets == [4, 12]


@pytest.fixture(scope="module")
def novel_view(tmp_path_factory) -> tuple[dict, Path, list[int]]:
    """A turntable recording of 40 frames: the first half seen, the second half only in part."""
    sequence, read = recorded(path=turning, frames=40), []

    def loading(index: int):
        read.append(index)
        return sequence.load(index)

    out = tmp_path_factory.mktemp("novel")
    return evaluate_novel_view(replace(sequence, load=loading), CONFIG, out), out, read


def test_novel_view_figures_have_the_published_names(novel_view) -> None:
    figures, out, _ = novel_view
    assert json.loads((out / "figures.json").read_text()) == figures
    assert figures["frames"] >= 3
    for region in ("all", "remembered", "invented", "ssim"):
        assert set(figures[region]) == METHODS
        assert all(isinstance(value, float) for value in figures[region].values())
    assert {"absrel_remembered", "absrel_invented"} <= set(figures["depth"])
    assert figures["invented_if_told"]["recoloured"] >= figures["invented_if_told"]["mean_colour"]
    assert figures["invented_if_told"]["recoloured"] > figures["invented"]["generated"]
    assert figures["targets_in_training_half"] == 0
    assert len(json.loads((out / "frames.json").read_text())) == figures["frames"]
    assert load(out / "config.yaml") == CONFIG
    assert cv2.imread(str(out / "strip.png")).shape[0] == 28 + min(figures["frames"], 6) * 90


def test_remembered_pixels_are_true_and_the_control_is_worse(novel_view) -> None:
    figures, _, _ = novel_view
    assert figures["remembered"]["generated"] > 30.0
    assert figures["depth"]["absrel_remembered"] < 0.01
    assert figures["remembered"]["generated"] == figures["remembered"]["telea"]
    assert figures["remembered"]["no_memory"] < figures["remembered"]["generated"] - 3.0


def test_memory_is_made_from_the_first_half_alone(novel_view) -> None:
    _, _, read = novel_view
    first_target = read.index(20)
    assert set(read[:first_target]) == set(range(20))


def test_gain_is_compensated_for_every_method(tmp_path: Path, novel_view) -> None:
    sequence = recorded(path=turning, frames=40)
    darker = replace(sequence, load=lambda i: (sequence.load(i)[0] // (2 if i >= 20 else 1), sequence.load(i)[1]))
    figures = evaluate_novel_view(darker, CONFIG, tmp_path)
    assert figures["remembered"]["generated"] > novel_view[0]["remembered"]["generated"] - 1.0


def test_a_depth_delay_is_taken_out(tmp_path: Path) -> None:
    figures = evaluate_novel_view(recorded(0.04), CONFIG, tmp_path / "auto", "interpolate")
    ignored = evaluate_novel_view(recorded(0.04), CONFIG, tmp_path / "ignored", "interpolate", depth_delay=0.0)
    assert figures["depth_delay_s"] == pytest.approx(0.04, abs=0.005)
    assert figures["depth"]["absrel_remembered"] < 0.6 * ignored["depth"]["absrel_remembered"]
    assert figures["targets_in_training_half"] == 1


def test_impossible_novel_views_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpatiaError, match="protocol: expected one of half, interpolate, got 'all'"):
        evaluate_novel_view(recorded(), CONFIG, tmp_path, "all")
    still = recorded(path=lambda t: swaying(0.0))
    with pytest.raises(SpatiaError, match="expected targets that memory shows 25% to 90% of, got none of 4"):
        evaluate_novel_view(still, CONFIG, tmp_path)
    assert not (tmp_path / "figures.json").exists()


def test_the_path_goes_out_and_back() -> None:
    sequence = recorded(frames=12)
    path = out_and_back(sequence, 4, 10.0)
    np.testing.assert_array_equal(path.T_world_cam, sequence.T_world_cam[[0, 1, 2, 3, 2, 1, 0]])
    assert np.diff(path.stamps_ns).tolist() == [100_000_000] * 6
    assert path.stamps_ns[0] > sequence.stamps_ns[0]


def test_a_closed_loop_remembers_and_its_control_forgets(tmp_path: Path) -> None:
    figures = evaluate_closed_loop(recorded(path=turning, frames=72), CONFIG, tmp_path)
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    names = {"psnr_first_last", "psnr_real_last", "ssim", "match", "matcher"}
    assert names <= set(figures)
    assert set(figures["no_memory"]) == names
    assert figures["matcher"] == "sift"
    assert figures["frames"] == 47
    assert figures["psnr_first_last"] > 40.0
    assert figures["psnr_real_last"] > figures["no_memory"]["psnr_real_last"] + 5.0
    assert cv2.imread(str(tmp_path / "strip.png")).shape == (28 + 3 * 90, 3 * 86, 3)


def test_a_recording_too_short_for_a_loop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpatiaError, match="expected at least 5 frames for a path out and back, got 3"):
        evaluate_closed_loop(recorded(frames=3), CONFIG, tmp_path)
