"""A city of 200 million points: built in parts, its writer killed on the way, reopened, finished and walked.

Building and walking happen in processes of their own, so that what they take of memory is theirs alone: run as
``python -m spatia_ros.evaluate.bench_city build FILE POINTS`` (or ``walk FILE POSES``) they write one JSON object a line.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros import geometry
from spatia_ros.evaluate.timing import interleaved
from spatia_ros.memory import Memory, Points
from spatia_ros.memory.keyframes import KeyframeSet
from spatia_ros.types import Camera, Float64, SpatiaError

POINTS, SEED, VOXEL_M = 200_000_000, 3, 0.05
COARSE_POINTS, COARSE_VOXEL_M = 4_000_000, 0.25
"""Cities of fewer points have larger voxels, or they would be less than a tile."""
KILLED_AT = 0.3
"""Share of the points after which the writer is killed."""
CAMERA = Camera.from_fov(640, 480, np.radians(60.0))
POSES, STEP_M, ROUNDS = 60, 0.5, 3
ROOM_POINTS, NEAR_M = 1_000_000, 15.0
UP = np.array([0.0, 0.0, 1.0])


def run_city(
    path: Path, points: int, progress: Callable[[int], None] = lambda _: None, poses: int = POSES
) -> dict[str, float]:
    """Build a city at ``path`` (removed first), killing the writer once, and walk it.

    Args:
        progress: is told how many points are safe, as they grow. poses: of the walk.

    Returns:
        The figures by their published names.

    Raises:
        SpatiaError: when a child fails, or something flushed was lost.
    """
    path.unlink(missing_ok=True)
    begun, flushed, peak_gb = time.monotonic(), 0, 0.0
    for line in _child("build", path, points, kill_at=KILLED_AT * points):
        flushed, peak_gb = line["points"], line["peak_gb"]
        progress(flushed)
    memory = Memory.open(path)
    found = len(memory)
    memory.close()
    if found < flushed:
        raise SpatiaError(f"{path}: expected {flushed} points after the writer was killed, found {found}")
    for line in _child("build", path, points):
        peak_gb = max(peak_gb, line["peak_gb"])
        progress(line["points"])
    built_s = time.monotonic() - begun
    walked = list(_child("walk", path, poses))[-1]
    figures = {
        "city_points": line["points"], "city_200m_build_s": built_s, "city_200m_build_peak_gb": peak_gb,
        "city_200m_walk_peak_gb": walked.pop("peak_gb"), "city_200m_bytes_per_point": path.stat().st_size / line["points"],
        "city_200m_killed_lost_points": flushed - min(found, flushed),
    }  # fmt: skip
    worst = max(figures["city_200m_build_peak_gb"], figures["city_200m_walk_peak_gb"])
    return figures | {"city_200m_peak_gb": worst} | walked


def _child(verb: str, path: Path, number: int, kill_at: float = np.inf) -> Iterator[dict[str, Any]]:
    """What a process of ours writes, line by line; it is killed in the middle of what follows after ``kill_at`` points."""
    command = [sys.executable, "-m", "spatia_ros.evaluate.bench_city", verb, str(path), str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            line = json.loads(text)
            yield line
            if line.get("points", 0) >= kill_at:
                time.sleep(0.5)
                process.kill()
                return
    if process.returncode:
        raise SpatiaError(f"bench city: {verb} ended with exit code {process.returncode}")


def peak_gb() -> float:
    """The most memory this process has had resident, GB (mapped pages of files included)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def build(path: Path, points: int) -> Iterator[dict[str, float]]:
    """Build a city, or go on with one; yields what is safe and the peak of memory, tile by tile."""
    from spatia_ros.train.scene_city import build_city, city_config

    if not path.exists():
        Memory(city_config(COARSE_VOXEL_M if points < COARSE_POINTS else VOXEL_M)).save(path)
    memory = Memory.open(path)
    for safe in build_city(memory, points, SEED):
        yield {"points": safe, "peak_gb": peak_gb()}
    yield {"points": len(memory), "peak_gb": peak_gb()}


def walk(path: Path, count: int) -> dict[str, float]:
    """Open a city and walk so many poses along its street; see docs/benchmarks.md for the figures."""
    from spatia_ros.train.scene_city import street_walk

    start = time.perf_counter()
    city = Memory.open(path, write=False)
    open_s = time.perf_counter() - start
    eyes, targets = street_walk(count, STEP_M)
    poses = [geometry.look_at(eye, target, UP) for eye, target in zip(eyes, targets, strict=True)]
    city.render(CAMERA, poses[0], 0)  # compiles
    city.close()
    city = Memory.open(path, write=False)
    first_ms = [_milliseconds(partial(city.render, CAMERA, T, 0)) for T in poses]
    figures = {"city_200m_open_s": open_s, "city_200m_worst_first_frame_ms": max(first_ms), "peak_gb": peak_gb()}
    street, room = _street_room(city, eyes), _scanned_room(count)
    work = {"city": (city, poses), "street": (street, poses), "room": room, "bare": (_bare(room[0]), room[1])}
    timings = interleaved("city", {name: _along(*one) for name, one in work.items()}, ROUNDS)
    city_ms = timings["city"].median_ms / count
    return figures | {
        "city_200m_frame_ms": city_ms,
        "city_200m_frame_cost_ratio": timings["city"].median_ms / timings["room"].median_ms,
        "city_200m_over_bare_room_ratio": timings["city"].median_ms / timings["bare"].median_ms,
        "city_200m_over_street_ratio": timings["city"].median_ms / timings["street"].median_ms,
    }


def _milliseconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def _along(memory: Memory, poses: list[Float64]) -> Callable[[], None]:
    """Rendering every pose of a path."""

    def frames() -> None:
        for T in poses:
            memory.render(CAMERA, T, 0)

    return frames


def _street_room(city: Memory, eyes: Float64) -> Memory:
    """The million points nearest to a walk, in a memory of their own that is attached to no file."""
    near = Points.joined(list(city.chunks(eyes.min(0) - NEAR_M, eyes.max(0) + NEAR_M)))
    nearest_eye = np.stack([np.clip(near.xyz[:, k], eyes[:, k].min(), eyes[:, k].max()) for k in range(3)], 1)
    distance = np.linalg.norm(near.xyz - nearest_eye, axis=1)
    nearest = np.sort(np.argsort(distance)[:ROOM_POINTS])
    memory = Memory(city.config)
    memory.add_points(near.chosen(nearest))
    return memory


def _scanned_room(count: int) -> tuple[Memory, list[Float64]]:
    """The built-in room, scanned, and so many poses of the scan."""
    from spatia_ros.config import MemoryConfig
    from spatia_ros.train.scan import builtin_scan

    scan, memory = builtin_scan(), Memory(MemoryConfig())
    chosen = np.linspace(0, len(scan) - 1, count).astype(int)
    frames = [scan.frame(int(i)) for i in chosen]
    for frame in frames:
        memory.integrate(frame)
    return memory, [frame.T_world_cam for frame in frames]


def _bare(memory: Memory) -> Memory:
    """The same points without keyframes."""
    bare = Memory(memory.config)
    bare.store, bare.epoch_ns = memory.store, memory.epoch_ns
    bare.keyframes = KeyframeSet(memory.config)
    return bare


def main(arguments: list[str]) -> None:
    """What the child processes run: ``build FILE POINTS`` or ``walk FILE POSES``."""
    verb, path, number = arguments[0], Path(arguments[1]), int(arguments[2])
    lines = build(path, number) if verb == "build" else iter([walk(path, number)])
    for line in lines:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
