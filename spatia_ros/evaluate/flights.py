"""Flying a camera through worlds for the measures: with memory, without, and what was really there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.prepare import DepthDelay, prepared, still_there
from spatia_ros.generator import Generator
from spatia_ros.memory import Memory
from spatia_ros.memory.exposure import evened
from spatia_ros.sequence import Sequence
from spatia_ros.types import Bool, Camera, Float32, Float64, Frame, SpatiaError, Step, Trajectory, UInt8
from spatia_ros.world import World, open_generator

CLIP = 16
"""Frames of a clip in the measures' words, where the generator's own are shorter."""

APART = 8
"""Frames from one that memory is made from to the next, where a flight goes between them."""

Wrap = Callable[[Generator], Generator]
"""A generator to the one that is flown with: the same, or one that is told less."""


class Shown(NamedTuple):
    """One generated frame."""

    rgb: UInt8
    depth: Float32
    coverage: Bool


def step_frames(config: WorldConfig) -> int:
    """Frames the generator makes at once."""
    return int(getattr(config.generator, "clip", 1))


def clip_frames(config: WorldConfig) -> int:
    """Frames of a clip in the measures' words."""
    return max(CLIP, step_frames(config))


def world_of(config: WorldConfig, frames: Iterable[Frame], wrap: Wrap | None = None) -> World:
    """A world whose memory is these frames."""
    memory, camera = Memory(config.memory), None
    for frame in frames:
        memory.integrate(evened(frame, memory))
        camera = frame.camera
    if camera is None:
        raise SpatiaError("flight: expected at least one frame to start from, got none")
    generator = open_generator(config)
    return World(config, memory, generator if wrap is None else wrap(generator), camera)


def with_memory(world: World, path: Trajectory) -> Iterator[Shown]:
    """The world as it is, a clip at a time."""
    for clip in path.clips(step_frames(world.config)):
        yield from _shown(world.advance(clip))


def without_memory(world: World, path: Trajectory) -> Iterator[Shown]:
    """The same generator, but after each clip memory holds nothing but the frame just generated."""
    world.frozen = True
    for clip in path.clips(step_frames(world.config)):
        step = world.advance(clip)
        yield from _shown(step)
        world.memory = Memory(world.config.memory)
        world.memory.integrate(list(step.frames())[-1])
        world.stream = world.generator.stream()  # what a generator carries is memory too


def _shown(step: Step) -> Iterator[Shown]:
    return (Shown(*frame) for frame in zip(step.rgb, step.depth, step.coverage, strict=True))


@dataclass(frozen=True, slots=True)
class Outing:
    """A way through what memory knows in part, flown and recorded.

    Args:
        seeds: the frames memory was made from. camera: of all frames.
        T_world_cam: float64 [N, 4, 4], the commanded poses. rgb: by name ("ours", "no_memory", "recorded"), N pictures each.
    """

    seeds: list[Frame]
    camera: Camera
    T_world_cam: Float64
    rgb: dict[str, list[UInt8]]
    depth_delay_s: float


def between_seeds(sequence: Sequence, config: WorldConfig, depth_delay: DepthDelay) -> Outing:
    """Memory from every 8th frame of a recording, then a flight along the frames between them, inventions entering memory.

    Raises:
        SpatiaError: when there are no two frames to start from.
    """
    if len(sequence) < 2 * APART:
        raise SpatiaError(f"sequence {sequence.name}: expected at least {2 * APART} frames, got {len(sequence)}")
    seeded = range(0, len(sequence), APART)
    resized, delay_s = prepared(sequence, config, depth_delay, seeded)
    seeds = [resized.frame(i) for i in still_there(sequence, resized, seeded)]
    on = still_there(sequence, resized, range(1, len(sequence), 2))
    path = Trajectory(resized.stamps_ns[on], resized.T_world_cam[on])
    ours = with_memory(world_of(config, seeds), path)
    control = without_memory(world_of(config, seeds[:1]), path)
    rgb = {name: pictures(flight, len(path), name) for name, flight in (("ours", ours), ("no_memory", control))}
    rgb["recorded"] = [resized.frame(i).rgb for i in on]
    return Outing(seeds, resized.camera, np.asarray(path.T_world_cam), rgb, delay_s)


def pictures(flight: Iterator[Shown], frames: int, name: str) -> list[UInt8]:
    """The pictures of a flight."""
    return [shown.rgb for shown in tqdm(flight, total=frames, desc=name, unit="frame")]
