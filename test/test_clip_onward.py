"""Clips of worlds that went on past what was seen: what is shown is their own inventions, what is true is the scene's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spatia_ros.generator import ProjectionGenerator
from spatia_ros.geometry import look_at, rotation_error_deg
from spatia_ros.train import clip_onward, clip_sources
from spatia_ros.train.clip_build import SetPlan, build, made_of
from spatia_ros.train.clip_onward import FARTHEST_DEG, NOD_RAD, SWAY_M, TURN_DEG, run_of, turned
from spatia_ros.train.clip_scenes import Place, Plan
from spatia_ros.train.clip_set import VALIDATION, ClipSet
from spatia_ros.train.clip_shards import shard_path, write_shard
from spatia_ros.train.clip_sources import RUNS_OF_SHARD, Material, shard_runs
from spatia_ros.train.clips import Clip
from spatia_ros.train.run import data_lines, left_out
from spatia_ros.train.scenes import random_scene
from spatia_ros.types import SpatiaError

SMALL = Plan(size=(64, 48), frames=2, references=4, clips=3)
MAGENTA = np.array((255, 0, 255))


class Painter(ProjectionGenerator):
    """Sure of what it invents, all of it magenta."""

    name = "painter"

    def sample(self, told, stream, rng):
        made = super().sample(told, stream, rng)
        for each, plain in zip(made, told, strict=True):
            each.rgb[~plain.view.coverage] = MAGENTA
        return [replace(each, depth_spread=np.zeros_like(each.depth_spread)) for each in made]


@pytest.fixture(scope="module")
def run() -> list[Clip]:
    """A run in which three clips were found."""
    place = Place(random_scene(np.random.default_rng(1), "room"), "room")
    for seed in range(20):
        clips = run_of(place, SMALL, Painter(), np.random.default_rng(seed))
        if len(clips) == 3 and _magenta(clips[-1].views[0].rgb) > 0.2:
            return clips
    raise AssertionError("no world went on past what was seen")


def _magenta(rgb: np.ndarray) -> float:
    return float((np.abs(rgb.astype(int) - MAGENTA).max(-1) < 30).mean())


def test_memory_and_context_show_what_the_world_invented_and_the_truth_does_not(run: list[Clip]) -> None:
    shown = [_magenta(clip.views[0].rgb) for clip in run]
    assert shown[0] < shown[-1], "the farther on, the more is its own"
    for clip in run:
        assert all(_magenta(target.rgb) < 0.01 for target in clip.targets)
        own = [k for k in clip.context if not clip.sights[k].keyframe.sensed.any()]
        assert clip.context[0] in own, "what was made last is given first"
    assert max(_magenta(run[-1].sights[k].keyframe.rgb) for k in run[-1].context) > 0.2
    invented = run[-1].views[0]
    assert (invented.sensed[(np.abs(invented.rgb.astype(int) - MAGENTA).max(-1) < 30)] < 0.5).mean() > 0.9


def test_all_that_was_seen_was_seen_before_and_is_needed(run: list[Clip]) -> None:
    for clip in run:
        assert clip.animation_s is not None
        used = {k for each in (clip.context, *clip.retrieved) for k in each}
        assert max(clip.sights[k].keyframe.stamp_ns for k in used) < clip.targets[0].stamp_ns
        assert np.allclose(clip.animation_s, [t.stamp_ns * 1e-9 for t in clip.targets])
        assert clip.sights is run[0].sights or clip.sights == run[0].sights
    needed = {k for clip in run for each in (clip.context, *clip.retrieved) for k in each}
    assert needed == set(range(len(run[0].sights)))


def test_a_way_turns_aside_evenly_and_stays_near() -> None:
    start = look_at(np.array([1.0, 2.0, 1.5]), np.array([2.0, 2.0, 1.4]), np.array([0.0, 0.0, 1.0]))
    for seed in range(12):
        way = turned(start, np.random.default_rng(seed))
        assert len(way) > 8
        turns = [rotation_error_deg(a[:3, :3], b[:3, :3]) for a, b in zip([start, *way], way, strict=False)]
        assert TURN_DEG[0] * 0.8 < min(turns)
        assert max(turns) < TURN_DEG[1] + 2 * np.degrees(NOD_RAD)
        assert rotation_error_deg(start[:3, :3], way[-1][:3, :3]) < FARTHEST_DEG + 2 * np.degrees(NOD_RAD)
        assert np.abs(way[:, :3, 3] - start[:3, 3]).max() <= SWAY_M
        assert (-way[:, 2, 1] > np.cos(0.11 + NOD_RAD)).all(), "upright"


def test_a_set_says_whose_inventions_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for source in ("onward", "scenes"):
        monkeypatch.setitem(RUNS_OF_SHARD, source, 1)
    clips = Plan(size=(64, 48), frames=2, references=2, clips=1)
    build(tmp_path, SetPlan(shards={"scenes": 1}, clips=clips), show=False)
    build(tmp_path, SetPlan(shards={"scenes": 1, "onward": 1}, clips=clips), show=False)
    assert len(json.loads((tmp_path / "set.json").read_text())["onward_by"]) == 64
    assert set(ClipSet(tmp_path).sources) == {"scenes", "onward"}
    assert made_of(tmp_path)["shards"] == {"scenes": 1, "onward": 1}
    write_shard(shard_path(tmp_path, "timed", 0), [])
    assert made_of(tmp_path)["shards"] == {"scenes": 1, "onward": 1, "timed": 1}, "what is there, not what was asked for"
    shard_path(tmp_path, "timed", 0).unlink()
    said = json.loads((tmp_path / "set.json").read_text())
    (tmp_path / "set.json").write_text(json.dumps(said | {"onward_by": "0" * 64}))
    build(tmp_path, SetPlan(shards={"scenes": 1}, clips=clips), show=False)
    with pytest.raises(SpatiaError, match="set of other generator's worlds"):
        build(tmp_path, SetPlan(shards={"scenes": 1, "onward": 1}, clips=clips), show=False)
    with pytest.raises(SpatiaError, match="engine 'nobody'"):
        build(tmp_path / "b", SetPlan(shards={"onward": 1}, engine="nobody", clips=clips), show=False)


def test_a_world_that_cannot_go_on_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[Clip]:
        raise SpatiaError("scene: no way")

    monkeypatch.setattr(clip_onward, "run_of", fail)
    monkeypatch.setattr(clip_sources, "procedural_place", lambda _: None)
    with pytest.raises(SpatiaError, match="no way"):
        shard_runs("onward", 0, Material(), SMALL, np.random.default_rng(0))


def test_several_sets_are_learned_from_as_one(run: list[Clip], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, source, runs in (
        (first, "scenes", 1), (first, VALIDATION, 1), (second, "onward", 2), (second, "scenes", 1), (second, VALIDATION, 2),
    ):
        write_shard(shard_path(folder, source, 0), [run] * runs)
    both, alone = ClipSet(first, second), ClipSet(first)
    assert {source: len(places) for source, places in both.sources.items()} == {"scenes": 6, "onward": 6}
    assert both.validation.clips == alone.validation.clips, "held out are the first one's"
    assert {both.pick(np.random.default_rng(k)).targets[0].stamp_ns for k in range(40)} == {c.targets[0].stamp_ns for c in run}
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpatiaError, match=r"in .*empty, found none"):
        ClipSet(first, tmp_path / "empty")


def test_a_card_says_what_no_set_was_made_of() -> None:
    """A folder that was named, but of which no shard was made, was not read."""
    nothing = {"recordings": [], "meshes": [], "sequences": [], "without": [], "shards": {"onward": 9}}
    most = nothing | {"recordings": ["icl"], "meshes": ["house"], "shards": {"recordings": 4, "mesh": 3}}
    most |= {"without": ["fr1", "lounge"]}
    beside = nothing | {"recordings": ["fr1", "lounge"], "shards": {"onward": 9, "recordings": 0, "warped": 0, "mesh": 0}}
    assert left_out([most, nothing]) == ("fr1", "lounge")
    assert left_out([most, beside]) == ("fr1", "lounge")
    assert left_out([most, beside | {"shards": {"warped": 1}}]) == ()
    assert data_lines(beside) == ("9 shards: procedural places in which a generator's world had gone on past what was seen",)
