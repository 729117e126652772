#!/usr/bin/env python3
"""What a rig's cameras and memory updates cost beside the frame itself: medians in milliseconds of CPU time, all threads.

    python bench/sensors.py [--rounds 9]

Lens and rolling shutter, per image; then telling a listener of the memory: the change that one more frame makes to maps of
rising size (it should not grow with the map), and everything, as to somebody who joins; then a second camera of a rig.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout as it is

from spatia_ros import geometry
from spatia_ros.beside import beside
from spatia_ros.config import from_dict
from spatia_ros.evaluate.bench_memory import map_of, wall_frame
from spatia_ros.memory.updates import Updates
from spatia_ros.nodes.seeding import open_seed
from spatia_ros.nodes.settings import SourceSettings
from spatia_ros.rig import Lens, Picture, RigCamera, Shutter, prepare
from spatia_ros.types import Camera, Step, Trajectory

FRAME = Camera.from_fov(640, 480, 1.2)
MAPS = (200_000, 1_000_000, 5_000_000)
MESSAGE = 20_000
SIDEWAYS = geometry.look_at(np.zeros(3), np.array([1.0, 0.0, 0.3]), np.array([0.0, -1.0, 0.0]))


def median_ms(job: Callable[[], object], rounds: int) -> float:
    """Median CPU time of a job, ms; the first run does not count."""
    took = []
    for _ in range(rounds + 1):
        began = time.process_time()
        job()
        took.append((time.process_time() - began) * 1e3)
    return float(np.median(took[1:]))


def picture_of(camera: RigCamera, before: np.ndarray | None) -> Callable[[], Picture]:
    """Frames of a camera before a wavy wall, made anew each time."""
    seen = wall_frame(camera.source)
    h, w = seen.depth.shape
    none = np.zeros((1, h, w), np.uint8)
    path = Trajectory(np.array([1], np.int64), np.eye(4)[None])
    pixels = seen.rgb[None], seen.depth[None], none > 0, none, none, none.astype(np.uint16)
    step = Step(0, 0, path, camera.source, *pixels, np.zeros(1), ((),))
    return lambda: Picture(camera, step, before, 1 / 30)


def cameras(rounds: int) -> None:
    """Print what lenses and shutters cost."""
    print("| camera | behind it | colour | colour and depth |\n|---|---|---|---|")
    moved = geometry.pose(np.eye(3), np.array([-0.05, 0.0, 0.0]))
    for width, height in ((640, 480), (1280, 720)):
        plain = Camera.from_fov(width, height, 1.2)
        wide = Camera(width, height, width / 2.4, width / 2.4, width / 2, height / 2)
        for name, lens, shutter in (
            ("plumb_bob", Lens(plain, "plumb_bob", (-0.2, 0.05, 0.0, 0.0, 0.0)), None),
            ("fisheye", Lens(wide, "equidistant", (0.01, 0.0, 0.0, 0.0)), None),
            ("rolling shutter", Lens(plain), Shutter(0.02)),
        ):
            camera = RigCamera("c", np.eye(4), lens, shutter)
            prepare(camera)
            make = picture_of(camera, moved if shutter else None)
            colour = median_ms(lambda make=make: make().rgb, rounds)
            both = median_ms(lambda make=make: (lambda p: (p.rgb, p.depth))(make()), rounds)
            behind = f"{camera.source.width}x{camera.source.height}"
            print(f"| {name} {width}x{height} | {behind} | {colour:.1f} | {both:.1f} |", flush=True)


def updates(rounds: int) -> None:
    """Print what telling a listener costs."""
    print("\n| points | a frame's change | voxels told | everything | a message of it, longest |\n|---|---|---|---|---|")
    for points in MAPS:
        frame = wall_frame(FRAME)
        memory, told = map_of(frame, points, 0), Updates()
        joining = []
        while told.look(memory):
            began = time.process_time()
            told.take(memory, MESSAGE)
            joining.append((time.process_time() - began) * 1e3)
        took, voxels = [], 0
        for _ in range(rounds):
            memory.integrate(frame)
            began = time.process_time()
            while told.look(memory):
                voxels = told.take(memory, 10**9).size
            took.append((time.process_time() - began) * 1e3)
        print(f"| {points:,} | {np.median(took):.1f} | {voxels:,} | {sum(joining):.0f} | {max(joining):.0f} |", flush=True)


def others(rounds: int) -> None:
    """Print what a frame costs the world's camera, and another camera of the same size beside it."""
    config = from_dict({"camera": {"width_px": 320, "height_px": 192}})
    seed = open_seed(config, SourceSettings(sequence="builtin"), Path())
    own, other = list[float](), list[float]()
    for i in range(rounds + 2):
        T_world_cam = seed.T_world_cam @ geometry.pose(np.eye(3), np.array([0.0, 0.0, 0.02 * i]))
        began = time.process_time()
        seed.world.look(T_world_cam)
        between = time.process_time()
        beside(seed.world, seed.world.camera, T_world_cam @ SIDEWAYS, "left")
        own.append((between - began) * 1e3)
        other.append((time.process_time() - between) * 1e3)
    print("\n| the world's camera, nano 320x192 | another |\n|---|---|")
    print(f"| {np.median(own[2:]):.0f} | {np.median(other[2:]):.0f} |", flush=True)


def main() -> None:
    """All tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    cameras(rounds)
    updates(rounds)
    others(rounds)


if __name__ == "__main__":
    main()
