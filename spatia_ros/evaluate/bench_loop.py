"""How fast the whole loop is: render, generate, verify and integrate, one frame a step, in the built-in room."""

from __future__ import annotations

import time

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.closed_loop import out_and_back
from spatia_ros.sequence import Sequence
from spatia_ros.types import Trajectory
from spatia_ros.world import World, open_world

PARTS = ("render_ms", "generate_ms", "verify_ms", "integrate_ms")
SEED_SHARE = 0.3


def time_loop(
    config: WorldConfig, sequence: Sequence, sizes: list[tuple[int, int]], rounds: int
) -> dict[tuple[int, int], dict[str, float]]:
    """Milliseconds of a frame and of its parts, medians, by image size (width, height).

    Memory is made from the first frames of the recording; the path goes along all of it and back,
    so it leaves what was seen. Sizes take turns frame by frame; the first round is not measured.
    """
    worlds = {size: world_of(config, sequence, size) for size in sizes}
    path = out_and_back(sequence, len(sequence), config.frame_rate_hz)
    laps: dict[tuple[int, int], list[dict[str, float]]] = {size: [] for size in sizes}
    begin = {size: world.snapshot() for size, world in worlds.items()}
    with tqdm(total=(rounds + 1) * len(path), desc="whole loop", unit="frame") as progress:
        for lap in range(rounds + 1):
            for size, world in worlds.items():
                world.restore(begin[size])
            for pose in path.clips(1):
                for size, world in worlds.items():
                    figures = _timed(world, pose)
                    if lap:
                        laps[size].append(figures)
                progress.update()
    return {size: {name: float(np.median([lap[name] for lap in taken])) for name in taken[0]} for size, taken in laps.items()}


def _timed(world: World, pose: Trajectory) -> dict[str, float]:
    start = time.perf_counter()
    step = world.advance(pose)
    return {"frame_ms": (time.perf_counter() - start) * 1e3, **{part: step.figures[part] for part in PARTS}}


def world_of(config: WorldConfig, sequence: Sequence, size: tuple[int, int]) -> World:
    """A world of some image size (width, height), its memory made from the first SEED_SHARE of a recording."""
    small = sequence.resized(*size)
    camera = config.camera.model_copy(update={"width_px": size[0], "height_px": size[1]})
    seeds = (small.frame(i) for i in range(max(1, round(SEED_SHARE * len(small)))))
    return open_world(config.model_copy(update={"camera": camera}), seeds)
