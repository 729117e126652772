"""Whoever takes in every update holds the same points, to the bit, whatever happens to the memory."""

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.memory.edit import Editor
from spatia_ros.memory.regions import Box, Sphere
from spatia_ros.memory.updates import PointCopy, Update, Updates
from spatia_ros.types import Camera, Frame, SpatiaError

CAMERA = Camera.from_fov(64, 48, 1.2)
CONFIG = MemoryConfig(voxel_m=0.05)


def wall_frame(x=0.0, wall_z=2.0, shade=100, stamp_ns=0, sway=0.0):
    """An exact view of a painted wall from somewhere before it."""
    T = geometry.pose(np.eye(3), np.array([x, sway, 0.0]))
    rays = geometry.pixel_rays(CAMERA)
    where = T[:3, 3] + rays * wall_z
    rgb = (shade + 60 * np.sin(3 * where)).astype(np.uint8)
    return Frame(rgb, np.full(rays.shape[:2], wall_z, np.float32), CAMERA, T, stamp_ns)


def held(copy):
    """A copy's points as a set of comparable rows."""
    voxels, xyz, rgb = copy.points()
    return sorted(zip(map(tuple, voxels.tolist()), map(bytes, xyz.view(np.uint8)), map(tuple, rgb.tolist()), strict=True))


def owned(memory):
    """A memory's own, without the voxels."""
    points = memory.points()
    return sorted(zip(map(bytes, np.ascontiguousarray(points.xyz).view(np.uint8)), map(tuple, points.rgb.tolist()), strict=True))


def catch_up(updates, copy, memory, most=700):
    """Tell all there is; returns how many voxels it took."""
    told = 0
    while updates.look(memory):
        update = updates.take(memory, most)
        assert update.size <= most or len(update.removed)
        copy.apply(update)
        told += update.size
    assert sorted(row[1:] for row in held(copy)) == owned(memory)
    voxels, xyz, _ = copy.points()
    inside = np.abs(xyz / CONFIG.voxel_m - (voxels + 0.5))
    assert not len(xyz) or inside.max() < 0.5 + 1e-3
    return told


@pytest.fixture
def followed():
    memory = Memory(CONFIG)
    memory.integrate(wall_frame())
    return memory, Updates(), PointCopy()


def test_a_copy_follows_fusing_carving_edits_and_undo(followed):
    memory, updates, copy = followed
    assert catch_up(updates, copy, memory) == len(memory) > 500
    assert not updates.look(memory)
    memory.integrate(wall_frame(0.4, sway=0.3))
    assert catch_up(updates, copy, memory) > 0
    before = len(memory)
    for _ in range(6):  # seen through from farther behind, until it is gone
        memory.integrate(wall_frame(0.0, wall_z=3.0, shade=120))
        catch_up(updates, copy, memory)
    assert memory.points().xyz[:, 2].max() > 2.9
    assert (memory.points().xyz[:, 2] < 2.5).sum() < before
    editor = Editor(memory)
    editor.remove(Box([-0.3, -0.3, 0], [0.3, 0.3, 4]))
    catch_up(updates, copy, memory)
    editor.recolour(Sphere([0.5, 0.2, 3.0], 0.4), [255, 0, 0])
    editor.move(Sphere([-0.5, 0.2, 3.0], 0.3), geometry.pose(np.eye(3), np.array([10.0, 0, 0])))
    catch_up(updates, copy, memory)
    for _ in range(3):
        editor.undo()
        catch_up(updates, copy, memory)
    editor.redo()
    catch_up(updates, copy, memory)


def test_another_memory_in_its_place_is_told_from_the_beginning(followed, tmp_path):
    memory, updates, copy = followed
    catch_up(updates, copy, memory)
    kept = memory.snapshot()
    memory.integrate(wall_frame(1.0))
    catch_up(updates, copy, memory)
    memory.restore(kept)
    assert updates.look(memory)
    assert updates.take(memory, 10).clear
    updates.restart()
    catch_up(updates, copy, memory)
    memory.save(tmp_path / "m.spatia")
    loaded = Memory.load(tmp_path / "m.spatia")
    catch_up(updates, copy, loaded)
    empty = Memory(CONFIG)
    assert catch_up(updates, copy, empty) == 0
    assert len(copy) == 0


def test_who_joins_is_told_everything_and_the_rest_only_what_changed(followed):
    memory, updates, copy = followed
    catch_up(updates, copy, memory)
    assert not updates.look(memory)
    Editor(memory).recolour(Sphere([0.0, 0.0, 2.0], 0.12), [0, 255, 0])
    changed = catch_up(updates, copy, memory)
    assert 0 < changed < 60  # of the few hundred
    updates.restart()
    late = PointCopy()
    assert catch_up(updates, late, memory) == len(memory)
    assert held(late) == held(copy)


def test_the_work_is_that_of_the_chunks_that_changed(followed, monkeypatch):
    """A dozen walls apart from one another: a change of one is compared with that one's chunks alone."""
    memory, updates, copy = followed
    for k in range(1, 12):
        memory.integrate(wall_frame(8.0 * k))
    catch_up(updates, copy, memory, 10**6)
    compared = []
    original = Updates._compare
    monkeypatch.setattr(Updates, "_compare", lambda self, key, *rest: (compared.append(key), original(self, key, *rest))[1])
    memory.integrate(wall_frame(8.0, shade=140))
    catch_up(updates, copy, memory, 10**6)
    assert 0 < len(compared) <= 8
    assert len(copy.tiles) > 20


def test_a_memory_on_a_file_is_followed_through_packing_and_writing(tmp_path):
    """Few points may stay unpacked: chunks go to the file and back between the updates, rounded by it."""
    first = Memory(CONFIG)
    for k in range(4):
        first.integrate(wall_frame(6.0 * k))
    first.save(tmp_path / "m.spatia")
    memory = Memory.open(tmp_path / "m.spatia", config=CONFIG.model_copy(update={"resident_points": 1500}))
    updates, copy = Updates(), PointCopy()
    rng = np.random.default_rng(0)

    def tell():
        while updates.look(memory):
            copy.apply(updates.take(memory, 900))
        mine = np.concatenate([np.hstack([c.xyz.view(np.uint32), c.rgb]) for c in memory.chunks()])
        _, xyz, rgb = copy.points()
        theirs = np.hstack([xyz.view(np.uint32), rgb])
        assert sorted(map(tuple, mine.tolist())) == sorted(map(tuple, theirs.tolist()))

    tell()
    for i in range(8):
        memory.integrate(wall_frame(6.0 * rng.integers(4), shade=int(rng.integers(70, 150)), sway=rng.normal()))
        if i % 2:
            tell()
        if i == 3:
            memory.flush()
        if i == 5:
            memory.pack()
    tell()
    memory.flush()
    memory.close()
    assert len(Memory.open(tmp_path / "m.spatia", write=False)) == len(copy)


def test_an_update_that_is_none_is_refused():
    n3 = np.empty((0, 3), np.int32)
    with pytest.raises(SpatiaError, match=r"update\.xyz"):
        PointCopy().apply(Update(True, np.zeros((2, 3), np.int32), np.zeros((1, 3), np.float32), np.zeros((2, 3), np.uint8), n3))


def test_of_one_voxel_told_twice_the_last_counts():
    copy, n3 = PointCopy(), np.empty((0, 3), np.int32)
    voxels, xyz = np.array([[1, -2, 300], [1, -2, 300]], np.int32), np.array([[0, 0, 0], [1, 2, 3]], np.float32)
    copy.apply(Update(False, voxels, xyz, np.array([[1, 1, 1], [2, 2, 2]], np.uint8), n3))
    where, at, rgb = copy.points()
    assert (where.tolist(), at.tolist(), rgb.tolist()) == ([[1, -2, 300]], [[1, 2, 3]], [[2, 2, 2]])
    copy.apply(Update(False, n3, xyz[:0], rgb[:0], voxels[:1]))
    assert len(copy) == 0
    assert copy.tiles == {}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_between_the_parts_of_an_update(seed):
    """Told in small parts, while the memory goes on changing, the copy is the map once there is no more to tell."""
    rng = np.random.default_rng(seed)
    memory, updates, copy = Memory(CONFIG), Updates(), PointCopy()
    editor, kept = Editor(memory), memory.snapshot()
    for _ in range(25):
        what = rng.choice(["frame", "frame", "behind", "remove", "move", "undo", "keep", "restore", "join"])
        try:
            if what in ("frame", "behind"):
                far = 2.0 if what == "frame" else 3.0
                memory.integrate(wall_frame(rng.normal(), wall_z=far, shade=int(rng.integers(70, 150)), sway=rng.normal()))
            elif what == "remove":
                editor.remove(Sphere(rng.normal(size=3) + (0, 0, 2), 0.5))
            elif what == "move":
                shift = geometry.pose(np.eye(3), rng.normal(size=3))
                editor.move(Sphere(rng.normal(size=3) + (0, 0, 2), 0.5), shift)
            elif what == "undo":
                editor.undo()
            elif what == "keep":
                kept = memory.snapshot()
            elif what == "restore":
                memory.restore(kept)
            else:
                updates.restart()
        except SpatiaError:
            continue  # nothing there to edit or to undo
        for _ in range(int(rng.integers(3))):
            if updates.look(memory):
                copy.apply(updates.take(memory, int(rng.integers(1, 300))))
    catch_up(updates, copy, memory, 10_000)
    assert len(copy) == len(memory)
