"""A world on disk, whole: what :class:`spatia_ros.world.WorldSnapshot` holds, in one checksummed file, and a folder of them.

A folder holds generations, each a file that is never changed once it is there. The manifest names the newest, and is replaced
by a rename once that file is on disk; then older ones go, but for the last before. So whenever a writer is killed, what the
manifest names is whole; and should the newest be damaged all the same, the one before it is there.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.actors.actor import Actor
from spatia_ros.actors.body import BodyPoints, RigidBody
from spatia_ros.actors.cast import CastSnapshot
from spatia_ros.actors.clock import Change, Clock
from spatia_ros.actors.jointed import JointedBody, Part
from spatia_ros.actors.observed import Observation, ObservedBody
from spatia_ros.actors.track import PoseTrack
from spatia_ros.config import MemoryConfig
from spatia_ros.formats.value_tree import Flattening, Rebuilding
from spatia_ros.generator.anchor import Anchor
from spatia_ros.generator.box import DrawnBox
from spatia_ros.generator.condition import Context, ContextFrame
from spatia_ros.generator.stream import Held, StreamState
from spatia_ros.memory import Keyframe, MemorySnapshot
from spatia_ros.memory.keyframes import KeyframeSet
from spatia_ros.memory.log import Log
from spatia_ros.memory.store_state import arrays_of, store_of
from spatia_ros.types import Camera, SpatiaError
from spatia_ros.world import WorldSnapshot

KNOWN: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Actor, Anchor, BodyPoints, Camera, CastSnapshot, Change, Clock, Context, ContextFrame, DrawnBox, Held, JointedBody,
        Keyframe, Observation, ObservedBody, Part, PoseTrack, RigidBody, StreamState,
    )
}  # fmt: skip
"""What a world may be made of."""
FORMAT = "spatia checkpoint 1"
ARRAY = b"ARRY"
MANIFEST, SUFFIX, LOCK = "checkpoint.json", ".checkpoint", "lock"
KEPT = 2
"""Generations that stay: the newest, and the one before."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a checkpoint holds: a world's state, and whatever else its owner wants back (numbers, words, arrays)."""

    world: WorldSnapshot
    about: dict[str, Any]

    @property
    def memory(self) -> MemoryConfig:
        """Of the memory that the world goes on in."""
        return self.world.memory.keyframes.config


class Abandoned(Exception):
    """What was being written is no longer wanted."""


def write(path: Path, saved: Saved, needless: Callable[[], bool] = lambda: False) -> None:
    """Write a new file; it counts once this returns.

    Args:
        needless: asked before each array, and before all of it is made to count.

    Raises:
        Abandoned: when it was needless. What there is of the file then is nothing.
        SpatiaError: when something in it is of no known kind, or its memory is attached to a file.
    """
    world, flat = saved.world, Flattening(KNOWN)
    if world.memory.pages is not None:
        raise SpatiaError("checkpoint: expected a memory that is not attached to a file")
    memory = {
        "store": arrays_of(world.memory.store), "keyframes": world.memory.keyframes.keyframes,
        "epoch_ns": world.memory.epoch_ns, "names": world.memory.names,
        "config": world.memory.keyframes.config.model_dump(mode="json"),
    }  # fmt: skip
    parts = {"cast": world.cast, "stream": world.stream, "rng_state": world.rng_state}
    parts |= {"index": world.index, "time_ns": world.time_ns, "prompt": world.prompt}
    tree = flat.tree({"memory": memory, "world": parts, "about": saved.about})
    log = Log(path, write=True, new=True)
    try:
        offsets = []
        for array in flat.arrays:
            _stop_if(needless)
            offsets.append(log.append(ARRAY, [array]).offset)
        _stop_if(needless)
        log.commit([json.dumps({"format": FORMAT, "arrays": offsets, "tree": tree}).encode()])
    finally:
        log.close()


def _stop_if(needless: Callable[[], bool]) -> None:
    if needless():
        raise Abandoned


def read(path: Path) -> Saved:
    """What is in a file.

    Raises:
        SpatiaError: when the file is damaged, cut short, or holds no checkpoint.
    """
    log = Log(path)
    try:
        return _read(log)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise SpatiaError(f"{path}: not a usable checkpoint: {type(error).__name__}: {error!s:.300}") from error
    finally:
        log.close()


def _read(log: Log) -> Saved:
    assert log.committed is not None
    text = json.loads(log.part(log.committed, 0).tobytes())
    if text.get("format") != FORMAT:
        raise SpatiaError(f"{log.path}: expected {FORMAT!r}, got {text.get('format')!r:.80}")
    arrays = [log.part(log.record(offset), 0) for offset in text["arrays"]]
    whole = Rebuilding(arrays, KNOWN).value(text["tree"])
    memory = whole["memory"]
    config = MemoryConfig.model_validate(memory["config"])
    keyframes = KeyframeSet(config)
    for keyframe in memory["keyframes"]:
        keyframes.append(keyframe)
    kept = store_of(memory["store"], config.max_points, config.feature_channels)
    snapshot = MemorySnapshot(kept, keyframes, memory["epoch_ns"], memory["names"], None)
    world = WorldSnapshot(memory=snapshot, **whole["world"])
    _check_kinds(world, whole["about"])
    return Saved(world, whole["about"])


def _check_kinds(world: WorldSnapshot, about: Any) -> None:
    """Refuse what is made of known parts in the wrong places: it would only fail once somebody goes on with it."""
    cast, stream, memory = world.cast, world.stream, world.memory
    sound = isinstance(cast, CastSnapshot) and isinstance(cast.clock, Clock) and isinstance(cast.next_id, int)
    sound = sound and isinstance(cast.actors, tuple) and all(isinstance(actor, Actor) for actor in cast.actors)
    sound = sound and isinstance(stream, StreamState | tuple) and isinstance(world.prompt, str) and isinstance(about, dict)
    if isinstance(stream, StreamState):
        sound = sound and isinstance(stream.recent, tuple) and all(isinstance(each, ContextFrame) for each in stream.recent)
        sound = sound and isinstance(stream.held, Held | None) and isinstance(stream.computed, dict)
        sound = sound and isinstance(stream.boxes, tuple) and isinstance(stream.prompt, np.ndarray | None)
    numbers = (world.index, world.time_ns, memory.epoch_ns or 0)
    if (
        not sound
        or not all(isinstance(each, int) and abs(each) < 2**63 for each in numbers)
        or not isinstance(memory.names, dict)
    ):
        raise SpatiaError("checkpoint: expected a world's parts, each in its place, got others")
    np.random.default_rng().bit_generator.state = world.rng_state  # says what is wrong with it


class Checkpoints:
    """The folder with the newest generations; one at a time has it.

    Raises:
        SpatiaError: when there can be no such folder, or another has it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SpatiaError(f"checkpoint: expected a folder that can be made, {folder} is none: {error.strerror}") from None
        self._lock = (folder / LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SpatiaError(f"checkpoint: expected a folder of its own, another node keeps its state in {folder}") from None
        self.number = max(self._numbers(), default=0)
        """Of the newest that counts; 0: none yet."""
        named = set(map(_stem, self._numbers()))
        for file in folder.glob(f"*{SUFFIX}"):
            if file.stem not in named:  # a writer was killed before it could name it
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let another have the folder; so does the end of the process."""
        self._lock.close()

    def _numbers(self) -> list[int]:
        """The generations the manifest names, the newest first; without a manifest those that there are files of."""
        try:
            numbers = json.loads((self.folder / MANIFEST).read_bytes())["generations"]
            return sorted({int(n) for n in numbers if int(n) > 0}, reverse=True)[:KEPT]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            there = [int(file.stem) for file in self.folder.glob(f"*{SUFFIX}") if file.stem.isdecimal()]
            return sorted(there, reverse=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{_stem(number)}{SUFFIX}"

    def write(self, saved: Saved, needless: Callable[[], bool] = lambda: False) -> int:
        """Keep a state as the newest; returns its number. Whatever goes wrong, what was there stays.

        Args:
            needless: says, asked now and then meanwhile, that it is no longer wanted.

        Raises:
            Abandoned: when it was needless. SpatiaError, OSError: when it could not be written.
        """
        number, before = self.number + 1, self._numbers()
        path = self._path(number)
        path.unlink(missing_ok=True)
        try:
            write(path, saved, needless)
            self._name([number, *before][:KEPT])
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.number = number
        for old in before[KEPT - 1 :]:
            self._path(old).unlink(missing_ok=True)
        return number

    def _name(self, numbers: list[int]) -> None:
        write_whole(self.folder / MANIFEST, json.dumps({"format": FORMAT, "generations": numbers}), synced=True)

    def read(self) -> tuple[Saved | None, list[str]]:
        """The newest state that is whole, None without one; and what was wrong with newer ones, in words."""
        wrong: list[str] = []
        for number in self._numbers():
            try:
                return read(self._path(number)), wrong
            except SpatiaError as error:
                wrong.append(str(error))
        return None, wrong


def write_whole(path: Path, text: str, *, synced: bool = False) -> None:
    """Put a small text in a file's place, all of it or nothing; ``synced``: so that it survives a loss of power."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with partial.open("x") as file:  # never through a link that somebody put there
        file.write(text)
        file.flush()
        if synced:
            os.fsync(file.fileno())
    os.replace(partial, path)
    if synced:
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _stem(number: int) -> str:
    return f"{number:08d}"
