"""Folding whole frames: the same map as pixel by pixel, whatever the number of threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory, fold, fuse, overlap, truth
from spatia_ros.memory.blocks import N_BLOCKS, N_POINTS, POOL_TOP, live_places
from spatia_ros.memory.keyframes import Samples, intrinsics_of, shown_in_each
from spatia_ros.memory.overlap import ball_around, may_see, nearest_first, shown_by_any
from spatia_ros.types import Camera, Frame

CAMERA = Camera.from_fov(97, 61, np.radians(65))
SHAPE = (CAMERA.height, CAMERA.width)
INTRINSICS = intrinsics_of(CAMERA)
LIMITS = np.array([0.1, 8.0, 0.06], np.float32)
VOXEL = 0.03
NO_FEATURES = np.empty((0, 0), np.uint16)


def random_frame(seed: int) -> Frame:
    """A wavy surface with a box before it, holes, and pixels out of range, seen from somewhere."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / SHAPE[0]
    depth = 2.0 + 0.3 * np.sin(3 * x + rng.uniform(0, 6)) + 0.2 * np.cos(4 * y + rng.uniform(0, 6))
    depth[10:25, 20:40] = 1.2
    depth[rng.random(SHAPE) < 0.03] = 0.0
    depth[40:45, 60:70] = 9.0
    eye = rng.normal(0, 0.3, 3)
    T = geometry.look_at(eye, eye + [*rng.normal(0, 0.2, 2), 1.0], np.array([0.0, -1.0, 0.0]))
    return Frame(rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8), depth.astype(np.float32), CAMERA, T, seed)


def fold_into(memory: Memory, frame: Frame, threads: int, label: np.ndarray | None = None, sensed: bool = True) -> np.ndarray:
    accept = np.random.default_rng(frame.stamp_ns).random(SHAPE) < 0.95
    return fold.fold(
        memory.store, frame.depth, accept, frame.rgb, INTRINSICS, frame.T_world_cam, VOXEL, LIMITS, frame.stamp_ns, sensed,
        1.0 if sensed else 0.5, memory.config.max_weight, threads, label, NO_FEATURES,
    )


def merge_into(memory: Memory, frame: Frame, label: np.ndarray | None = None, sensed: bool = True) -> dict[str, int]:
    accept = np.random.default_rng(frame.stamp_ns).random(SHAPE) < 0.95
    xyz, key, voxel = fuse.locate(frame.depth, accept, INTRINSICS, frame.T_world_cam, VOXEL, *LIMITS.tolist())
    return memory.merge_located(
        xyz.reshape(-1, 3), frame.rgb.reshape(-1, 3), key.ravel(), voxel.ravel(), np.array([frame.stamp_ns], np.int32),
        np.array([sensed]), np.array([1.0 if sensed else 0.5], np.float32),
        np.zeros(1, np.uint16) if label is None else label.ravel(), NO_FEATURES,
    )


def test_a_frame_folds_as_its_pixels_merge() -> None:
    folded, merged = (Memory(MemoryConfig(voxel_m=VOXEL, max_weight=1e4)) for _ in range(2))
    label = np.random.default_rng(0).integers(0, 2, SHAPE).astype(np.uint16) * 5
    for seed, sensed, labels in ((0, False, None), (1, True, label), (2, True, None), (3, False, None)):
        frame = random_frame(seed)
        counts = fold_into(folded, frame, 2, labels, sensed)
        assert fuse.by_name(counts) == merge_into(merged, frame, labels, sensed)
        assert counts.sum() == counts[:4].sum() > 1000
    a, b = folded.store.blocks, merged.store.blocks
    at, to = live_places(a), live_places(b)
    keys = [np.stack(fuse.locate_points(memory.points().xyz, VOXEL), -1) for memory in (folded, merged)]
    at, to = at[np.lexsort(keys[0].T)], to[np.lexsort(keys[1].T)]
    assert len(at) == len(to) > 1000
    np.testing.assert_allclose(a.xyz[at], b.xyz[to], atol=2e-6)
    np.testing.assert_allclose(a.rgb[at], b.rgb[to], atol=2e-2)
    np.testing.assert_allclose(a.weight[at], b.weight[to], rtol=1e-6)
    for name in ("seen_ms", "sensed", "voxel"):
        np.testing.assert_array_equal(getattr(a, name)[at], getattr(b, name)[to])
    # Of a voxel's pixels the last that has a label rules; last means another one where a voxel spans several rows.
    np.testing.assert_array_equal(a.label[at] > 0, b.label[to] > 0)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    memories = [Memory(MemoryConfig(voxel_m=VOXEL)) for _ in range(2)]
    for seed in range(3):
        for memory, shared in zip(memories, (2, threads), strict=True):
            fold_into(memory, random_frame(seed), shared)
    for one, other in zip(memories[0].points(), memories[1].points(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_tables_agree_after_any_mixture_of_frames() -> None:
    rng = np.random.default_rng(5)
    memory = Memory(MemoryConfig(voxel_m=VOXEL, keyframes=4))
    for seed in range(24):
        memory.integrate(random_frame(seed % 9), sensed=bool(rng.random() < 0.7), mask=rng.random(SHAPE) < 0.9)
        b = memory.store.blocks
        n, at = b.counts[N_BLOCKS], live_places(b)
        assert b.size[:n].sum() == b.counts[N_POINTS] == len(memory)
        assert len(np.unique(at)) == len(at)
        assert 0 <= at.min() <= at.max() < b.counts[POOL_TOP]
        assert np.isfinite(b.xyz[at]).all()
        assert (b.weight[at] > 0).all()
        key, voxel = fuse.locate_points(b.xyz[at], VOXEL)
        # Running means may round over a voxel's border.
        assert ((key != np.repeat(b.key[:n], b.size[:n])) | (voxel != b.voxel[at])).mean() < 1e-3
        place_in_run = np.concatenate([np.arange(size) for size in b.size[:n]])
        assert (b.voxel_place[np.repeat(np.arange(n), b.size[:n]), b.voxel[at]] == place_in_run).all()


def test_the_point_cap_counts_pixels_and_far_points_are_out_of_reach() -> None:
    memory, frame = Memory(MemoryConfig(voxel_m=VOXEL, max_points=1000)), random_frame(0)
    everything = fold_into(Memory(MemoryConfig(voxel_m=VOXEL)), frame, 2)
    counts = fuse.by_name(fold_into(memory, frame, 2))
    assert len(memory) == counts["added"] == 1000
    assert counts["refused"] > 0
    assert sum(counts.values()) == everything.sum()
    away = frame.T_world_cam.copy()
    away[:3, 3] += 1e9
    far = fold_into(memory, Frame(frame.rgb, frame.depth, CAMERA, away, 0), 2)
    assert fuse.by_name(far)["out_of_reach"] == far.sum() == everything.sum()


def test_features_fold_to_the_mean_of_a_voxels_pixels() -> None:
    memory, frame = Memory(MemoryConfig(voxel_m=0.1, feature_channels=2, max_weight=1e4, fill_thin_px=0)), random_frame(1)
    features = np.random.default_rng(2).normal(0, 1, (*SHAPE, 2)).astype(np.float16)
    memory.integrate(frame, features=features)
    memory.integrate(frame, features=features)
    xyz, key, _ = fuse.locate(frame.depth, np.ones(SHAPE, bool), INTRINSICS, frame.T_world_cam, 0.1, 0.1, 8.0, 0.06)
    fit = key >= 0
    seen = torch.from_numpy(xyz[fit]), torch.from_numpy(features[fit].astype(np.float64))
    voxels, mean_xyz, mean_features, count = truth.fuse(*seen, 0.1)
    points = memory.points()
    order = np.lexsort(np.floor(points.xyz.astype(np.float64) / 0.1).astype(int).T[::-1])
    assert len(voxels) == len(points.xyz) > 100
    np.testing.assert_allclose(points.xyz[order], mean_xyz.numpy(), atol=2e-5)
    np.testing.assert_allclose(points.confidence[order], 2 * count.numpy())
    np.testing.assert_allclose(points.features[order].astype(np.float64), mean_features.numpy(), atol=4e-3)


@pytest.mark.parametrize("seed", range(4))
def test_asking_the_likely_keyframes_first_finds_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [random_frame(100 * seed + i) for i in range(8)]
    turned = []
    for frame in frames:
        about = geometry.look_at(np.zeros(3), rng.normal(0, 1, 3), np.array([0.0, -1.0, 0.1]))
        turned.append(Samples.of(frame.depth, CAMERA, about @ frame.T_world_cam))
    news = turned.pop()
    grids, K, T = (np.stack([getattr(s, name) for s in turned]) for name in ("grid", "intrinsics", "T_cam_world"))
    likely = may_see(*ball_around(news.points, news.reach), K, T, *grids.shape[1:])
    every = shown_in_each(news.points[None], news.reach[None], grids, K, T, 0.3, 1.5)
    plain = truth.shown(*(torch.from_numpy(array) for array in (news.points, news.reach, grids, K, T)), 0.3, 1.5)
    np.testing.assert_array_equal(every, plain.numpy())
    assert not every[~likely].any()
    order = nearest_first(likely, np.zeros(3), T)
    np.testing.assert_array_equal(shown_by_any(news.points, news.reach, grids, K, T, order, 0.3, 1.5), every.any(0))


def test_ranking_the_neighbourhood_is_ranking_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    memory = Memory(MemoryConfig(voxel_m=VOXEL, keyframe_gain=0.0))
    for seed in range(12):
        about = geometry.look_at(np.zeros(3), rng.normal(0, 1, 3), np.array([0.0, -1.0, 0.1]))
        frame = random_frame(seed)
        memory.integrate(Frame(frame.rgb, frame.depth, CAMERA, about @ frame.T_world_cam, seed))
    poses = [key.T_world_cam @ geometry.look_at(np.zeros(3), np.array([0.3, 0.1, 1.0]), np.array([0.0, -1.0, 0.0]))
             for key in memory.keyframes.keyframes]
    views = [memory.render(CAMERA, T, 0) for T in poses]
    some = [memory.keyframes.overlap(view.depth, CAMERA, T) for view, T in zip(views, poses, strict=True)]
    monkeypatch.setattr(overlap, "may_see", lambda *given: np.ones(len(given[2]), bool))
    for view, T, shared in zip(views, poses, some, strict=True):
        every = memory.keyframes.overlap(view.depth, CAMERA, T)
        np.testing.assert_array_equal(every.iou, shared.iou)
        np.testing.assert_array_equal(every.shown, shared.shown)
        by, of_all = (memory.keyframes.drawing(overlap, T, 4) for overlap in (shared, every))
        assert [id(k) for k in by] == [id(k) for k in of_all]
    assert 0.1 < np.mean([shared.iou == 0 for shared in some]) < 0.95


def test_samples_are_pixels_of_the_image_where_they_lie_in_space() -> None:
    frame = random_frame(0)
    samples = Samples.of(frame.depth, CAMERA, frame.T_world_cam, frame.depth + 1.0)
    rows, cols = samples.grid.shape
    v, u = ((np.arange(n) + 0.5) * size / n for n, size in ((rows, CAMERA.height), (cols, CAMERA.width)))
    at = np.ix_(v.astype(int), u.astype(int))
    assert (samples.grid == 0).any()
    np.testing.assert_array_equal(samples.grid, frame.depth[at])
    np.testing.assert_array_equal(samples.empty, samples.grid + 1.0)
    np.testing.assert_array_equal(samples.reach, samples.grid.ravel())
    places, known = geometry.backproject(frame.depth, CAMERA, frame.T_world_cam)
    image = np.full((*known.shape, 3), frame.T_world_cam[:3, 3])  # what has no depth lies at the camera
    image[known] = places
    np.testing.assert_allclose(samples.points, image[at].reshape(-1, 3), atol=1e-12)
    coarse = CAMERA.resized(cols, rows)
    np.testing.assert_allclose(samples.intrinsics, [coarse.fx, coarse.fy, coarse.cx, coarse.cy])


def test_fields_of_view_that_a_ball_touches() -> None:
    """The planes of a camera's field of view, asked one by one, against a ball of points."""
    rng, eye = np.random.default_rng(5), np.array([[32.0, 30.0, 20.0, 12.0]])
    for _ in range(200):
        centre, radius = rng.normal(0.0, 3.0, 3), rng.uniform(0.05, 1.0)
        around = rng.normal(size=(4000, 3))
        points = centre + radius * around / np.linalg.norm(around, axis=1)[:, None] * rng.uniform(0, 1, (4000, 1)) ** (1 / 3)
        z = points[:, 2]
        u, v = 32.0 * points[:, 0] / z + 20.0, 30.0 * points[:, 1] / z + 12.0
        seen = ((z > 0) & (u >= 0) & (u < 40) & (v >= 0) & (v < 24)).any()
        touched = overlap.may_see(centre, radius, eye, np.eye(4)[None], 24, 40)[0]
        assert touched or not seen
    assert not overlap.may_see(np.array([0.0, 0.0, -3.0]), 0.5, eye, np.eye(4)[None], 24, 40).any()
    assert not overlap.may_see(np.array([9.0, 0.0, 2.0]), 0.5, eye, np.eye(4)[None], 24, 40).any()
    assert not overlap.may_see(np.zeros(3), -1.0, eye, np.eye(4)[None], 24, 40).any()


def test_counting_what_is_shown_is_asking_each() -> None:
    frames = [random_frame(seed) for seed in range(4)]
    samples = [Samples.of(frame.depth, CAMERA, frame.T_world_cam) for frame in frames]
    view, keys = samples[0], samples[1:]
    points, reach, grids, K, T = (
        np.stack([getattr(s, name) for s in keys]) for name in ("points", "reach", "grid", "intrinsics", "T_cam_world")
    )
    which = np.array([2, 0])
    by = overlap.count_shown_by(view.points, view.reach, which, grids, K, T, 0.06)
    expected = shown_in_each(view.points[None], view.reach[None], grids, K, T, 0.06, np.inf).sum(1)[which]
    np.testing.assert_array_equal(by, expected)
    of = overlap.count_shown_of(which, points, reach, view.grid, view.intrinsics, view.T_cam_world, 0.06)
    mine = (view.grid[None], view.intrinsics[None], view.T_cam_world[None])
    np.testing.assert_array_equal(of, [shown_in_each(points[k][None], reach[k][None], *mine, 0.06, np.inf).sum() for k in which])
    assert by.min() > 0
    assert of.min() > 0


def test_a_ranking_is_remembered_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, frame = Memory(MemoryConfig(voxel_m=VOXEL, keyframe_gain=0.0)), random_frame(0)
    memory.integrate(frame)
    view, ranked = memory.render(CAMERA, frame.T_world_cam, 0), []
    rank = memory.keyframes.rank
    monkeypatch.setattr(memory.keyframes, "rank", lambda *asked: ranked.append(1) or rank(*asked))
    for _ in range(3):
        assert len(memory.retrieve(view, CAMERA, frame.T_world_cam, 4)) == 1
    assert len(ranked) == 1
    memory.integrate(random_frame(1))
    assert len(memory.retrieve(view, CAMERA, frame.T_world_cam, 4)) == 2
    memory.retrieve(view, CAMERA, np.eye(4), 4)
    memory.retrieve(memory.render(CAMERA, np.eye(4), 0), CAMERA, np.eye(4), 4)
    assert len(ranked) == 5, "once after the change, once for the other pose, and twice for a new view: drawn, then asked about"
