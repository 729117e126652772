"""The world a node starts with: from a recording, the built-in room, a saved memory, a mesh or cloud, or nothing yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatia_ros import geometry
from spatia_ros.actors import Cast, PoseTrack, cast_file, script
from spatia_ros.actors.library import library_actor
from spatia_ros.config import WorldConfig
from spatia_ros.generator import Generator
from spatia_ros.memory import Memory
from spatia_ros.nodes.settings import SourceSettings
from spatia_ros.sequence import open_sequence
from spatia_ros.types import Camera, Float64, Frame, SpatiaError
from spatia_ros.world import World, open_generator, open_world

DEFAULT_CAMERA = Camera.from_fov(320, 240, 1.2)
"""Where neither the settings nor the seed say what the camera is."""

WALL_M = 2.0
"""How far away the wall is before which a world warms up, where its memory takes in what is so far away."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A world, the pose its camera starts from, and what it was made of, in words."""

    world: World
    T_world_cam: Float64
    story: str


def open_seed(config: WorldConfig, source: SourceSettings, folder: Path, generator: Generator | None = None) -> Seed:
    """The world that the settings describe.

    Args:
        folder: where relative paths start.
        generator: what frames are made by; None: opened as configured.

    Raises:
        SpatiaError: when more than one of them is named, or what is named is unusable.
    """
    named = {name: getattr(source, name) for name in ("sequence", "memory", "place", "cloud_topic") if getattr(source, name)}
    if len(named) > 1:
        got = " and ".join(map(repr, named.values()))
        raise SpatiaError(f"source: expected a sequence, a memory, a place or a cloud_topic, got {got}")
    if source.place:
        return _from_place(config, folder / source.place, generator)
    if source.memory:
        return _from_memory(config, Memory.load(folder / source.memory), f"memory {source.memory}", generator)
    if source.sequence:
        return _from_sequence(config, source, folder, generator)
    return _from_memory(config, Memory(config.memory), "nothing", generator)


def _from_sequence(config: WorldConfig, source: SourceSettings, folder: Path, generator: Generator | None) -> Seed:
    if source.sequence == "builtin":
        from spatia_ros.train.scan import builtin_scan  # brings in the scene library

        sequence = builtin_scan()
    else:
        sequence = open_sequence(folder / source.sequence)
    sequence = sequence.resized(config.camera.width_px, config.camera.height_px)
    end = min(len(sequence), source.first + source.frames * source.every) if source.frames else len(sequence)
    indices = range(source.first, end, source.every)
    if not indices:
        raise SpatiaError(f"source.first: expected a frame of 0..{len(sequence) - 1}, got {source.first}")
    world = open_world(config, (sequence.frame(i) for i in indices), generator)
    return Seed(world, sequence.T_world_cam[indices[0]], f"{len(indices)} of {len(sequence)} frames of {source.sequence}")


def _from_place(config: WorldConfig, path: Path, generator: Generator | None) -> Seed:
    """What a mesh, a cloud or an unposed recording shows; a photograph needs lengths that ``spatia seed`` asks for."""
    from spatia_ros.seed import kind_of, open_place  # brings in mesh and cloud libraries

    if kind_of(path) == "photo":
        raise SpatiaError(f"source.place: {path}: make a memory of a photograph with spatia seed, and name that as source.memory")
    seeded = open_place(path, config)
    world = World(config, seeded.memory, generator or open_generator(config), config.camera.camera(seeded.camera))
    world.time_ns = world.start_ns = max((k.stamp_ns for k in seeded.memory.keyframes.keyframes), default=0)
    return Seed(world, seeded.T_world_cam, "; ".join(seeded.story))


def _from_memory(config: WorldConfig, memory: Memory, story: str, generator: Generator | None) -> Seed:
    kept = memory.keyframes.keyframes
    camera = kept[0].camera if kept else DEFAULT_CAMERA
    world = World(config, memory, generator or open_generator(config), config.camera.camera(camera))
    return Seed(with_memory(world, memory), kept[0].T_world_cam if kept else np.eye(4), story)


def open_cast(source: SourceSettings, folder: Path) -> Cast:
    """What moves there: a script of actors, or a saved cast (``.npz``); nobody where neither is named.

    Raises:
        SpatiaError: naming file, line and field.
    """
    if not source.actors:
        return Cast()
    path = folder / source.actors
    return cast_file.load(path) if path.suffix == ".npz" else script.load(path)


def warm_up(world: World) -> None:
    """Take a frame and make two, with somebody in them, in a world apart: none that counts waits for kernels to be loaded.

    Where they were never compiled before, this is when that is done.
    """
    c, camera, shape = world.config.memory, world.camera, (world.camera.height, world.camera.width)
    apart, away_m = World(world.config, Memory(c), world.generator, camera), min(max(WALL_M, c.min_range_m), c.max_range_m)
    apart.observe(Frame(np.full((*shape, 3), 128, np.uint8), np.full(shape, away_m, np.float32), camera, np.eye(4)))
    ahead = geometry.pose(np.eye(3), np.array([0.0, 0.0, 0.5 * WALL_M]))
    apart.cast.add(library_actor("ball", track=PoseTrack.still(ahead), spacing_m=0.02))
    for aside in (0.0, 0.5):
        apart.look(geometry.pose(np.eye(3), np.array([aside * away_m, 0.0, 0.0])))


def with_memory(world: World, memory: Memory) -> World:
    """A world like this one, its time and randomness begun anew, on another memory; for the actors time goes on."""
    fresh = World(world.config, memory, world.generator, world.camera, world.cast)
    fresh.frozen = world.frozen
    fresh.ask(world.prompt)
    fresh.time_ns = max((k.stamp_ns for k in memory.keyframes.keyframes), default=0)
    fresh.start_ns = fresh.time_ns - (world.time_ns - world.start_ns)
    return fresh
