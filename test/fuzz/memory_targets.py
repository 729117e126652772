"""Memory files: damaged, cut, patched, and, sealed anew with right checksums, wrong in what they say."""

from __future__ import annotations

import json
import random
import tempfile
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from file_target import FileTarget, Read
from hypothesis import strategies as st
from mutator import damaged
from test_memory_files import save_version1
from value_trees import near

from spatia_ros import checkpoint, config
from spatia_ros.actors import PoseTrack
from spatia_ros.actors.library import library_actor
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory, version1
from spatia_ros.memory.log import COMMIT, DIGEST_BYTES, MAGIC, Log, digest
from spatia_ros.memory.memory import Points
from spatia_ros.memory.store import is_version1, verify
from spatia_ros.types import Camera, Frame, SpatiaError
from spatia_ros.world import World, open_world

CAMERA = Camera(32, 24, 20, 20, 16, 12)


def small_memory(features: int = 0) -> Memory:
    """Some hundred points and two keyframes."""
    rng, memory = np.random.default_rng(3), Memory(MemoryConfig(voxel_m=0.05, feature_channels=features))
    for k in range(2):
        depth = np.abs(rng.normal(2, 0.3, (24, 32))).astype(np.float32)
        memory.integrate(Frame(rng.integers(0, 256, (24, 32, 3)).astype(np.uint8), depth, CAMERA, np.eye(4), k))
    memory.names[3] = "chair"
    return memory


def read(path: Path) -> None:
    """Load it; and open it where it lies, read every record, look at it."""
    memory = Memory.load(path)
    check(memory)
    if is_version1(path):
        return
    attached = Memory.open(path, write=False)
    try:
        look(attached)
        verify(attached)
    finally:
        attached.pages.log.close()


def check(memory: Memory) -> None:
    """What was taken in is in order."""
    points: Points = memory.points()
    assert np.isfinite(points.xyz).all(), "points that are not finite"
    assert np.isfinite(points.confidence).all(), "weights that are not finite"
    assert (points.confidence > 0).all(), "weights that are none"
    assert len(points.xyz) == len(memory), "the count of points is wrong"
    look(memory)


def look(memory: Memory) -> None:
    """A picture of it is in order."""
    view = memory.render(CAMERA, np.eye(4), 0)
    assert np.isfinite(view.depth).all(), "depth that is not finite"
    assert (view.depth >= 0).all(), "depth below zero"
    memory.retrieve(view, CAMERA, np.eye(4), 2)


def records_of(path: Path) -> list[tuple[bytes, list[bytes]]]:
    """Kind and parts of every record of a log, in order."""
    log, at, out = Log(path), len(MAGIC), []
    while at < log.end:
        record = log.record(at)
        out.append((record.kind, [log.part(record, i).tobytes() for i in range(len(record.starts))]))
        at += record.length
        if record.kind == COMMIT:
            break
    log.close()
    return out


def sealed(records: list[tuple[bytes, list[bytes]]]) -> bytes:
    """A log of these records, the last of them its commit, with right checksums."""
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder) / "log", write=True, new=True)
        for kind, parts in records[:-1]:
            log.append(kind, parts)
        log.commit(records[-1][1])
        log.close()
        return (Path(folder) / "log").read_bytes()


class Sealed(FileTarget):
    """A memory file whose parts are damaged and whose checksums are right."""

    def __init__(self, name: str, records: list[tuple[bytes, list[bytes]]], reader: Read = read) -> None:
        super().__init__(name, "m.spatia", [sealed(records)], reader)
        self._records = records

    def damaged(self, rng: random.Random) -> bytes:
        records = [(kind, list(parts)) for kind, parts in self._records]
        for _ in range(rng.choice((1, 1, 2))):
            kind, parts = rng.choice(records)
            at = rng.randrange(len(parts))
            new = damaged(rng, parts[at])
            # Of another length, the offsets behind it would be wrong, and nothing else be tried.
            keep = kind != COMMIT and rng.random() < 0.9
            parts[at] = (new + parts[at][len(new) :])[: len(parts[at])] if keep else new
        return sealed(records)


class Commits(Sealed):
    """A memory file whose commit says other things."""

    by_damage = False

    def __init__(self, name: str, records: list[tuple[bytes, list[bytes]]]) -> None:
        super().__init__(name, records)
        rows = np.frombuffer(records[-1][1][1], np.int64).reshape(-1, 5)
        self._said = {"text": json.loads(records[-1][1][0]), "index": rows.tolist()}

    def strategy(self) -> st.SearchStrategy[bytes]:
        return near(self._said).map(self._resealed)

    def _resealed(self, tree: Any) -> bytes:
        tree = tree if isinstance(tree, dict) else {}
        try:
            rows = np.array(tree.get("index"), np.int64).tobytes()
        except (ValueError, TypeError, OverflowError):
            rows = self._records[-1][1][1]
        text = json.dumps(tree.get("text")).encode(errors="surrogatepass")
        return sealed([*self._records[:-1], (COMMIT, [text, rows])])


class Said(Sealed):
    """A file of arrays and a text that says what they are, whose text says other things."""

    by_damage = False

    def strategy(self) -> st.SearchStrategy[bytes]:
        def resealed(tree: Any) -> bytes:
            return sealed([*self._records[:-1], (COMMIT, [json.dumps(tree).encode(errors="surrogatepass")])])

        return near(json.loads(self._records[-1][1][0])).map(resealed)


@lru_cache
def world_at(folder: Path) -> World:
    """A tiny world with an actor in it, two frames old."""
    frame = Frame(np.zeros((24, 32, 3), np.uint8), np.full((24, 32), 2.0, np.float32), CAMERA, np.eye(4), 0)
    small = {"camera": {"width_px": 32, "height_px": 32}, "generator": {"name": "projection"}}
    world = open_world(config.from_dict(small), [frame])
    world.cast.add(library_actor("ball", track=PoseTrack.still(np.eye(4)), spacing_m=0.2))
    for _ in range(2):
        world.look(np.eye(4))
    return world


def reopened(path: Path) -> None:
    """Read a checkpoint, and go on with the world in it."""
    world = world_at(path.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers near the limits of their type are no fault of the reader
        world.restore(checkpoint.read(path).world)
        try:
            world.look(np.eye(4))
        except AssertionError as error:  # what the core asserts of itself a checkpoint can break, with the right checksums
            raise SpatiaError(f"checkpoint: expected a world that can go on, got {error}") from None


class Version1(FileTarget):
    """A file of the first release whose header says other things, with the right checksum."""

    def strategy(self) -> st.SearchStrategy[bytes]:
        data = self._valid[0]
        length = int.from_bytes(data[8:16], "little")
        rest = data[16 + length + DIGEST_BYTES :]

        def resealed(tree: Any) -> bytes:
            header = json.dumps(tree).encode(errors="surrogatepass")
            return b"".join([version1.MAGIC, len(header).to_bytes(8, "little"), header, digest(header), rest])

        return near(json.loads(data[16 : 16 + length])).map(resealed)


def targets() -> Iterator[FileTarget]:
    """All of them."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-valid-"))
    memory = small_memory()
    memory.save(folder / "exact.spatia", exact=True)
    memory.save(folder / "m.spatia")
    save_version1(memory, folder / "old.spatia")
    both = [(folder / name).read_bytes() for name in ("m.spatia", "exact.spatia")]
    yield FileTarget("memory_bytes", "m.spatia", both, read)
    yield Sealed("memory_sealed", records_of(folder / "m.spatia"))
    yield Sealed("memory_sealed_exact", records_of(folder / "exact.spatia"))
    yield Commits("memory_commit", records_of(folder / "m.spatia"))
    snapshot = world_at(folder).snapshot()
    checkpoint.write(
        folder / "c.checkpoint", checkpoint.Saved(snapshot, {"rig": np.eye(4), "mode": 1, "label": ["a", None, 2.5]})
    )
    yield Sealed("checkpoint_sealed", records_of(folder / "c.checkpoint"), reopened)
    yield Said("checkpoint_said", records_of(folder / "c.checkpoint"), reopened)
    yield Version1("memory_version1", "old.spatia", [(folder / "old.spatia").read_bytes()], read)
