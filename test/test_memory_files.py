"""Stored worlds that can be trusted: what was committed is there or is refused, whatever happened to the file since."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from test_memory import CAMERA, SHAPE, frame, plane_depth, room_memory

from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory, Points, version1
from spatia_ros.memory import log as logs
from spatia_ros.memory.chunks import ChunkPoints
from spatia_ros.memory.log import Log, digest
from spatia_ros.memory.paging import all_chunks
from spatia_ros.memory.quantise import POSITION_STEPS, WEIGHT_ERROR
from spatia_ros.memory.store import verify
from spatia_ros.types import SpatiaError

DISTANCES_M = (1.0, 2.0, 3.0)


def wall(distance_m: float, stamp_ns: int = 0):
    return frame(plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), distance_m), level=int(30 * distance_m), stamp_ns=stamp_ns)


def canonical(memory: Memory) -> Points:
    """The points in an order that does not depend on how they came in."""
    points = memory.points()
    order = np.lexsort(points.xyz.T)
    return Points(*(column if column is None else column[order] for column in points))


def same(a: Memory, b: Memory) -> bool:
    fields = all(np.array_equal(x, y) for x, y in zip(canonical(a), canonical(b), strict=True) if x is not None)
    keys = len(a.keyframes) == len(b.keyframes) and all(
        np.array_equal(x.rgb, y.rgb) and np.array_equal(x.depth, y.depth) and np.array_equal(x.T_world_cam, y.T_world_cam)
        and np.array_equal(x.sensed, y.sensed) and x.camera == y.camera and x.stamp_ns == y.stamp_ns
        for x, y in zip(a.keyframes.keyframes, b.keyframes.keyframes, strict=True)
    )  # fmt: skip
    return fields and keys and a.config == b.config and a.epoch_ns == b.epoch_ns and a.names == b.names


def by_voxel(memory: Memory) -> ChunkPoints:
    """All points of a memory, as one chunk, by block and voxel."""
    parts = list(all_chunks(memory))
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ChunkPoints.__slots__ if name != "key"}
    order = np.lexsort((columns["voxel"], columns["block"]))
    return ChunkPoints(0, **{name: column[order] for name, column in columns.items()})


def in_commits(path: Path) -> list[tuple[int, int]]:
    """Build a file of three commits; returns its size and the memory's points after each."""
    Memory(MemoryConfig(voxel_m=0.05, carve_margin_m=10.0)).save(path)
    memory, after = Memory.open(path), []
    for k, distance_m in enumerate(DISTANCES_M):
        memory.integrate(wall(distance_m, k * 10**8))
        memory.flush()
        after.append((path.stat().st_size, len(memory)))
    return after


def points_or_refusal(path: Path) -> int | str:
    """How many points a file loads to, or, when it is refused, the file's name as found in the sentence."""
    try:
        return len(Memory.load(path))
    except SpatiaError as error:
        return path.name if path.name in str(error) else f"unnamed: {error}"


def test_an_exact_file_is_identity_and_what_follows_is_the_same(tmp_path: Path) -> None:
    memory, poses = room_memory()
    memory.save(tmp_path / "room.spatia", exact=True)
    loaded = Memory.load(tmp_path / "room.spatia")
    assert same(memory, loaded)
    view, again = memory.render(CAMERA, poses[2], 10**9), loaded.render(CAMERA, poses[2], 10**9)
    assert np.array_equal(view.depth, again.depth)
    assert np.array_equal(view.age_s, again.age_s)
    more = frame(np.full(SHAPE, 1.8, np.float32), poses[1], stamp_ns=2 * 10**9)
    assert memory.integrate(more) == loaded.integrate(more)


def test_a_file_is_exact_to_its_quantum_and_saving_what_was_loaded_changes_no_byte(tmp_path: Path) -> None:
    memory, _ = room_memory()
    first, second = tmp_path / "first.spatia", tmp_path / "second.spatia"
    memory.save(first)
    loaded = Memory.load(first)
    loaded.save(second)
    assert second.read_bytes() == first.read_bytes()
    a, b = by_voxel(memory), by_voxel(loaded)
    for field in ("block", "voxel", "sensed", "label"):
        assert np.array_equal(getattr(a, field), getattr(b, field)), field
    assert np.abs(a.xyz - b.xyz).max() <= 0.02 / (2 * POSITION_STEPS) + 1e-6
    assert np.abs(a.rgb - b.rgb).max() <= 0.5
    assert np.abs(a.weight / b.weight - 1).max() <= WEIGHT_ERROR
    assert np.array_equal(a.seen_ms, b.seen_ms), "a chunk was seen within 65 s"
    assert len(first.read_bytes()) < 30 * len(memory) + 200_000 * len(memory.keyframes)


def test_a_file_cut_at_any_byte_has_everything_up_to_its_last_whole_commit(tmp_path: Path) -> None:
    path, cut = tmp_path / "m.spatia", tmp_path / "cut.spatia"
    after = in_commits(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    cuts = [*rng.integers(0, len(whole), 40).tolist(), *(s + d for s, _ in after for d in (-33, -8, -1, 0, 1, 7, 40)), 0, 7, 9]
    for length in (c for c in cuts if c <= len(whole)):
        cut.write_bytes(whole[:length])
        expected = [points for size, points in after if size <= length]
        if expected:
            assert len(Memory.load(cut)) == expected[-1]
            continue
        assert points_or_refusal(cut) in (0, "cut.spatia"), "the empty commit it began with, or a sentence"
    cut.write_bytes(whole[: after[1][0] + 100])
    reopened = Memory.open(cut)
    assert reopened.pages.log.tail_bytes == 100
    reopened.integrate(wall(3.5, 10**9))
    reopened.flush()
    reopened.pages.log.close()
    assert len(Memory.load(cut)) == len(reopened) > after[1][1]


def test_a_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    memory = Memory(MemoryConfig(voxel_m=0.1))
    memory.integrate(wall(2.0))
    path, broken = tmp_path / "m.spatia", tmp_path / "broken.spatia"
    memory.save(path)
    whole, sound, refused = path.read_bytes(), Memory.load(path), 0
    rng = np.random.default_rng(0)
    for at in [*range(0, 60, 3), *rng.integers(0, len(whole), 80).tolist(), len(whole) - 1, len(whole) - 20]:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(rng.integers(8))
        broken.write_bytes(flipped)
        found = points_or_refusal(broken)
        assert found == "broken.spatia" or same(Memory.load(broken), sound), f"byte {at}"
        refused += found == "broken.spatia"
    assert refused > 90


def test_damage_is_found_when_it_is_read_and_by_verify(tmp_path: Path) -> None:
    path = tmp_path / "m.spatia"
    in_commits(path)
    memory = Memory.open(path, write=False)
    verify(memory)
    record = memory.pages.view.record(0)
    at = record.starts[5] + 3
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    opened = Memory.open(path, write=False)
    assert len(opened) == len(memory), "opening reads the index alone"
    for read in (lambda: opened.points(), lambda: verify(Memory.open(path, write=False)), lambda: Memory.load(path)):
        with pytest.raises(SpatiaError, match=r"m\.spatia: damaged"):
            read()


KILLED = """
import sys
from pathlib import Path
from test_memory_files import wall
from spatia_ros.memory import Memory
memory = Memory.open(sys.argv[1])
for k in range(1000):
    memory.integrate(wall(1.0 + 0.11 * k % 2.5, k * 10**8))
    memory.flush()
    print(len(memory), len(memory.keyframes), flush=True)
"""


def test_a_killed_writer_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "m.spatia"
    Memory(MemoryConfig(voxel_m=0.05, carve_margin_m=10.0)).save(path)
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
    )  # fmt: skip
    assert writer.stdout is not None
    flushed = [writer.stdout.readline() for _ in range(3)][-1]
    with pytest.raises(SpatiaError, match="another process has this memory open"):
        Memory.open(path)
    writer.send_signal(signal.SIGKILL)
    flushed = [flushed, *writer.stdout.read().splitlines()][-1]
    writer.wait()
    points, keyframes = map(int, flushed.split())
    reopened = Memory.open(path)
    assert len(reopened) >= points > 0
    assert len(reopened.keyframes) >= keyframes > 0
    verify(reopened)


def test_what_a_killed_writer_left_is_removed_by_the_next_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    path, old, fresh = (tmp_path / name for name in ("[a].spatia", "[a].spatia.12.partial", "[a].spatia.13.partial"))
    for file in (old, fresh):
        file.write_bytes(b"half")
    os.utime(old, (1.0, 1.0))
    room_memory()[0].save(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, fresh.name]


def test_a_snapshot_of_an_attached_memory_brings_everything_back(tmp_path: Path) -> None:
    path = tmp_path / "m.spatia"
    in_commits(path)
    memory = Memory.open(path)
    memory.integrate(wall(1.5, 10**9))
    before, snapshot = canonical(memory), memory.snapshot()
    for k in range(4):
        memory.integrate(wall(0.5, (20 + k) * 10**8))
        memory.flush()
    memory.pages.pack_all(memory)
    assert not np.array_equal(canonical(memory).xyz, before.xyz)
    memory.restore(snapshot)
    assert all(np.array_equal(a, b) for a, b in zip(canonical(memory), before, strict=True) if a is not None)
    memory.flush()
    memory.pages.log.close()
    assert len(Memory.load(path)) == len(before.xyz)
    with pytest.raises(SpatiaError, match="restore: expected a snapshot of a memory attached to no file"):
        Memory(memory.config).restore(snapshot)


def test_a_file_that_is_half_dead_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "m.spatia"
    in_commits(path)
    memory, sizes = Memory.open(path), []
    for k in range(12):
        memory.integrate(wall(1.0, (10 + k) * 10**8))
        memory.flush()
        sizes.append(path.stat().st_size)
    assert min(np.diff(sizes)) < 0, "some flush made the file smaller"
    live = memory.pages.index.length.sum()
    assert sizes[-1] < 2.5 * live + 3 * 10**5
    memory.pages.log.close()
    assert len(Memory.load(path)) == len(memory)
    assert [p.name for p in tmp_path.iterdir()] == ["m.spatia"]


def save_version1(memory: Memory, path: Path) -> None:
    """A file as the first release wrote it."""
    points, sections = memory.points(), []
    keys, voxels = (a.astype(t) for a, t in zip(located(points.xyz, memory.config.voxel_m), (np.int64, np.uint16), strict=True))
    order = np.argsort(keys, kind="stable")
    block_key, block_size = np.unique(keys, return_counts=True)
    arrays = {
        "block_key": block_key, "block_size": block_size.astype(np.int32), "voxel": voxels[order], "xyz": points.xyz[order],
        "rgb": points.rgb[order].astype(np.float32), "weight": points.confidence[order],
        "seen_ms": ((points.last_seen_ns[order] - (memory.epoch_ns or 0)) // 10**6).astype(np.int32),
        "sensed": points.sensed[order].astype(np.uint8),
    }  # fmt: skip
    for i, k in enumerate(memory.keyframes.keyframes):
        arrays |= {f"keyframe.{i}.rgb": k.rgb, f"keyframe.{i}.depth": k.depth, f"keyframe.{i}.sensed": k.sensed}
    payloads = []
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        data = zlib.compress(raw, 1) if name.startswith("keyframe.") else raw
        payloads.append(data)
        sections.append({
            "name": name, "dtype": array.dtype.name, "shape": list(array.shape), "bytes": len(data), "packed": data is not raw,
            "digest": digest(data).hex(),
        })  # fmt: skip
    kept = [
        {"camera": [k.camera.width, k.camera.height, k.camera.fx, k.camera.fy, k.camera.cx, k.camera.cy],
         "T_world_cam": k.T_world_cam.tolist(), "stamp_ns": k.stamp_ns}
        for k in memory.keyframes.keyframes
    ]  # fmt: skip
    new = ("resident_points", "page_mb", "feature_channels")
    config = {k: v for k, v in memory.config.model_dump().items() if k not in new}
    text = {"version": 1, "config": config, "epoch_ns": memory.epoch_ns, "sections": sections, "keyframes": kept}
    header = json.dumps(text).encode()
    path.write_bytes(b"".join([version1.MAGIC, len(header).to_bytes(8, "little"), header, digest(header), *payloads]))


def located(xyz: np.ndarray, voxel_m: float) -> tuple[np.ndarray, np.ndarray]:
    from spatia_ros.memory.fuse import locate_points

    return locate_points(xyz, voxel_m)


def test_files_of_version_1_are_read_and_migrate(tmp_path: Path) -> None:
    memory, _ = room_memory(4)
    old, new = tmp_path / "old.spatia", tmp_path / "new.spatia"
    save_version1(memory, old)
    loaded = Memory.load(old)
    assert len(loaded) == len(memory)
    assert len(loaded.keyframes) == len(memory.keyframes)
    with pytest.raises(SpatiaError, match="version 1"):
        Memory.open(old)
    loaded.save(new, exact=True)
    assert same(Memory.load(new), loaded)
    data = bytearray(old.read_bytes())
    data[-5] ^= 1
    old.write_bytes(data)
    with pytest.raises(SpatiaError, match=r"old\.spatia: damaged"):
        Memory.load(old)


def test_files_that_lie_under_right_checksums_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone may write a file that lies: then numbers are held against what they may be before a kernel sees them."""
    path, rng, refused = tmp_path / "m.spatia", np.random.default_rng(0), 0
    memory, _ = room_memory(2)
    memory.save(path)
    whole, camera = path.read_bytes(), CAMERA.resized(80, 48)
    monkeypatch.setattr(logs, "digest", lambda *data: bytes(16))
    trusting = tmp_path / "trusting.spatia"
    memory.save(trusting)  # all digests zero: whatever is changed, the checksums are right
    whole = trusting.read_bytes()
    record = Log(trusting).committed
    assert record is not None
    places = [*rng.integers(8, len(whole) - 40, 150), *(record.offset + rng.integers(24, record.length, 50)), *range(8, 300, 5)]
    for at in map(int, places):
        data = bytearray(whole)
        data[at : at + 4] = rng.bytes(4)
        trusting.write_bytes(data)
        try:
            Memory.load(trusting)
            Memory.open(trusting, write=False).render(camera, np.eye(4), 0)
        except SpatiaError:
            refused += 1
    assert refused > 20


GARBAGE = [b"", b"x", b"SPATIA", logs.MAGIC, logs.MAGIC + bytes(500), bytes(5000), logs.TRAILER_MAGIC * 400]


@pytest.mark.parametrize("content", GARBAGE)
def test_garbage_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.spatia"
    path.write_bytes(content)
    for read in (Memory.load, Memory.open):
        with pytest.raises(SpatiaError, match=r"garbage\.spatia"):
            read(path)
    assert path.read_bytes() == content
    path.write_bytes(logs.MAGIC + content * 3)
    with pytest.raises(SpatiaError, match=r"garbage\.spatia"):
        Memory.load(path)


def test_an_exact_file_holds_a_white_that_its_running_mean_rounded_up(tmp_path):
    memory = Memory(MemoryConfig())
    memory.add_points(Points.measured(np.full((1, 3), 0.005, np.float32), np.full((1, 3), 255, np.uint8)))
    colours = memory.store.blocks.rgb
    colours[colours == 255] = np.float32(255.00003)
    memory.save(tmp_path / "white.spatia", exact=True)
    assert Memory.load(tmp_path / "white.spatia").points().rgb.tolist() == [[255, 255, 255]]
