"""The speed figures under their published names (docs/benchmarks.md explains each)."""

from __future__ import annotations

import os

from spatia_ros.config import WorldConfig
from spatia_ros.engine.bundle import folder_of
from spatia_ros.evaluate.bench_actors import time_actors
from spatia_ros.evaluate.bench_engines import engine_figures, runtimes_here, time_engines
from spatia_ros.evaluate.bench_loop import PARTS, time_loop
from spatia_ros.evaluate.bench_memory import time_growth, time_render
from spatia_ros.evaluate.bench_odometry import Odometry, time_odometry
from spatia_ros.evaluate.bench_scale import (
    copy_gbps,
    integrate_gbps,
    render_gbps,
    time_copy,
    time_crowd,
    time_room,
    time_sizes,
)
from spatia_ros.evaluate.timing import Timing
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.types import Camera
from spatia_ros.world import open_generator

CAMERA = Camera.from_fov(640, 480, 1.0)
SIZES = [(256, 160), (320, 192)]
MEMORY_ROUNDS, LOOP_ROUNDS, ACTOR_ROUNDS, ODOMETRY_ROUNDS = 31, 2, 1, 60
ODOMETRY_SIZE = (320, 240)
RESOLUTIONS = [CAMERA, CAMERA.resized(320, 240), Camera.from_fov(1280, 720, 1.0)]
ROOM_FRAME = 10
WALL_VOXELS = 64_000
"""Voxels the benched wall covers at 640x480."""


Figure = float | str | dict[str, float]
ENGINE_ROUNDS = 24


def run_benches(config: WorldConfig) -> dict[str, Figure]:
    """All figures, flat: milliseconds are medians. Takes about four minutes and 4 GB on two cores.

    Raises:
        SpatiaError: when the config's generator is not there.
    """
    from spatia_ros.train.scan import builtin_scan

    load = os.getloadavg()[0]
    open_generator(config)  # a missing generator is found at once
    # Drawing first: after a network has run, its idle threads and buffers are still there.
    figures = render_figures(time_render(CAMERA, 1_000_000, MEMORY_ROUNDS))
    figures |= growth_figures(time_growth(CAMERA, 100_000, 10_000_000, MEMORY_ROUNDS))
    figures |= crowd_figures(time_crowd(CAMERA, 1_000_000, 20_000_000, MEMORY_ROUNDS))
    figures |= size_figures(time_sizes(RESOLUTIONS, 1_000_000, [100_000, 1_000_000], MEMORY_ROUNDS))
    figures |= room_figures(time_room(builtin_scan(n=40, camera=CAMERA).frame(ROOM_FRAME), MEMORY_ROUNDS))
    figures |= bandwidth_figures(figures, time_copy(MEMORY_ROUNDS))
    figures |= odometry_figures(time_odometry(builtin_scan(), ODOMETRY_SIZE, ODOMETRY_ROUNDS))
    figures |= loop_figures(config)
    figures |= actor_figures(time_actors(config, builtin_scan(), SIZES[-1], ACTOR_ROUNDS), SIZES[-1])
    rounded: dict[str, Figure] = {name: round(value, 3) for name, value in figures.items()}
    machine = {"cpu_cores": os.cpu_count() or 0, "load_average_before": round(load, 2)}
    return rounded | generator_figures(config) | machine | {"generator": config.generator.name}


def generator_figures(config: WorldConfig) -> dict[str, Figure]:
    """The networks of the generator at one small frame, by runtime; nothing where it has none."""
    wanted = config.generator
    if wanted.name == ProjectionGenerator.name:
        return {}
    runtimes = runtimes_here(folder_of(wanted.name))
    timings = time_engines(wanted.name, SIZES[0], runtimes, wanted.threads, wanted.context_frames, ENGINE_ROUNDS)
    return dict(engine_figures(timings, SIZES[0], wanted.steps))


def render_figures(timings: dict[str, Timing]) -> dict[str, float]:
    """Drawing a million points at 640x480, beside Open3D."""
    ours, open3d = timings["spatia"], timings["open3d"]
    return {
        "render_1m_640x480_ms": ours.median_ms,
        "render_1m_640x480_open3d_ms": open3d.median_ms,
        "render_1m_640x480_speedup_vs_open3d": open3d.median_ms / ours.median_ms,
        "render_1m_640x480_noise": ours.noise,
    }


def growth_figures(timings: dict[str, Timing]) -> dict[str, float]:
    """Fusing and drawing one frame in maps of 100 thousand and of 10 million voxels, beside Open3D."""
    large = timings["integrate_large"]
    return {
        "integrate_640x480_ms": large.median_ms,
        "integrate_640x480_open3d_ms": timings["integrate_open3d"].median_ms,
        "integrate_speedup_vs_open3d": timings["integrate_open3d"].median_ms / large.median_ms,
        "integrate_growth_1e5_to_1e7": large.median_ms / timings["integrate_small"].median_ms,
        "render_640x480_ms": timings["render_large"].median_ms,
        "render_growth_1e5_to_1e7": timings["render_large"].median_ms / timings["render_small"].median_ms,
        "retrieve_ms": timings["retrieve_large"].median_ms,
        "integrate_640x480_noise": large.noise,
    }


def crowd_figures(timings: dict[str, Timing]) -> dict[str, float]:
    """A million points in view, alone and among 19 million others."""
    return {
        "render_20m_5pct_ms": timings["crowd"].median_ms,
        "render_20m_5pct_overhead": timings["crowd"].median_ms / timings["alone"].median_ms,
    }


def size_figures(timings: dict[str, Timing]) -> dict[str, float]:
    """Other resolutions, and a map of a million voxels."""
    figures: dict[str, float] = {}
    for size in ("320x240", "1280x720"):
        figures |= {f"render_1m_{size}_ms": timings[f"render_{size}"].median_ms}
        figures |= {f"integrate_{size}_ms": timings[f"integrate_{size}"].median_ms}
    growth = timings["integrate_1000000"].median_ms / timings["integrate_100000"].median_ms
    return figures | {"integrate_growth_1e5_to_1e6": growth}


def room_figures(timings: dict[str, Timing]) -> dict[str, float]:
    """Fusing a frame of the built-in room, beside Open3D at its faster block size."""
    ours, open3d = timings["spatia"].median_ms, min(timings[f"open3d_{side}"].median_ms for side in (8, 16))
    return {
        "integrate_room_640x480_ms": ours,
        "integrate_room_640x480_open3d_ms": open3d,
        "integrate_room_speedup_vs_open3d": open3d / ours,
        "even_exposure_640x480_ms": timings["even"].median_ms,
        "even_exposure_speedup_vs_whole": timings["even_whole"].median_ms / timings["even"].median_ms,
    }


def bandwidth_figures(figures: dict[str, float], copied: Timing) -> dict[str, float]:
    """What drawing and fusing must have moved, beside what the machine copies."""
    return {
        "memory_bandwidth_gbps": copy_gbps(copied),
        "render_gbps": render_gbps(CAMERA, 1_000_000, figures["render_1m_640x480_ms"]),
        "integrate_gbps": integrate_gbps(CAMERA, WALL_VOXELS, figures["integrate_640x480_ms"]),
    }


def odometry_figures(odometry: Odometry) -> dict[str, float]:
    """Finding the motion between neighbouring frames of the built-in room, and how far off their chain is."""
    best = odometry.best_of_open3d
    ours, open3d = odometry.timings["spatia"], odometry.timings[best]
    return {
        "odometry_320x240_ms": ours.median_ms,
        "odometry_open3d_320x240_ms": open3d.median_ms,
        "odometry_speedup_vs_open3d": open3d.median_ms / ours.median_ms,
        "odometry_320x240_ate_m": odometry.ate_m["spatia"],
        "odometry_open3d_320x240_ate_m": odometry.ate_m[best],
        "odometry_320x240_noise": ours.noise,
    }


def loop_figures(config: WorldConfig) -> dict[str, float]:
    """Frames a second of the whole loop in the built-in room, and where the time goes."""
    from spatia_ros.train.scan import builtin_scan

    figures = {}
    for (width, height), laps in time_loop(config, builtin_scan(), SIZES, LOOP_ROUNDS).items():
        figures[f"loop_fps_{width}x{height}"] = 1e3 / laps["frame_ms"]
        figures |= {f"loop_{part.removesuffix('_ms')}_{width}x{height}_ms": laps[part] for part in PARTS}
    return figures


def actor_figures(timings: dict[str, dict[str, float]], size: tuple[int, int]) -> dict[str, float]:
    """A frame with four actors beside the same frame without, and how far it exceeds that and the actors' own points."""
    named, static = f"{size[0]}x{size[1]}", timings["static"]["frame_ms"]
    figures = {f"actors_none_{named}_ms": static}
    for name, prefix in (("whole", "actors"), ("torn", "actors_torn")):
        of = timings[name]
        figures |= {f"{prefix}_{named}_ms": of["frame_ms"], f"{prefix}_points_{named}_ms": of["points_ms"]}
        figures |= {f"{prefix}_overhead": of["overhead"], f"{prefix}_shown_share": of["shown"]}
    return figures
