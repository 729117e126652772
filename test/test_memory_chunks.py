"""Chunks of blocks, culling by them, and what else a point carries: labels and features."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory, Points, fuse
from spatia_ros.memory.blocks import BLOCK_SIDE, CHUNK_SIDE, EMPTY, N_BLOCKS, POOL_TOP, chunk_key_of
from spatia_ros.memory.chunk_index import chunk_blocks, chunk_places, chunk_slot, drop_chunk, live_chunks
from spatia_ros.memory.cull import visible_blocks, visible_chunks
from spatia_ros.memory.half import from_half, to_half
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.types import Camera, Frame, SpatiaError

CAMERA = Camera.from_fov(64, 48, np.radians(65))
SHAPE = (CAMERA.height, CAMERA.width)
CHUNK_VOXELS = BLOCK_SIDE * CHUNK_SIDE


def cloud(voxels: np.ndarray, level: int = 50) -> Points:
    """Points in the middle of integer voxels of side 1 m."""
    return Points.measured((voxels + 0.5).astype(np.float32), np.full((len(voxels), 3), level, np.uint8))


def wall(distance_m: float = 2.0) -> Frame:
    rgb = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    return Frame(rgb, np.full(SHAPE, distance_m, np.float32), CAMERA, np.eye(4), 0)


def test_every_block_is_listed_in_its_chunk_once() -> None:
    rng = np.random.default_rng(0)
    memory = Memory(MemoryConfig(voxel_m=1.0))
    memory.add_points(cloud(rng.integers(-300, 300, (4000, 3))))
    b = memory.store.blocks
    listed = []
    for chunk in live_chunks(b):
        assert chunk_slot(b, b.chunk_key[chunk]) == chunk
        inside = chunk_blocks(b, chunk)
        assert {chunk_key_of(key) for key in b.key[inside].tolist()} == {b.chunk_key[chunk]}
        listed += inside.tolist()
        at = chunk_places(b, chunk)
        corner = np.floor(b.xyz[at] / CHUNK_VOXELS)
        assert (corner == corner[0]).all(), "a chunk is a cube of 128 voxels"
        np.testing.assert_array_equal(np.repeat(b.key[inside], b.size[inside]), fuse.locate_points(b.xyz[at], 1.0)[0])
    assert sorted(listed) == list(range(b.counts[N_BLOCKS]))
    assert chunk_slot(b, 12345) == -1


def test_paging_chunks_out_and_in_against_a_dictionary() -> None:
    """Random additions, chunks dropped and put back: nothing is lost, invented, or left in the hash."""
    rng = np.random.default_rng(1)
    memory = Memory(MemoryConfig(voxel_m=1.0, max_weight=1e4))
    kept: dict[tuple[int, ...], float] = {}
    shelf: list[Points] = []
    for turn in range(40):
        voxels = np.unique(rng.integers(-200, 200, (600, 3)), axis=0)
        memory.add_points(cloud(voxels))
        for v in map(tuple, voxels.tolist()):
            kept[v] = kept.get(v, 0.0) + 1.0
        b = memory.store.blocks
        for chunk in rng.permutation(live_chunks(b))[:12]:
            at = chunk_places(b, chunk)
            look = b.rgb[at].astype(np.uint8), b.weight[at], b.sensed[at].astype(bool), b.seen_ms[at].astype(np.int64)
            shelf.append(Points(b.xyz[at], *look, b.label[at]))
            assert drop_chunk(b, chunk) == len(at)
        if turn % 3 == 2:
            for points in shelf:
                memory.add_points(points)
            shelf.clear()
            assert points_by_voxel(memory) == kept
        assert_consistent(memory)
    assert memory.store.blocks.counts[POOL_TOP] < 4 * 16 * memory.store.blocks.counts[N_BLOCKS]


def points_by_voxel(memory: Memory) -> dict[tuple[int, ...], float]:
    points = memory.points()
    voxels = np.floor(points.xyz).astype(int).tolist()
    return {tuple(v): w for v, w in zip(voxels, points.confidence.tolist(), strict=True)}


def assert_consistent(memory: Memory) -> None:
    """Every live block and chunk is found by its key, the hash holds nothing else, and no two blocks share a place."""
    b = memory.store.blocks
    live = np.flatnonzero(b.key[: b.counts[N_BLOCKS]] != EMPTY)
    assert sorted(b.hash_block[b.hash_key != EMPTY].tolist()) == live.tolist()
    assert sorted(b.chunk_hash_slot[b.chunk_hash_key != EMPTY].tolist()) == live_chunks(b).tolist()
    found = [chunk_slot(b, key) for key in b.chunk_key[live_chunks(b)].tolist()]
    assert found == live_chunks(b).tolist()
    runs = sorted((b.start[i], b.start[i] + b.room[i]) for i in live if b.room[i])
    assert all(end <= start for (_, end), (start, _) in pairwise(runs))
    assert b.size[live].sum() == len(memory)


def test_dropped_slots_are_used_again() -> None:
    memory = Memory(MemoryConfig(voxel_m=1.0))
    voxels = np.random.default_rng(2).integers(0, 120, (3000, 3))
    memory.add_points(cloud(voxels))
    top, pool = memory.store.blocks.counts[N_BLOCKS], memory.store.blocks.counts[POOL_TOP]
    before = points_by_voxel(memory)
    for _ in range(5):
        drop_chunk(memory.store.blocks, live_chunks(memory.store.blocks)[0])
        assert len(memory) == 0
        memory.add_points(cloud(voxels))
    assert points_by_voxel(memory) == before
    assert memory.store.blocks.counts[N_BLOCKS] == top
    assert memory.store.blocks.counts[POOL_TOP] == pool


def test_what_changes_marks_its_chunk() -> None:
    memory = Memory(MemoryConfig())
    memory.add_points(Points.measured(np.array([[5, 5, 5]], np.float32), np.zeros((1, 3), np.uint8)))
    b = memory.store.blocks
    b.changed[:] = 0
    memory.integrate(wall())
    b = memory.store.blocks
    far = chunk_slot(b, chunk_key_of(fuse.locate_points(np.array([[5, 5, 5]], np.float32), 0.01)[0][0]))
    changed = set(np.flatnonzero(b.changed[live_chunks(b)]).tolist())
    assert changed == set(live_chunks(b).tolist()) - {far}
    b.changed[:] = 0
    memory.integrate(wall(3.0))
    assert memory.store.blocks.changed[live_chunks(memory.store.blocks)].sum() > 0


@pytest.mark.parametrize("seed", range(5))
def test_culling_by_chunks_first_loses_no_block(seed: int) -> None:
    """The blocks listed are those whose bounding sphere touches the frustum, found here one by one."""
    rng = np.random.default_rng(seed)
    memory = Memory(MemoryConfig(voxel_m=0.05))
    xyz = rng.uniform(-20, 20, (5000, 3)).astype(np.float32)
    memory.add_points(Points.measured(xyz, np.zeros((5000, 3), np.uint8)))
    eye = rng.uniform(-8, 8, 3)
    T = geometry.inverse(geometry.look_at(eye, eye + rng.normal(0, 1, 3), np.array([0.0, -1.0, 0.0])))
    b, K = memory.store.blocks, intrinsics_of(CAMERA)
    view = (T, K, CAMERA.width, CAMERA.height, 0.05, 12.0)
    seen = visible_blocks(b, *view)
    side = 0.05 * BLOCK_SIDE
    n = int(b.counts[N_BLOCKS])
    middle = (np.floor(b.xyz[b.start[:n]] / side) + 0.5) * side
    p, radius = middle @ T[:3, :3].T + T[:3, 3], side * np.sqrt(0.75)
    normals = np.array([[K[0], 0, K[2]], [-K[0], 0, CAMERA.width - K[2]], [0, K[1], K[3]], [0, -K[1], CAMERA.height - K[3]]])
    inward = p @ (normals / np.linalg.norm(normals, axis=1, keepdims=True)).T
    slack = np.minimum(inward.min(1), np.minimum(p[:, 2], 12.0 - p[:, 2])) + radius
    assert set(np.flatnonzero(slack > 1e-3)) <= set(seen.tolist()) <= set(np.flatnonzero(slack > -1e-3))
    assert 0 < len(seen) < n / 2
    assert len(visible_chunks(b, *view)) < len(live_chunks(b))


def test_labels_a_known_one_wins_and_silence_changes_nothing() -> None:
    memory, frame = Memory(MemoryConfig()), wall()
    label = np.zeros(SHAPE, np.uint16)
    label[:, :32] = 7
    memory.names[7] = "cupboard"
    memory.integrate(frame)
    assert not memory.points().label.any()
    memory.integrate(frame, label=label)
    np.testing.assert_array_equal(memory.render_labels(CAMERA, np.eye(4))[4:-4, 4:28], 7)
    np.testing.assert_array_equal(memory.render_labels(CAMERA, np.eye(4))[4:-4, 36:-4], 0)
    memory.integrate(frame)
    assert (memory.render_labels(CAMERA, np.eye(4)) == 7).any(), "a frame without labels leaves them"
    snapshot = memory.snapshot()
    memory.integrate(frame, label=np.full(SHAPE, 9, np.uint16))
    memory.names[9] = "wall"
    assert set(memory.points().label.tolist()) == {9}
    memory.restore(snapshot)
    assert memory.names == {7: "cupboard"}
    assert set(memory.points().label.tolist()) == {0, 7}
    with pytest.raises(SpatiaError, match="label: expected uint16"):
        memory.integrate(frame, label=label.astype(np.int64))


def test_features_are_running_means_and_are_drawn() -> None:
    frame, channels = wall(), 3
    memory = Memory(MemoryConfig(voxel_m=0.05, feature_channels=channels))
    memory.integrate(frame)
    assert not memory.render_features(CAMERA, np.eye(4)).any()
    levels = [np.full((*SHAPE, channels), level, np.float16) * np.array([1, -2, 0.5], np.float16) for level in (1.0, 3.0)]
    memory.integrate(frame, features=levels[0])
    drawn = memory.render_features(CAMERA, np.eye(4))
    assert drawn.shape == (*SHAPE, channels)
    middle = drawn[10:-10, 10:-10]
    np.testing.assert_allclose(middle, np.broadcast_to([1, -2, 0.5], middle.shape), rtol=2e-3)
    memory.integrate(frame, features=levels[1])
    ratio = memory.points().features[:, 0].astype(np.float32)
    assert ((ratio > 1.1) & (ratio < 2.9)).all(), "a mean of what was and what came"
    copy = Memory(memory.config)
    copy.add_points(memory.points())
    np.testing.assert_array_equal(copy.points().features, memory.points().features)
    with pytest.raises(SpatiaError, match="features: expected float16"):
        memory.integrate(frame, features=levels[0].astype(np.float32))
    with pytest.raises(SpatiaError, match="features: expected finite"):
        memory.integrate(frame, features=np.full((*SHAPE, channels), np.nan, np.float16))


def test_float16_bits_convert_as_numpy_does() -> None:
    from numba import njit

    @njit
    def there(value: float) -> int:
        return to_half(np.float32(value))

    @njit
    def back(bits: int) -> float:
        return from_half(np.uint16(bits))

    for value in (0.0, 1.0, -2.5, 1e-5, 65504.0, 0.1, np.pi):
        half = np.float16(value)
        assert there(value) == half.view(np.uint16)
        assert back(half.view(np.uint16)) == np.float32(half)


def test_labels_and_names_are_saved(tmp_path: Path) -> None:
    memory = Memory(MemoryConfig(feature_channels=2))
    memory.integrate(wall(), label=np.full(SHAPE, 3, np.uint16), features=np.ones((*SHAPE, 2), np.float16))
    memory.names[3] = "wall"
    memory.save(tmp_path / "m.spatia")
    loaded = Memory.load(tmp_path / "m.spatia")
    assert loaded.names == {3: "wall"}
    assert set(loaded.points().label.tolist()) == {3}
    np.testing.assert_array_equal(loaded.points().features, memory.points().features)
