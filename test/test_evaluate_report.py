"""Ablation and the page over all measures, on a wall with a picture; what a deprived generator is and is not told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from test_evaluate_world import CAMERA, CONFIG, along_the_wall, at, wall
from tiny_networks import TinyNetworks

from spatia_ros.config import GeneratorConfig
from spatia_ros.evaluate import ablation, flights, held_out, report
from spatia_ros.evaluate.deprived import CONDITIONS, EVERY_GENERATOR, Deprived, blank
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.generator.anchor import NO_CLOCK
from spatia_ros.generator.condition import ClipView
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.memory import Memory
from spatia_ros.memory.exposure import exposed
from spatia_ros.train.clips import Clip, Sight
from spatia_ros.types import SpatiaError


@pytest.fixture(scope="module")
def shown() -> ClipView:
    """Two views of half a wall, with the keyframe that saw it."""
    memory = Memory(CONFIG.memory)
    memory.integrate(wall(at(0.0)))
    poses = np.stack([at(0.8), at(0.9)])
    views = tuple(memory.render(CAMERA, T, 2 * 10**8) for T in poses)
    references = tuple(tuple(memory.retrieve(v, CAMERA, T, 2)) for v, T in zip(views, poses, strict=True))
    assert len(references[0]) == 1
    return ClipView(views, references, CAMERA, poses, np.array([0.2, 0.3]), np.array([0.2, 0.3]))


def told_without(shown: ClipView, *names: str):
    networks = TinyNetworks()
    generator = SpaceTimeGenerator("tiny", networks, GeneratorConfig(context_frames=2))
    deprived = Deprived(generator, names)
    stream = deprived.stream()
    stream.follow([wall(at(0.7))], np.array([0.1]))
    told = deprived.condition(shown, stream)
    deprived.sample(told, stream, np.random.default_rng(0))
    return told, networks


def test_what_is_left_out_is_nothing_to_the_network(shown):
    full, asked = told_without(shown)
    assert asked.last["denoise"]["memory"].any()
    assert asked.last["context"]["latents"].any()
    assert full.rays.any()
    blind, asked = told_without(shown, "memory_render")
    assert not asked.last["denoise"]["memory"].any()
    assert (asked.last["denoise"]["uncovered"] == 1).all()
    assert not blind.image[:, :8].any()
    np.testing.assert_array_equal(blind.image[:, 13:15], full.image[:, 13:15])
    _, asked = told_without(shown, "references")
    assert not asked.last["context"]["latents"].any()
    lost, asked = told_without(shown, "rays")
    assert not lost.rays.any()
    assert not asked.last["context"]["rays"].any()
    timeless, asked = told_without(shown, "animation_time")
    assert (timeless.animation == NO_CLOCK).all()
    assert (asked.last["context"]["animation"] == NO_CLOCK).all()
    np.testing.assert_array_equal(timeless.time, full.time)


def test_other_generators_lose_what_is_taken_before_them(shown):
    generator = ProjectionGenerator()
    deprived = Deprived(generator, ("memory_render",))
    told = deprived.condition(shown, deprived.stream())
    assert all(not each.view.coverage.any() for each in told)
    assert blank(shown.views[0]).coverage.sum() == 0
    assert Deprived(generator, ("references",)).references == 0
    with pytest.raises(SpatiaError, match="ablation: expected conditions out of"):
        Deprived(generator, ("rays",))


def some_clip() -> Clip:
    frames = [wall(at(0.05 * i)) for i in range(3)]
    frames = [replace(f, stamp_ns=10**8 * (i + 1)) for i, f in enumerate(frames)]
    memory = Memory(CONFIG.memory)
    memory.integrate(frames[0])
    kept = memory.retrieve(memory.render(CAMERA, at(0.0), 10**8), CAMERA, at(0.0), 1)[0]
    sight = Sight(kept, 0.0)
    views = tuple(memory.render(f.camera, f.T_world_cam, f.stamp_ns) for f in frames[1:])
    still = np.zeros((2, CAMERA.height, CAMERA.width), bool)
    return Clip(views, tuple(frames[1:]), np.array([0.2, 0.3]), ((0,), (0,)), (0,), (sight,), "", None, still, still)


def test_held_out_clips_are_drawn_by_any_generator():
    clip = some_clip()
    networks = TinyNetworks()
    for generator in (ProjectionGenerator(), SpaceTimeGenerator("tiny", networks, GeneratorConfig(context_frames=2))):
        for told in (generator, Deprived(generator, ("references",))):
            made = held_out.draw(told, clip, np.random.default_rng(0))
            assert [f.rgb.shape for f in made] == [(CAMERA.height, CAMERA.width, 3)] * 2
    assert not networks.last["context"]["latents"].any()


def test_ablation_has_the_published_names(tmp_path):
    figures = ablation.evaluate_ablation(along_the_wall(12), CONFIG, tmp_path, None, 0.0, (1, 3), (0.05, 0.07))
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    assert {"full", *(f"no_{name}" for name in CONDITIONS), "references", "voxel_m"} <= set(figures)
    assert figures["no_rays"] is figures["no_animation_time"] is None, "projection has neither"
    assert list(figures["references"]) == ["1", "3"]
    assert list(figures["voxel_m"]) == ["0.05", "0.07"]
    assert figures["full"] == figures["voxel_m"]["0.05"], "the configured one"
    assert figures["full"] > figures["no_memory_render"] + 3.0, "a wall that is seen must be told"
    assert set(figures["closed_loop"]) == {"full", *(f"no_{name}" for name in EVERY_GENERATOR), "references", "voxel_m"}


def test_a_camera_that_brightens_costs_an_ablation_nothing(tmp_path):
    steady = along_the_wall(12)
    changes = [np.full(3, 0.9 * np.sin(k)) for k in range(len(steady))]

    def load(k):
        rgb, depth = steady.load(k)
        return exposed(rgb, changes[k]), depth

    alike, unlike = (
        ablation.evaluate_ablation(sequence, CONFIG, tmp_path, None, 0.0, (1,), (0.05,))["full"]
        for sequence in (steady, replace(steady, load=load))
    )
    assert unlike == pytest.approx(alike, abs=1.0)


def test_clips_say_what_each_condition_is_worth(monkeypatch):
    monkeypatch.setattr(ablation, "held_out_clips", lambda seed, count, size: {name: [some_clip()] for name in CONDITIONS})
    table = ablation.ablate_clips(ProjectionGenerator(), 3, CONFIG, 1)
    assert table["full"] > table["no_memory_render"] + 3.0
    assert table["needed"]["memory_render"]["without"] == pytest.approx(table["no_memory_render"])
    assert table["needed"]["rays"]["without"] is None


def test_the_page_holds_every_measure_and_is_not_made_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(flights, "CLIP", 4)
    monkeypatch.setattr(report, "evaluate_ablation", lambda sequence, config, at, scene, delay: ablation.evaluate_ablation(
        sequence, config, at, scene, delay, (1,), (0.05,)))
    sequence = along_the_wall(17)
    figures = report.evaluate_report(sequence, CONFIG, tmp_path, None, 0.0, report.MEASURES, (2, 4), "spatia evaluate report --x")
    page = (tmp_path / "report.html").read_text()
    for words in ("Novel view", "Closed loop", "Long horizon", "Camera error", "TSED", "Ablation", "19.38", "Not the same"):
        assert words in page
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.count("<svg") == 4
    assert "http" not in page.replace("http://www.w3.org", "")
    before = (tmp_path / "camera/figures.json").stat().st_mtime_ns
    monkeypatch.setattr(report, "evaluate_novel_view", None)
    again = report.evaluate_report(sequence, CONFIG, tmp_path, None, 0.0, report.MEASURES, (2, 4))
    assert again == figures
    assert (tmp_path / "camera/figures.json").stat().st_mtime_ns == before
    with pytest.raises(SpatiaError, match="measures out of novel_view"):
        report.evaluate_report(sequence, CONFIG, tmp_path, None, 0.0, ("looks",))
