"""The city in small: built through the file, killed, resumed and walked; and what of it a view touches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatia_ros import geometry
from spatia_ros.evaluate.bench_city import run_city
from spatia_ros.memory import Memory
from spatia_ros.train.scene_city import TILE_M, build_city, city_config, street_walk, tile
from spatia_ros.types import Camera

VOXEL_M = 0.25
CAMERA = Camera.from_fov(160, 120, np.radians(60))


def city(path: Path, points: int) -> Memory:
    Memory(city_config(VOXEL_M)).save(path)
    memory = Memory.open(path)
    list(build_city(memory, points, 3))
    return memory


def pose(k: int) -> np.ndarray:
    eyes, targets = street_walk(8, 2.0)
    return geometry.look_at(eyes[k], targets[k], np.array([0.0, 0.0, 1.0]))


def test_a_tile_depends_on_its_place_alone_and_stays_in_it() -> None:
    one, again, other = tile(3, 1, -2, 0.5), tile(3, 1, -2, 0.5), tile(3, 2, -2, 0.5)
    assert np.array_equal(one.xyz, again.xyz)
    assert not np.array_equal(one.rgb[:100], other.rgb[:100])
    low = np.array([TILE_M, -2 * TILE_M, -0.1])
    assert (one.xyz >= low - 0.01).all()
    assert (one.xyz[:, :2] <= low[:2] + TILE_M + 0.01).all()


def test_a_city_is_killed_resumed_and_walked(tmp_path: Path) -> None:
    figures = run_city(tmp_path / "city.spatia", 300_000, poses=2)
    assert figures["city_points"] >= 300_000
    assert figures["city_200m_killed_lost_points"] == 0
    assert {"city_200m_open_s", "city_200m_peak_gb", "city_200m_frame_cost_ratio"} <= figures.keys()
    assert 10 < figures["city_200m_bytes_per_point"] < 20
    assert len(Memory.open(tmp_path / "city.spatia", write=False)) == figures["city_points"]


def test_a_view_touches_coarse_levels_afar_and_little_of_the_file(tmp_path: Path) -> None:
    memory = city(tmp_path / "city.spatia", 600_000)
    _, pieces = memory._draw(CAMERA, pose(0))
    distance = np.linalg.norm(pieces.corner - pose(0)[:3, 3], axis=1)
    assert len(set(pieces.level.tolist())) >= 3
    assert np.corrcoef(distance, pieces.level)[0, 1] > 0.8
    assert pieces.size.sum() < 0.2 * len(memory)
    assert len(memory.store) == 0, "looking unpacks nothing"
    parts = sum(len(memory.pages.log.record(at).starts) for at in memory.pages.index.offset.tolist())
    assert len(memory.pages.log._checked) < 0.5 * parts


def test_levels_show_what_the_points_show(tmp_path: Path) -> None:
    memory = city(tmp_path / "city.spatia", 160_000)
    unpacked = Memory.load(tmp_path / "city.spatia")
    for k in (0, 5):
        far, near = memory.render(CAMERA, pose(k), 0), unpacked.render(CAMERA, pose(k), 0)
        assert (far.coverage == near.coverage).mean() > 0.93
        both = far.coverage & near.coverage
        assert np.median(np.abs(far.depth - near.depth)[both] / near.depth[both]) < 0.02
        assert np.abs(far.rgb[both].astype(int) - near.rgb[both]).mean() < 20


def test_a_frame_reads_within_its_budget_and_the_next_ones_sharpen(tmp_path: Path) -> None:
    city(tmp_path / "city.spatia", 160_000).close()
    config = city_config(VOXEL_M).model_copy(update={"page_mb": 1})
    memory = Memory.open(tmp_path / "city.spatia", write=False, config=config)
    drawn = []
    for _ in range(6):
        view = memory.render(CAMERA, pose(0), 0)
        assert memory.pages.view._spent <= (1 << 20) + 500_000, "a frame ends with the part it is at"
        drawn.append(view.coverage.mean())
    assert drawn[-1] >= drawn[0] > 0
    assert memory.pages.view._spent == 0, "all there is to see is read"


def test_the_working_set_stays_small_and_the_points_are_the_same(tmp_path: Path) -> None:
    config = city_config(VOXEL_M).model_copy(update={"resident_points": 30_000})
    whole = Memory(city_config(VOXEL_M))
    Memory(config).save(tmp_path / "small.spatia")
    small = Memory.open(tmp_path / "small.spatia")
    points = tile(3, 0, 0, VOXEL_M)
    order = np.argsort(points.xyz[:, 0], kind="stable")
    for part in np.array_split(order, 12):
        for memory in (whole, small):
            memory.add_points(points.chosen(part))
        assert len(small.store) <= 30_000
    small.flush()
    assert len(small) == len(whole)
    a, b = (np.concatenate([p.xyz for p in m.chunks()]).astype(np.float64).mean(0) for m in (small, whole))
    assert np.abs(a - b).max() < VOXEL_M / 256
