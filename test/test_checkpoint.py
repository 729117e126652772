"""Checkpoints: a world goes on from disk as it would have without, bit by bit; what is torn, damaged or foreign is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_world import CAMERA, CONFIG, path, wall_frame
from test_world_actors import ball, generator_of, rolling

from spatia_ros import checkpoint
from spatia_ros.actors import Actor, PoseTrack
from spatia_ros.actors.library import library_actor
from spatia_ros.actors.observed import Observation, ObservedBody
from spatia_ros.checkpoint import Checkpoints, Saved
from spatia_ros.formats.value_tree import Flattening, Rebuilding
from spatia_ros.memory import Memory
from spatia_ros.memory.block_store import POOL_FIELDS
from spatia_ros.memory.blocks import live_places
from spatia_ros.memory.store_state import arrays_of, store_of
from spatia_ros.types import SpatiaError
from spatia_ros.world import World


def populated(kind: str) -> World:
    """A wall, actors of every kind of body, clocks that were changed, and a camera that has moved on."""
    memory = Memory(CONFIG.memory)
    memory.integrate(wall_frame(0.0))
    memory.names[3] = "wall"
    world = World(CONFIG, memory, generator_of(kind), CAMERA)
    seen = ObservedBody((Observation(0.0, np.eye(4), ball()), Observation(9.0, np.eye(4), ball(0.1))), ball())
    for actor in (
        rolling(0.0, 0.1), Actor("", "seen", seen, colour="red", facts={"lit": True, "age": 3}),
        library_actor("pedestrian", track=PoseTrack.still(np.eye(4)), spacing_m=0.1),
    ):  # fmt: skip
        world.cast.add(actor)
    world.cast.set_clock(world.cast.clock.switched(0.05, 2.0))
    world.advance(path([0.1, 0.2, 0.3]))
    return world


def saved_of(world: World) -> Saved:
    return Saved(world.snapshot(), {"start_ns": world.start_ns, "rig": [np.eye(4), np.float32(0.5)], "words": ("a", None, 1e300)})


def again(saved: Saved, like: World) -> World:
    world = World(like.config, Memory(saved.memory), like.generator, like.camera)
    world.restore(saved.world)
    world.start_ns = saved.about["start_ns"]
    return world


@pytest.mark.parametrize("kind", ["oracle", "space-time"])
def test_a_world_goes_on_from_disk_as_it_would_have_without(kind: str, tmp_path: Path) -> None:
    world = populated(kind)
    folder = Checkpoints(tmp_path)
    assert folder.read() == (None, [])
    assert folder.write(saved_of(world)) == 1
    saved, wrong = folder.read()
    assert saved is not None
    assert not wrong
    assert saved.about["words"] == ("a", None, 1e300)
    assert saved.about["rig"][1].dtype == np.float32
    twin = again(saved, world)
    assert [actor.name for actor in twin.cast] == [actor.name for actor in world.cast]
    for k in range(3):  # far enough that memory and keyframes grow
        onward = path([0.3 + 0.4 * k + 0.1 * i for i in range(3)], first_ns=world.time_ns + 1)
        ours, theirs = world.advance(onward), twin.advance(onward)
        for part in ("rgb", "depth", "provenance", "segmentation", "coverage"):
            np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))
    files = [tmp_path / "ours.spatia", tmp_path / "theirs.spatia"]
    for each, file in zip((world, twin), files, strict=True):
        each.memory.save(file, exact=True)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert twin.memory.names == {3: "wall"}


def test_a_store_is_the_same_after_points_came_and_went(tmp_path: Path) -> None:
    """Free runs, free blocks and the order of all lists are kept: whatever comes next lies where it would have lain."""
    memory = Memory(CONFIG.memory)
    for x in (0.0, 1.0, 2.0):
        memory.integrate(wall_frame(x))
    memory.integrate(wall_frame(0.0, 10**9))
    arrays = {name: array.copy() for name, array in arrays_of(memory.store).items()}
    kept = store_of(arrays, CONFIG.memory.max_points, 0)
    memory.store, before = kept, memory.store
    for store in (before, kept):
        memory.store = store
        memory.integrate(wall_frame(3.0, 2 * 10**9))
    places = live_places(before.blocks)
    np.testing.assert_array_equal(places, live_places(kept.blocks))
    for name, array in arrays_of(before).items():
        if name == "free_next":  # says something for free runs alone
            continue
        chosen = places if name in POOL_FIELDS else slice(None)  # in the other places lies what was there before
        np.testing.assert_array_equal(array[chosen], arrays_of(kept)[name][chosen], err_msg=name)


@pytest.mark.parametrize(
    "name", ["key", "chunk", "start", "room", "size", "voxel_place", "voxel", "first_block", "free_head", "counts"]
)
def test_arrays_that_would_lead_a_kernel_astray_are_refused(name: str) -> None:
    memory = Memory(CONFIG.memory)
    memory.integrate(wall_frame(0.0))
    for value in (-7, 3, 60_000, 2**31 - 1):
        arrays = {key: array.copy() for key, array in arrays_of(memory.store).items()}
        flat = arrays[name].reshape(-1)
        flat[0] = np.array(value).astype(flat.dtype)
        if not np.array_equal(arrays[name], arrays_of(memory.store)[name]):
            with pytest.raises(SpatiaError, match="block store"):
                store_of(arrays, 10**6, 0)


def test_a_file_cut_anywhere_is_refused_and_the_one_before_is_taken(tmp_path: Path) -> None:
    world, folder = populated("oracle"), Checkpoints(tmp_path)
    folder.write(saved_of(world))
    world.advance(path([0.4], first_ns=world.time_ns + 1))
    assert folder.write(saved_of(world)) == 2
    newest = tmp_path / "00000002.checkpoint"
    whole = newest.read_bytes()
    for cut in np.linspace(0, len(whole) - 1, 23).astype(int):
        newest.write_bytes(whole[:cut])
        saved, wrong = folder.read()
        assert saved is not None
        assert (saved.world.index, len(wrong)) == (3, 1)
    newest.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    saved, wrong = folder.read()
    assert saved is not None
    assert saved.world.index == 3
    newest.write_bytes(whole)
    saved, wrong = folder.read()
    assert saved is not None
    assert (saved.world.index, wrong) == (4, [])
    (tmp_path / checkpoint.MANIFEST).unlink()  # even so, the files speak for themselves
    saved, wrong = folder.read()
    assert saved is not None
    assert saved.world.index == 4


KILLED = """
import sys, os
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
from test_checkpoint import populated, saved_of
from spatia_ros.checkpoint import Checkpoints
folder, saved = Checkpoints(Path(sys.argv[1])), saved_of(populated("oracle"))
print("ready", flush=True)
while True:
    print(folder.write(saved), flush=True)
"""


def test_killed_at_any_moment_of_a_write_the_last_one_that_was_told_is_there(tmp_path: Path) -> None:
    """A writer without pause, killed three times: what it had told of as written is read, by whoever comes next."""
    root, rng = Path(__file__).resolve().parents[1], np.random.default_rng(4)
    last = 0
    for _ in range(3):
        arguments = [sys.executable, "-c", KILLED, str(tmp_path), str(root), str(root / "test")]
        writer = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)})
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(2 + int(rng.integers(1, 4)))]
        writer.kill()
        lines += writer.stdout.readlines()
        writer.wait()
        assert lines[0] == "ready\n"
        told = int([line for line in lines if line.endswith("\n")][-1])
        assert int(lines[1]) == last + 1 or int(lines[1]) == last + 2  # one may have been written and not told
        folder = Checkpoints(tmp_path)
        saved, wrong = folder.read()
        assert saved is not None
        assert not wrong
        assert folder.number in (told, told + 1)
        last = folder.number
        folder.close()


def test_a_folder_belongs_to_one(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path)
    with pytest.raises(SpatiaError, match="another node keeps its state"):
        Checkpoints(tmp_path)
    first.close()
    Checkpoints(tmp_path).close()


def test_what_is_of_no_known_kind_is_not_kept(tmp_path: Path) -> None:
    world, folder = populated("oracle"), Checkpoints(tmp_path)
    with pytest.raises(SpatiaError, match=r"expected a value of a known kind, got pathlib"):
        folder.write(Saved(world.snapshot(), {"path": tmp_path}))
    assert [p.name for p in tmp_path.iterdir()] == ["lock"]
    assert folder.number == 0


@pytest.mark.parametrize("asked", [1, 5])
def test_what_is_no_longer_wanted_is_given_up_and_what_was_there_stays(asked: int, tmp_path: Path) -> None:
    """Whether it is told so before the first array or in the middle."""
    world, folder = populated("oracle"), Checkpoints(tmp_path)
    folder.write(saved_of(world))
    before = sorted(p.name for p in tmp_path.iterdir())
    world.advance(path([0.4], first_ns=world.time_ns + 1))
    answers = iter([False] * (asked - 1) + [True])
    with pytest.raises(checkpoint.Abandoned):
        folder.write(saved_of(world), lambda: next(answers))
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert folder.number == 1
    saved, wrong = folder.read()
    assert saved is not None
    assert (saved.world.index, wrong) == (3, [])
    assert folder.write(saved_of(world)) == 2


WRONG_TREES = [
    {"object": "Path", "fields": {}}, {"object": "Camera", "fields": {"width": 1}}, {"array": 9}, {"same": 5}, {"list": 3},
    {"number": ["O", "00"]},
]  # fmt: skip


@pytest.mark.parametrize("tree", WRONG_TREES)
def test_a_tree_that_cannot_be_is_refused(tree: Any) -> None:
    with pytest.raises(SpatiaError):
        Rebuilding([], checkpoint.KNOWN).value(tree)


def test_one_object_twice_is_one_object_again() -> None:
    array, flat = np.arange(3), Flattening({})
    tree = flat.tree([array, array, {"a": array}])
    assert len(flat.arrays) == 1
    first, second, third = Rebuilding([a.view(np.uint8) for a in flat.arrays], {}).value(tree)
    assert first is second is third["a"]
