"""Training clips: what is in them, and how they are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from spatia_ros.geometry import look_at
from spatia_ros.memory.keyframes import SILENT
from spatia_ros.sequence import write_tum
from spatia_ros.train.clip_augment import behind_movers, forgotten, mirrored, random_region, recoloured
from spatia_ros.train.clip_build import SetPlan, build
from spatia_ros.train.clip_recordings import warped
from spatia_ros.train.clip_scenes import Place, Plan, run_of
from spatia_ros.train.clip_shards import clips_in, read_clip, shard_path, write_shard
from spatia_ros.train.clip_sources import RUNS_OF_SHARD, Material, frames_of, needing, shard_runs
from spatia_ros.train.clips import Clip
from spatia_ros.train.scene_actors import TAU_S
from spatia_ros.train.scenes import random_scene
from spatia_ros.train.time_warp import WARPS, random_warp, warp
from spatia_ros.types import Camera, Frame, SpatiaError

SMALL = Plan(size=(64, 48), frames=2, references=4, clips=2)


@pytest.fixture(scope="module")
def run() -> list[Clip]:
    """A run in a room in which something moves."""
    place = Place(random_scene(np.random.default_rng(1), "room"), "room")
    for seed in range(20):
        clips = run_of(place, Plan(size=(64, 48), frames=2, references=4, clips=3), np.random.default_rng(seed))
        if len(clips) == 3 and any(s.moving > 0.02 for s in clips[0].sights) and any(c.boxes is not None for c in clips):
            return clips
    raise AssertionError("no run shows anything that moves")


def test_time_warps_have_known_answers() -> None:
    assert warp("forward", 0.5, 1.0, 3) == pytest.approx([0.5, 1.0, 1.5])
    assert warp("reverse", 0.5, 1.0, 3) == pytest.approx([1.5, 1.0, 0.5])
    assert warp("zigzag", 0.0, 1.0, 5) == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])
    assert warp("freeze", 1.0, 1.0, 4) == pytest.approx([1.5] * 4)
    assert warp("accelerate", 0.0, 1.0, 3) == pytest.approx([0.0, 0.25, 1.0])
    assert warp("slow segment", 0.0, 1.0, 5) == pytest.approx([0.0, 0.25, 0.5, 0.5625, 0.625])
    assert warp("ramp then freeze", 0.0, 1.0, 5) == pytest.approx([0.0, 0.5, 1.0, 1.0, 1.0])
    assert warp("forward", TAU_S, 5.0, 2) == pytest.approx([TAU_S] * 2)
    assert {random_warp(np.random.default_rng(s), 4)[0] for s in range(80)} == set(WARPS)
    with pytest.raises(SpatiaError, match="warp: expected one of"):
        warp("sideways", 0.0, 1.0, 3)


def test_what_moves_is_in_truth_and_context_but_not_in_memory(run: list[Clip]) -> None:
    clip = next(c for c in run if c.boxes is not None)
    for sight in clip.sights:
        if sight.moving > 0.02:
            assert sight.keyframe.masked is None, "shown, at its time"
            assert (sight.keyframe.depth[sight.moves] > 0).mean() > 0.1, "and measured, where the sensor can: it is somewhere"
            assert (sight.lends.surface_m[sight.moves] == SILENT).all(), "memory has none of it"
    for view, target, moving in zip(clip.views, clip.targets, clip.moving, strict=True):
        both = moving & view.coverage & (target.depth > 0)
        # What stands still lies behind what moves: memory shows that, and never what moves itself.
        assert not both.any() or (view.depth[both] > target.depth[both] - 0.15).mean() > 0.95
    assert clip.prompt.split()[2] == "room"
    assert len(set(clip.context)) == len(clip.context) <= 6
    assert all(s.keyframe.stamp_ns < clip.targets[0].stamp_ns for s in clip.sights)


def test_a_shard_gives_back_what_was_put_in(run: list[Clip], tmp_path: Path) -> None:
    path = shard_path(tmp_path, "scenes", 3)
    write_shard(path, [run, run[:1]])
    first = path.read_bytes()
    write_shard(path, [run, run[:1]])
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]
    assert clips_in(path) == [(0, 0), (0, 1), (0, 2), (1, 0)]
    for k, clip in enumerate(run):
        got = read_clip(path, 0, k)
        for mine, theirs in zip(clip.views, got.views, strict=True):
            assert np.array_equal(mine.rgb, theirs.rgb)
            assert np.array_equal(mine.coverage, theirs.coverage)
            assert np.allclose(mine.depth, theirs.depth, rtol=1e-3)
            assert np.abs(mine.sensed - theirs.sensed).max() < 0.003
            assert np.abs(np.minimum(mine.age_s, 25.5) - theirs.age_s).max() < 0.11
            assert (mine.doubted is None) == (theirs.doubted is None)
            if mine.doubted is not None:
                assert np.array_equal(mine.doubted.rgb, theirs.doubted.rgb)
                assert np.allclose(mine.doubted.depth, theirs.doubted.depth, rtol=1e-3)
        for true, read in zip(clip.targets, got.targets, strict=True):
            assert np.array_equal(true.rgb, read.rgb)
            assert np.array_equal(true.T_world_cam, read.T_world_cam)
            assert true.camera == read.camera
            assert true.stamp_ns == read.stamp_ns
        assert np.array_equal(clip.animation_s, got.animation_s)
        assert clip.prompt == got.prompt
        assert np.array_equal(clip.moving, got.moving)
        assert np.array_equal(clip.swept, got.swept)
        assert (clip.boxes is None) == (got.boxes is None)
        if clip.boxes is not None:
            assert np.array_equal(clip.boxes, got.boxes, equal_nan=True)
        for mine, theirs in zip(clip.context, got.context, strict=True):
            assert np.array_equal(clip.sights[mine].keyframe.rgb, got.sights[theirs].keyframe.rgb)
            assert clip.sights[mine].animation_s == got.sights[theirs].animation_s
            assert np.array_equal(clip.sights[mine].lends.surface_m > 0, got.sights[theirs].lends.surface_m > 0)
        stamps = [[clip.sights[n].keyframe.stamp_ns for n in each] for each in clip.retrieved]
        assert stamps == [[got.sights[n].keyframe.stamp_ns for n in each] for each in got.retrieved]


def test_a_part_of_a_clip_is_read_alone(run: list[Clip], tmp_path: Path) -> None:
    path = shard_path(tmp_path, "scenes", 0)
    write_shard(path, [run])
    whole, part = read_clip(path, 0, 1), read_clip(path, 0, 1, 1, 1)
    assert (len(part), len(part.retrieved), len(part.context), part.moving.shape[0]) == (1, 1, 1, 1)
    assert np.array_equal(part.targets[0].rgb, whole.targets[0].rgb)
    assert len(part.sights) == len({*part.retrieved[0], part.context[0]})
    assert np.array_equal(part.sights[part.context[0]].keyframe.rgb, whole.sights[whole.context[0]].keyframe.rgb)


def test_what_is_no_shard_is_refused(run: list[Clip], tmp_path: Path) -> None:
    path = shard_path(tmp_path, "scenes", 0)
    path.write_bytes(b"PK nonsense")
    with pytest.raises(SpatiaError, match="not a shard"):
        clips_in(path)
    with pytest.raises(SpatiaError, match="not a shard"):
        read_clip(shard_path(tmp_path, "scenes", 1), 0, 0)
    write_shard(path, [run])
    with pytest.raises(SpatiaError, match="cannot be read"):
        read_clip(path, 0, 7)
    with ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    parts["r0/c0.truth_rgb.png"] = b"not a picture"
    with ZipFile(path, "w") as broken:
        for name, data in parts.items():
            broken.writestr(name, data)
    with pytest.raises(SpatiaError, match="truth_rgb is not a picture"):
        read_clip(path, 0, 0)


def test_a_clip_mirrored_twice_is_itself(run: list[Clip]) -> None:
    clip = next(c for c in run if c.boxes is not None)
    once, twice = mirrored(clip), mirrored(mirrored(clip))
    assert not np.array_equal(once.targets[0].rgb, clip.targets[0].rgb)
    for mine, theirs in zip(clip.targets, twice.targets, strict=True):
        assert np.array_equal(mine.rgb, theirs.rgb)
        assert np.allclose(mine.T_world_cam, theirs.T_world_cam)
        assert mine.camera.cx == pytest.approx(theirs.camera.cx)
    assert np.allclose(clip.boxes, twice.boxes, equal_nan=True)
    for mine, other, theirs in zip(clip.views, once.views, twice.views, strict=True):
        if mine.doubted is not None:
            assert np.array_equal(mine.doubted.depth[:, ::-1], other.doubted.depth)
            assert np.array_equal(mine.doubted.rgb, theirs.doubted.rgb)
    for box, moving in zip(once.boxes, once.moving, strict=True):
        if np.isfinite(box).all():
            left, top, right, bottom = box.astype(int)
            assert moving[top:bottom, left:right].any()


def test_recolouring_changes_all_pictures_alike(run: list[Clip]) -> None:
    clip = run[0]
    other = recoloured(clip, np.random.default_rng(3))
    mine, theirs = clip.targets[0].rgb.reshape(-1, 3), other.targets[0].rgb.reshape(-1, 3)
    table = {tuple(a): tuple(b) for a, b in zip(mine, theirs, strict=True)}
    same = [(tuple(a), tuple(b)) for a, b in zip(
        clip.views[0].rgb[clip.views[0].coverage], other.views[0].rgb[clip.views[0].coverage], strict=True)]
    assert all(table[a] == b for a, b in same if a in table)
    assert not other.views[0].rgb[~clip.views[0].coverage].any()


def _doubted(clip: Clip) -> int:
    return sum(int(view.doubted.there.sum()) for view in clip.views if view.doubted is not None)


@pytest.mark.parametrize("how", ["shown", "lent", "everywhere"])
def test_forgetting_is_a_part_of_space(run: list[Clip], how: str) -> None:
    clip = max(run, key=lambda c: c.coverage)
    for seed in range(30):
        less, unlent = forgotten(clip, random_region(clip, np.random.default_rng(seed)), how)
        if less.coverage < 0.8 * clip.coverage:
            break
    assert less.coverage < 0.8 * clip.coverage
    assert _doubted(less) < _doubted(clip), "what was doubted to be in sight is forgotten as well"
    for before, after in zip(clip.views, less.views, strict=True):
        gone = before.coverage & ~after.coverage
        assert not after.rgb[gone].any()
        assert not after.age_s[gone].any()
        assert not (after.coverage & ~before.coverage).any()
    assert (unlent is None) == (how == "shown")
    if unlent is not None:
        assert np.array_equal(unlent[0], clip.views[0].coverage & ~less.views[0].coverage)
    hidden = sum(s.keyframe.masked is not None and s.keyframe.masked.any() for s in less.sights)
    assert (hidden > 0) == (how == "everywhere")


def test_what_something_that_moves_hides_can_be_forgotten(run: list[Clip]) -> None:
    clip = max(run, key=lambda c: float((c.moving & np.stack([v.coverage for v in c.views])).mean()))
    known = np.stack([v.coverage for v in clip.views])
    assert (known & clip.moving).mean() > 0.005, "memory knows what is behind it"
    for seed in range(4):
        less, gone = forgotten(clip, behind_movers(clip, np.random.default_rng(seed)), "lent")
        left = np.stack([v.coverage for v in less.views])
        assert gone is not None
        assert (left & clip.moving).sum() < 0.02 * (known & clip.moving).sum(), "what it hides"
        halo = cv2.dilate(clip.swept.any(0).astype(np.uint8), np.ones((103, 103), np.uint8)).astype(bool)
        assert left.sum() > 0.1 * known.sum(), "and no more than round it"
        assert np.array_equal((known & ~left).any(0) & ~halo, np.zeros_like(halo))
        for before, after in zip(clip.sights, less.sights, strict=True):
            assert before is after, "what sights show stays"


def test_warping_forward_and_back_leaves_what_the_other_camera_sees() -> None:
    camera = Camera.from_fov(64, 48, 1.2)
    depth = np.full((48, 64), 3.0, np.float32)
    depth[12:36, 24:40] = 1.5  # something before a wall
    rgb = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    T = look_at(np.zeros(3), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    frames = [Frame(rgb, depth, camera, T, 100_000_000 * (k + 1)) for k in range(2)]
    clips = [clip for seed in range(8) for clip in warped(frames, SMALL, "room", np.random.default_rng(seed))]
    assert clips
    for clip in clips:
        assert clip.animation_s is None
        assert np.array_equal(clip.targets[0].rgb, rgb)
        view = clip.views[0]
        assert 0.05 < view.coverage.mean() < 0.99
        flat = view.coverage & (abs(view.depth - 3.0) < 0.1) | view.coverage & (abs(view.depth - 1.5) < 0.1)
        assert flat.sum() > 0.9 * view.coverage.sum()
        key = clip.sights[0].keyframe
        assert key.masked is not None
        assert np.array_equal(key.masked, key.depth == 0)


def test_building_resumes_and_comes_out_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNS_OF_SHARD, "scenes", 1)
    plan = SetPlan(shards={"scenes": 2}, seed=5, clips=Plan(size=(48, 32), frames=2, references=2, clips=1))
    build(tmp_path / "a", plan, show=False)
    shards = sorted((tmp_path / "a").glob("*.zip"))
    before = [path.read_bytes() for path in shards]
    assert len(before) == 2
    assert before[0] != before[1]
    shards[1].unlink()
    build(tmp_path / "a", plan, show=False)
    assert [path.read_bytes() for path in shards] == before
    with pytest.raises(SpatiaError, match="set of other seed"):
        build(tmp_path / "a", SetPlan(shards={"scenes": 2}, seed=6, clips=plan.clips), show=False)


def test_what_is_left_out_is_never_read(tmp_path: Path) -> None:
    for name in ("good", "secret"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "camera.yaml").write_text("")
        (tmp_path / "data" / name / "mesh.glb").write_text("")
    found = Material.found(tmp_path / "data", ["secret"])
    assert [p.name for p in found.recordings] == ["good"]
    assert [p.parent.name for p in found.meshes] == ["good"]
    build(tmp_path / "set", SetPlan(tmp_path / "data", ("secret",), shards={"scenes": 0}), show=False)
    said = (tmp_path / "set" / "set.json").read_text()
    assert '"without": [\n  "secret"\n ]' in said
    assert '"recordings": [\n  "good"\n ]' in said
    with pytest.raises(SpatiaError, match="to leave out, got nowhere"):
        build(tmp_path / "other", SetPlan(tmp_path / "data", ("nowhere",), shards={"scenes": 0}), show=False)


def test_recordings_give_neighbours_of_their_first_half_and_whole_sequences(tmp_path: Path) -> None:
    camera, rng = Camera.from_fov(64, 48, 1.2), np.random.default_rng(0)
    rgb, depth = rng.integers(0, 255, (48, 64, 3), np.uint8), np.full((48, 64), 2.0, np.float32)
    way = [look_at(np.array([0.08 * k, 0.0, 0.0]), np.array([0.08 * k, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])) for k in range(24)]
    frames = [Frame(rgb, depth, camera, T, 100_000_000 * (k + 1)) for k, T in enumerate(way)]
    folder = write_tum(frames, tmp_path / "wall")
    assert len(frames_of(folder, (64, 48), 1)) == 24
    assert [f.stamp_ns for f in frames_of(folder, (64, 48), 2)] == [f.stamp_ns for f in frames[:12]]
    for material in (Material(recordings=(folder,)), Material(sequences=(folder,))):
        clips = [clip for run in shard_runs("recordings", 0, material, SMALL, np.random.default_rng(0)) for clip in run]
        assert clips
        for clip in clips:
            assert clip.animation_s is None
            assert clip.prompt == ""
            places = {round(t.T_world_cam[0, 3] / 0.08) for t in clip.targets}
            assert not places & {round(s.keyframe.T_world_cam[0, 3] / 0.08) for s in clip.sights}
            assert max(places) < (12 if material.recordings else 24)


def test_sizes_that_do_not_fit_latents_are_refused() -> None:
    with pytest.raises(SpatiaError, match="expected a size that 16 divides, got 60x48"):
        Plan(size=(60, 48))
    with pytest.raises(SpatiaError, match=r"expected 1\.\.16 frames, got 17"):
        Plan(frames=17)


def test_held_out_clips_need_what_they_are_named_after() -> None:
    plan = Plan(size=(48, 32), frames=2, references=2, clips=4)
    ((only, *_),) = shard_runs("check-references", 0, Material(), plan, np.random.default_rng(2))
    assert only.coverage < 0.8
    assert not any(only.retrieved)
    assert only.context
    assert only.moving.mean() < 0.01
    assert needing("animation", only, np.random.default_rng(0)) is None


def test_animation_time_is_needed_where_one_sight_shows_the_time_asked_for_and_another_does_not() -> None:
    plan = Plan(size=(48, 32), frames=2, references=2, clips=4)
    ((clip, *_),) = shard_runs("check-animation", 0, Material(), plan, np.random.default_rng(1))
    assert clip.animation_s is not None
    showing = [k for k in clip.context if clip.sights[k].moving > 0.005]
    apart = [min(abs(clip.sights[k].animation_s - clip.animation_s)) for k in showing]
    assert min(apart) < 0.1
    assert max(apart) > 0.4
    assert clip.moving.mean() > 0.04
    known = np.stack([view.coverage for view in clip.views])
    assert (known & clip.moving).sum() < 0.02 * clip.moving.sum(), "memory does not tell what is there"
    assert (known & clip.swept).sum() < 0.02 * clip.swept.sum(), "nor is its outline told by what memory knows round it"
    assert clip.swept.mean() >= 1.5 * clip.moving.mean(), "it is elsewhere at other times"
    assert not any(clip.retrieved), "nor does recall"

    def with_times(of: float) -> Clip:
        at = float(clip.animation_s[0])
        sights = tuple(replace(s, animation_s=at + of) if k in showing else s for k, s in enumerate(clip.sights))
        return replace(clip, sights=sights)

    assert needing("animation", clip, np.random.default_rng(0)) is not None
    assert needing("animation", with_times(0.0), np.random.default_rng(0)) is None, "every sight shows the time asked for"
    assert needing("animation", with_times(1.9), np.random.default_rng(0)) is None, "none does"
    assert needing("animation", replace(clip, animation_s=None), np.random.default_rng(0)) is None


def test_clips_often_show_the_very_times_that_sights_show() -> None:
    """As when a recording is retimed: the same moment from another camera (bullet time)."""
    place, same = Place(random_scene(np.random.default_rng(1), "room"), "room"), []
    plan = Plan(size=(48, 32), frames=2, references=2, clips=4)
    for seed in range(10):
        for clip in run_of(place, plan, np.random.default_rng(seed)):
            shown = [s.animation_s for s in clip.sights if s.moving > 0.005]
            if shown:
                same.append(all(min(abs(np.array(shown) - t)) < 1e-9 for t in clip.animation_s))
    assert len(same) > 12
    assert 0.2 < np.mean(same) < 0.8
