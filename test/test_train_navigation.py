"""Learning to go by pictures alone: the stage's clips are what navigation is told, and its untold branch has no path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_room import room_depth, room_rgb, swaying
from training_stand_ins import TINY, RandomClips

from spatia_ros import geometry
from spatia_ros.generator.navigation import Path as Way
from spatia_ros.generator.navigation import Video, anchor_of, context_of, path_told
from spatia_ros.generator.network import SpaceTimeNet
from spatia_ros.generator.text import tokenise
from spatia_ros.memory import Keyframe
from spatia_ros.train.clip_set import ClipSet
from spatia_ros.train.clip_shards import shard_path, write_shard
from spatia_ros.train.clips import Clip, Sight
from spatia_ros.train.conditions import conditions_of
from spatia_ros.train.example import collate
from spatia_ros.train.feed import ClipBatches
from spatia_ros.train.initial import by_chance
from spatia_ros.train.navigation import NavigationClips, clips_for, navigated, pictures_of
from spatia_ros.train.objectives import Direct, Navigate
from spatia_ros.train.presets import PRESETS, StagePlan
from spatia_ros.train.processes import Processes
from spatia_ros.train.run import RunOptions, RunPlan, run
from spatia_ros.types import Camera, Frame, SpatiaError, View

MODEL = replace(TINY, words=256, phrase=16)
CAMERA = Camera.from_fov(64, 48, 1.2)
STAMPS = (100, 900, 1000, 1100)
"""Of the sights, ms: with a gap."""


def key(stamp_ms: int) -> Keyframe:
    T = swaying(1e-3 * stamp_ms)
    depth = room_depth(T, CAMERA)
    return Keyframe(room_rgb(T, CAMERA), depth, depth > 0, CAMERA, T, stamp_ms * 10**6)


def clip_of(prompt: str = "red room") -> Clip:
    """Two frames of the tiny room of which memory shows the left half, after four sights."""
    targets, views = [], []
    for stamp_ms in (1200, 1300):
        T = swaying(1e-3 * stamp_ms)
        rgb, depth = room_rgb(T, CAMERA), room_depth(T, CAMERA)
        targets.append(Frame(rgb, depth, CAMERA, T, stamp_ms * 10**6))
        shown = np.zeros(depth.shape, bool)
        shown[:, :32] = True
        views.append(View(rgb * shown[..., None], depth * shown, shown, shown.astype(np.float32), 0 * depth))
    sights = tuple(Sight(key(stamp), None) for stamp in STAMPS)
    still = np.zeros((2, 48, 64), bool)
    return Clip(tuple(views), tuple(targets), None, ((0, 1), (1, 2)), (3, 2, 1, 0), sights, prompt, None, still, still)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    folder = tmp_path_factory.mktemp("clips")
    for source in ("scenes", "validation"):
        write_shard(shard_path(folder, source, 0), [[clip_of()]])
    return ClipSet(folder)


@pytest.fixture(scope="module")
def network() -> SpaceTimeNet:
    torch.set_num_threads(1)
    return by_chance(SpaceTimeNet(MODEL), 1)


def test_what_is_learned_from_is_what_navigation_is_told() -> None:
    clip = clip_of("")
    example = navigated(clip, 9, np.random.default_rng(0))
    keys = [s.keyframe for s in clip.sights]
    video = Video(tuple(k.rgb for k in keys), np.array([k.stamp_ns * 1e-9 for k in keys]))
    poses = geometry.inverse(keys[-1].T_world_cam) @ np.stack([t.T_world_cam for t in clip.targets])
    way = Way(CAMERA, poses, np.array([1.2, 1.3]))
    expected, context = path_told(anchor_of(video), way, tokenise("")), context_of(video)
    for name in ("image", "to_view", "memory", "uncovered", "rays", "time", "animation", "tokens"):
        np.testing.assert_array_equal(getattr(example.told, name), getattr(expected, name), err_msg=name)
    for name in ("frames", "rays", "time", "animation"):
        np.testing.assert_array_equal(getattr(example.context, name), getattr(context, name), err_msg=name)
    np.testing.assert_allclose(example.context.time, [0.0, -0.1, -0.2, -1.0], atol=1e-6)
    rgb = example.colour[0].transpose(1, 2, 0) * example.scale[0] + example.told.views[0].colour_mean
    np.testing.assert_allclose(rgb * 255, clip.targets[0].rgb, atol=0.01)


def test_pictures_are_the_last_and_others_from_anywhere_before() -> None:
    gaps = [navigated(clip_of(), 2, np.random.default_rng(seed)).context.time for seed in range(30)]
    assert {time[0] for time in gaps} == {0.0}
    assert {round(float(time[1]), 1) for time in gaps} == {-0.1, -0.2, -1.0}
    told = [navigated(clip_of(), 1, np.random.default_rng(seed)) for seed in range(30)]
    assert {len(each.context) for each in told} == {1}
    assert 5 < sum(bool(each.told.tokens.any()) for each in told) < 25, "the prompt is told now and then"


def test_what_moves_or_has_holes_is_no_place_to_navigate() -> None:
    clip = clip_of()
    crowded = replace(clip, moving=~clip.moving)
    assert pictures_of(crowded) == []
    torn = tuple(Sight(replace(s.keyframe, masked=s.keyframe.depth > 2), None) for s in clip.sights[1:])
    assert pictures_of(replace(clip, sights=(*clip.sights[:1], *torn))) == [clip.sights[0]]
    with pytest.raises(SpatiaError, match="expected a clip of a still scene with whole pictures"):
        navigated(crowded, 4, np.random.default_rng(0))


def test_the_stage_draws_navigated_clips_and_ordinary_ones(clips: ClipSet) -> None:
    stage = clips_for("navigate", clips)
    assert isinstance(stage, NavigationClips)
    assert clips_for("tune", clips) is clips
    drawn = [stage.draw(np.random.default_rng(seed), 2, 3) for seed in range(24)]
    assert {len(each.context) for each in drawn} == {3}
    from_memory = sum(bool(each.told.memory.any()) for each in drawn)
    assert 1 <= from_memory <= 14
    again = stage.draw(np.random.default_rng(7), 2, 3)
    np.testing.assert_array_equal(again.truth, drawn[7].truth)
    assert len(stage.validation) == 1
    assert not stage.validation[0].told.memory.any()
    with pytest.raises(SpatiaError, match="expected a set of clips on disk, got RandomClips"):
        clips_for("navigate", RandomClips())


def test_a_memory_of_nothing_has_latents_of_nothing(network: SpaceTimeNet) -> None:
    told = navigated(clip_of(), 2, np.random.default_rng(0))
    with torch.no_grad():
        conditions = conditions_of(network, collate([told]))
    assert not conditions.memory.any()
    assert conditions.context.any()
    assert not conditions.context_rays.any()


def test_the_untold_branch_has_no_path(network: SpaceTimeNet) -> None:
    noise = lambda: torch.Generator().manual_seed(0)  # noqa: E731
    navigate, direct = (kind(network).left_out(2000, noise()) for kind in (Navigate, Direct))
    assert bool(navigate.rays[navigate.guidance].all())
    assert not bool(direct.rays[direct.guidance].all())
    assert torch.equal(navigate.rays[~navigate.guidance], direct.rays[~direct.guidance])
    assert torch.equal(navigate.references, direct.references)


def test_a_short_run_teaches_the_colours_of_a_place(clips: ClipSet, tmp_path: Path) -> None:
    stages = (("navigate", StagePlan(12, 2, 2, 3, 6e-3, warmup=2, average_decay=0.5)),)
    plan = RunPlan("tiny", "nano", MODEL.as_dict(), stages, None, ("the tiny room",), (), 0, False, "spatia train")
    trained = run(plan, RunOptions(tmp_path, report_every=12), clips, Processes())
    assert trained is not None
    row = (tmp_path / "log.jsonl").read_text()
    assert '"stage": "navigate"' in row
    stage = StagePlan(1, 4, 2, 3, 1e-3)
    batch, noise = ClipBatches(clips_for("navigate", clips)).batch((5,), stage), torch.Generator()
    with torch.no_grad():
        before, after = (
            float(Navigate(net)(batch, noise.manual_seed(3))[0]) for net in (by_chance(SpaceTimeNet(MODEL), 0), trained)
        )
    assert after < before - 0.05


def test_every_size_has_numbers_for_it() -> None:
    for preset in PRESETS.values():
        assert preset.stages["navigate"].context == 9
