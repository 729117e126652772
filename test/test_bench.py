"""The benches at a size that takes seconds: what they are called and what they compare, not how fast they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_engine import tiny_engine
from tiny_room import recorded, turning

from spatia_ros import geometry
from spatia_ros.config import from_dict
from spatia_ros.evaluate.bench import (
    actor_figures,
    bandwidth_figures,
    crowd_figures,
    growth_figures,
    odometry_figures,
    render_figures,
    room_figures,
    size_figures,
)
from spatia_ros.evaluate.bench_actors import room_cast, time_actors, torn
from spatia_ros.evaluate.bench_loop import PARTS, time_loop
from spatia_ros.evaluate.bench_memory import in_view_cloud, map_of, time_growth, time_render, wall_frame
from spatia_ros.evaluate.bench_odometry import time_odometry
from spatia_ros.evaluate.bench_scale import crowded, time_crowd, time_room, time_sizes
from spatia_ros.evaluate.timing import Timing, interleaved
from spatia_ros.types import Camera, SpatiaError

SMALL = Camera.from_fov(64, 48, 1.0)
GPU = Path(__file__).parent.parent / "bench" / "gpu.py"


def test_work_takes_turns_and_the_first_turn_is_not_measured() -> None:
    calls: list[str] = []
    timings = interleaved("turns", {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert calls == (["a"] * 4 + ["b"] * 4) * 2
    assert timings["a"].median_ms >= timings["a"].min_ms > 0
    assert Timing(3.0, 2.0).noise == 1.5


def test_the_cloud_is_as_large_as_named_and_all_in_view() -> None:
    memory = in_view_cloud(SMALL, 20_000)
    assert len(memory) == 20_000
    x, y, z = memory.points().xyz.T
    assert z.min() > 0
    assert np.abs(SMALL.fx * x / z).max() <= SMALL.width / 2 + 1
    assert np.abs(SMALL.fy * y / z).max() <= SMALL.height / 2 + 1
    assert memory.render(SMALL, np.eye(4), 0).coverage.mean() > 0.3


def test_render_figures_compare_both_on_the_same_points() -> None:
    figures = render_figures(time_render(SMALL, 5_000, 2))
    assert set(figures) == {f"render_1m_640x480_{name}" for name in ("ms", "open3d_ms", "speedup_vs_open3d", "noise")}
    expected = figures["render_1m_640x480_open3d_ms"] / figures["render_1m_640x480_ms"]
    assert figures["render_1m_640x480_speedup_vs_open3d"] == pytest.approx(expected)


def test_maps_have_the_size_named_and_hold_the_frame() -> None:
    frame = wall_frame(SMALL)
    memory = map_of(frame, 30_000, 7)
    assert len(memory) == 30_000
    assert len(memory.keyframes) == 7
    assert memory.integrate(frame)["added"] == 0
    assert len(memory) == 30_000
    with pytest.raises(SpatiaError, match="expected a frame of at most 10 voxels"):
        map_of(frame, 10, 1)


def test_growth_figures_have_the_published_names() -> None:
    figures = growth_figures(time_growth(SMALL, 5_000, 20_000, 2))
    names = {"integrate_growth_1e5_to_1e7", "integrate_640x480_ms", "integrate_speedup_vs_open3d"}
    assert names | {"render_growth_1e5_to_1e7", "retrieve_ms"} <= set(figures)
    assert all(value > 0 for value in figures.values())


def test_a_crowded_map_holds_what_is_in_view_and_its_copies_out_of_view() -> None:
    alone = in_view_cloud(SMALL, 5_000)
    crowd = crowded(alone, 40_000)
    assert len(crowd) == 40_000
    np.testing.assert_array_equal(crowd.render(SMALL, np.eye(4), 0).depth, alone.render(SMALL, np.eye(4), 0).depth)
    figures = crowd_figures(time_crowd(SMALL, 5_000, 40_000, 2))
    assert figures["render_20m_5pct_overhead"] > 0


def test_figures_of_sizes_rooms_and_bandwidth_have_the_published_names() -> None:
    sizes = [SMALL, Camera.from_fov(32, 24, 1.0), Camera.from_fov(128, 72, 1.0)]
    timings = time_sizes(sizes, 5_000, [5_000, 20_000], 2)
    renamed = {"32x24": "320x240", "128x72": "1280x720", "_5000": "_100000", "_20000": "_1000000"}
    for old, new in renamed.items():
        timings = {name.replace(old, new): timing for name, timing in timings.items()}
    names = {"render_1m_320x240_ms", "render_1m_1280x720_ms", "integrate_320x240_ms", "integrate_1280x720_ms"}
    assert set(size_figures(timings)) == names | {"integrate_growth_1e5_to_1e6"}
    room = room_figures(time_room(wall_frame(SMALL), 2))
    assert room["integrate_room_speedup_vs_open3d"] > 0
    assert room["even_exposure_speedup_vs_whole"] > 0
    moved = bandwidth_figures({"render_1m_640x480_ms": 10.0, "integrate_640x480_ms": 5.0}, Timing(100.0, 100.0))
    assert moved["memory_bandwidth_gbps"] == pytest.approx(5.36870912)
    assert moved["render_gbps"] == pytest.approx((12e6 + 32 * 640 * 480) / 1e7)
    assert 0 < moved["integrate_gbps"] < moved["memory_bandwidth_gbps"]


def test_a_frame_with_actors_is_held_against_one_without() -> None:
    config = from_dict({"memory": {"voxel_m": 0.05}, "generator": {"name": "projection"}})
    timings = time_actors(config, recorded(path=looking_at_them, frames=4), (64, 48), 1)
    figures = actor_figures(timings, (64, 48))
    assert set(timings) == {"static", "whole", "torn"}
    assert figures["actors_shown_share"] > 0.01
    assert figures["actors_torn_shown_share"] > 0.01
    assert all(value > 0 for value in figures.values())
    with pytest.raises(SpatiaError, match="saw none"):
        time_actors(config, recorded(path=lambda t: looking_at_them(t) @ np.diag([-1.0, 1.0, -1.0, 1.0]), frames=2), (64, 48), 1)


def looking_at_them(t: float) -> np.ndarray:
    """From a corner of where the benched actors walk."""
    return geometry.look_at(np.array([0.0, 0.5, 1.5]), np.array([2.6, 2.4, 0.5 + 0.01 * t]), np.array([0.0, 0.0, 1.0]))


def test_torn_actors_have_holes_and_are_known_to() -> None:
    whole = room_cast(4.0)
    for before, after in zip(whole, torn(whole), strict=True):
        assert not after.body.complete
        kept, all_of_it = (len(actor.body.points(0.0)) for actor in (after, before))
        assert 0.5 < kept / all_of_it < 0.97


def test_the_loop_is_timed_part_by_part_at_every_size() -> None:
    config = from_dict({"memory": {"voxel_m": 0.05}, "generator": {"name": "projection"}})
    laps = time_loop(config, recorded(path=turning, frames=8), [(64, 48), (80, 64)], 1)
    assert set(laps) == {(64, 48), (80, 64)}
    for figures in laps.values():
        assert set(figures) == {"frame_ms", *PARTS}
        assert all(value > 0 for value in figures.values())


def gpu(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(GPU), *arguments], capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_without_cuda_the_check_says_so() -> None:
    done = gpu()
    assert done.returncode == 2
    assert "no CUDA device" in done.stderr


def test_every_path_and_a_network_are_checked() -> None:
    done = gpu("--device", "cpu", "--width", "64", "--engine", str(tiny_engine()))
    assert done.returncode == 0, done.stderr
    said, head, *rows = done.stdout.splitlines()
    assert said.startswith("TensorRT left out")
    assert head.startswith("path")
    assert len(rows) == 9 + 3 * 5, "memory's paths, and five networks at three sizes"
    assert all(row.endswith("same") for row in rows)


def test_odometry_figures_compare_both_on_the_same_frames() -> None:
    figures = odometry_figures(time_odometry(recorded(frames=8), (160, 120), 3))
    names = {"odometry_320x240_ms", "odometry_open3d_320x240_ms", "odometry_320x240_ate_m", "odometry_open3d_320x240_ate_m"}
    assert names | {"odometry_speedup_vs_open3d", "odometry_320x240_noise"} == set(figures)
    assert all(value > 0 for value in figures.values())
    assert figures["odometry_320x240_ate_m"] < 0.02
