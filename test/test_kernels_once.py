"""No kernel is compiled again for arrays of another making: a world would stop for seconds, and its memory use would grow."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numba import types
from test_edit import pose_at, room_frame, room_memory
from tiny_room import CAMERA

from spatia_ros import checkpoint, kernels
from spatia_ros.actors.library import library_actor
from spatia_ros.actors.track import PoseTrack
from spatia_ros.config import WorldConfig, from_dict
from spatia_ros.kernels import read_only
from spatia_ros.memory import Memory
from spatia_ros.memory.edit import Editor
from spatia_ros.memory.regions import Sphere
from spatia_ros.nodes.seeding import warm_up
from spatia_ros.types import Frame, Trajectory
from spatia_ros.world import World, WorldSnapshot, open_generator

PERIOD_NS = 100_000_000
BALLS = Sphere((0.0, -0.85, 0.0), 0.4), Sphere((0.6, 0.0, 0.6), 0.4), Sphere((0.0, 0.0, 0.85), 0.5)


def of_any_making(frame: Frame, kind: int) -> Frame:
    """The same frame in arrays of another kind: planes one after the other, every second pixel, not to be written to."""
    if kind == 1:
        return replace(frame, rgb=np.asfortranarray(frame.rgb), depth=np.asfortranarray(frame.depth))
    if kind == 2:
        return replace(frame, rgb=frame.rgb.repeat(2, 1)[:, ::2], depth=frame.depth.repeat(2, 1)[:, ::2])
    if kind == 3:
        return replace(frame, rgb=read_only(frame.rgb), depth=read_only(frame.depth), T_world_cam=read_only(frame.T_world_cam))
    return frame


def fly(world: World, angle: float) -> None:
    world.look(read_only(pose_at(angle)))
    world.look(np.asfortranarray(pose_at(angle)))
    stamps = world.time_ns + PERIOD_NS * np.arange(1, 4)
    world.advance(Trajectory(stamps, np.stack([pose_at(angle + 0.1 * i) for i in range(3)])))


def world_of(memory: Memory) -> World:
    config = from_dict(WorldConfig().model_dump() | {"memory": memory.config.model_dump()})
    world = World(config, memory, open_generator(config), CAMERA)
    world.time_ns = 10**9
    return world


def live(folder: Path) -> World:
    """What a world goes through: measured frames, paths, edits, files, snapshots and checkpoints."""
    world = world_of(room_memory(6))
    fly(world, 0.0)
    for kind, angle in (("ball", 0.0), ("pedestrian", 0.6)):
        world.cast.add(library_actor(kind, track=PoseTrack.still(pose_at(angle, 1.5))))
    for kind in range(4):
        frame, label = room_frame(pose_at(0.3 + kind), world.time_ns + PERIOD_NS)
        world.observe(of_any_making(frame, kind))
        mask = read_only(frame.depth > 1.0) if kind % 2 else (frame.depth > 1.0).T.copy().T
        world.memory.integrate(replace(frame, stamp_ns=frame.stamp_ns + 1), mask=mask, label=label if kind < 2 else label[::-1])
    first = world.snapshot()
    editor = Editor(world.memory)
    editor.remove(BALLS[0])
    fly(world, 0.1)
    editor.move(BALLS[1], np.array([[1, 0, 0, 0.1], [0, 1, 0, 0], [0, 0, 1, 0.2], [0, 0, 0, 1.0]]))
    fly(world, 0.8)
    editor.recolour(BALLS[2], (1.0, 0.0, 0.0), 0.5)
    editor.add(room_memory(2).points())
    fly(world, 1.6)
    for _ in range(4):
        editor.undo()
        fly(world, 0.2)
    for _ in range(2):
        editor.redo()
    return around(world, first, folder)


def around(world: World, first: WorldSnapshot, folder: Path) -> World:
    """Through files and back."""
    world.memory.save(folder / "kept.spatia")
    world.memory.export_ply(folder / "kept.ply")
    edited = world.snapshot()
    checkpoint.write(folder / "now", checkpoint.Saved(edited, {}))
    for snapshot in (first, edited, checkpoint.read(folder / "now").world):
        world.restore(snapshot)
        fly(world, 0.4)
    without = Memory(world.config.memory)  # a file has no labels of chunks where there are none
    without.integrate(room_frame(pose_at(0.0))[0])
    without.save(folder / "nameless.spatia")
    kept, nameless = folder / "kept.spatia", folder / "nameless.spatia"
    for source in (Memory.load(kept), Memory.load(nameless), Memory.open(kept)):
        other = World(world.config, source, world.generator, CAMERA, world.cast)
        other.time_ns = world.time_ns
        fly(other, 0.7)
        Editor(source).remove(BALLS[2])
        fly(other, 0.9)
        if source.pages:
            source.flush()
            source.pack()
        fly(other, 1.0)
    return world


def made_alike(signature: tuple) -> str:
    """A signature, but for the layout of its arrays and whether they may be written to."""
    plain = (types.Array(a.dtype, a.ndim, "C") if isinstance(a, types.Array) else a for a in signature)
    return ", ".join(map(str, plain))


def used() -> dict[str, list[tuple]]:
    """The signatures of this package's kernels that were used in this process."""
    return {f"{k.__module__}.{k.__name__}": list(k.signatures) for k in kernels.ALL if k.signatures}


def compiled_again(folder: Path) -> dict[str, list[tuple]]:
    """The kernels that were compiled more than once for arrays of one dtype, after all that."""
    live(folder)
    assert kernels.compiled() >= len(used()) > 60
    return {name: found for name, found in used().items() if len({made_alike(s) for s in found}) < len(found)}


def loaded_by_frames(folder: Path) -> set[str]:
    """The kernels that the first frames of a world from a file wait for, once it is warmed up."""
    world = world_of(Memory.load(folder / "room.spatia"))
    warm_up(world)
    warm = used()
    fly(world, 0.5)
    return {name for name, found in used().items() if len(found) > len(warm.get(name, ()))}


def apart(work: Callable[[Path], Any], folder: Path) -> Any:
    """Do something in a process of its own, where nothing that other tests compiled is there."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (folder,))


def test_a_world_compiles_each_kernel_once_whoever_made_its_arrays(tmp_path: Path) -> None:
    """Where a kernel is compiled and not loaded, those it calls are among the signatures as well: then it is looked at again."""
    assert not (apart(compiled_again, tmp_path) and apart(compiled_again, tmp_path))


def test_no_frame_of_a_world_that_was_warmed_up_waits_for_a_kernel(tmp_path: Path) -> None:
    room_memory(3).save(tmp_path / "room.spatia")
    assert not apart(loaded_by_frames, tmp_path)
