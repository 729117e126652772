"""What a world node shows now: which world it is, how it began, and going back there, to another one, or to none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import IntFlag
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spatia_ros.actors import Actor
from spatia_ros.config import MemoryConfig
from spatia_ros.formats import cloud_file, mesh_file
from spatia_ros.memory import Memory
from spatia_ros.msg import SimStatus
from spatia_ros.nodes.part import Part
from spatia_ros.nodes.rig.frames import RigPose
from spatia_ros.nodes.settings import SourceSettings
from spatia_ros.nodes.snapshots import Kept
from spatia_ros.sequence import BAG_SUFFIXES
from spatia_ros.sequence.folder import is_image_folder
from spatia_ros.types import Camera, Float64, SpatiaError
from spatia_ros.world import World

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

ROOM, EMPTY = "builtin:room", "builtin:empty"
BUILTIN = {ROOM: "a furnished living room, scanned by a simulated camera", EMPTY: "nothing yet: all is invented"}


class Scope(IntFlag):
    """What a reset takes back, numbered as simulation_interfaces/ResetSimulation has it."""

    TIME = 1
    STATE = 2
    SPAWNED = 4


EVERYTHING = Scope.TIME | Scope.STATE | Scope.SPAWNED


@dataclass(frozen=True, slots=True)
class NamedPose:
    """A place in the map that a world's maker gave a name: float64 [4, 4]; the size [3] of the room there, m, None: not told."""

    name: str
    T_map: Float64
    description: str = ""
    tags: tuple[str, ...] = ()
    size_m: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What is said of a world: it is loaded by its uri, or where that is empty by its text."""

    name: str
    uri: str = ""
    text: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    poses: tuple[NamedPose, ...] = ()

    def described(self, words: str) -> Label:
        """The same with a description."""
        return replace(self, description=words)


def kind_of_world(path: Path) -> str:
    """What a file or folder is as a world, in a word; empty: nothing."""
    suffix = path.suffix.lower()
    if path.is_dir():
        recorded = (path / "rgb.txt").is_file() or (path / "metadata.yaml").is_file()
        return "recording" if recorded or is_image_folder(path) else ""
    kinds = {"memory": (".spatia",), "recording": BAG_SUFFIXES, "mesh": mesh_file.SUFFIXES, "cloud": cloud_file.SUFFIXES}
    if suffix == ".ply":
        try:
            return "mesh" if mesh_file.ply_has_faces(path) else "cloud"
        except (SpatiaError, OSError):
            return "cloud"
    return next((kind for kind, suffixes in kinds.items() if suffix in suffixes), "")


def label_of(source: SourceSettings, story: str, folder: Path) -> Label:
    """What is said of the world that the parameters name; relative paths start in the folder."""
    if source.sequence == "builtin" or not any((source.sequence, source.memory, source.place, source.cloud_topic)):
        uri = ROOM if source.sequence else EMPTY
        return Label(uri, uri, description=BUILTIN[uri], tags=("builtin",))
    if source.cloud_topic:
        return Label(source.cloud_topic, description=story, tags=("cloud",))
    uri = source.sequence or source.memory or source.place
    return Label(Path(uri).stem, uri, description=story, tags=(kind_of_world(folder / uri),))


@dataclass(frozen=True, slots=True)
class Start:
    """How a world began."""

    kept: Kept
    memory: MemoryConfig
    camera: Camera


class Scene(Part):
    """The world that is loaded. All but the label is for the worker's thread.

    Args:
        label: of the world that the face has now; None: of none.
        first_ids: actors that were there when it began; None: all that are there now.
    """

    def __init__(self, face: WorldFace, label: Label | None, first_ids: Iterable[int] | None = None) -> None:
        self._face = face
        self.label = label
        self.first_ids = frozenset[int]()
        """Numbers of the actors that were not spawned."""
        self._first_ns = 0  # of the world's seconds
        self._first_stamp_ns = face.stamp_ns
        self._spawned_as: dict[int, Actor] = {}
        self._start: Start | None = None
        self.on_state_reset: Callable[[], None] = lambda: None
        """Called when the state is reset or the world is another, for what else belongs to it."""
        self.start_pose: Float64 = np.eye(4)
        """Where the rig was in the map when the world began, [4, 4]."""
        self.begin()
        if first_ids is not None:
            self.first_ids = frozenset(first_ids)

    def fill(self, status: SimStatus) -> None:
        """The state of the simulation, and the world's name."""
        status.simulation_state, status.world = int(self._face.play.state), self.label.name if self.label else ""

    def begin(self) -> None:
        """What is now is how the world began."""
        face = self._face
        self.first_ids, self._first_ns = frozenset(actor.id for actor in face.cast), self._world_ns
        self.start_pose = face.rig.pose.T_map_base
        self._spawned_as.clear()
        self._start = None
        if face.settings.simulation.keep_start:
            self._start = Start(face.snapshots.take(), face.world.memory.config, face.world.camera)

    @property
    def _world_ns(self) -> int:
        return self._face.world.time_ns - self._face.world.start_ns

    @property
    def keeps_start(self) -> bool:
        """Whether the state can be reset."""
        return self._start is not None

    # Another world, or none

    def enter(self, world: World, T_map_base: Float64, label: Label | None) -> None:
        """Put another world in the place of this one, as if the node had been started with it; None: it is no world at all."""
        face = self._face
        face.worker.halt()
        face.put(world)
        face.rig.pose = RigPose(np.eye(4), np.eye(4), np.zeros(6))
        face.rig.move(T_map_base, 1.0, jump=True)
        face.frames.go_back(self._first_stamp_ns)
        face.snapshots.forget()
        self.label = label
        self.begin()
        self.on_state_reset()

    def leave(self) -> None:
        """Have no world: an empty place in the rest of a world."""
        old = self._face.world
        self.enter(World(old.config, Memory(old.config.memory), old.generator, old.camera), np.eye(4), None)

    # Actors that came later

    def spawned(self, actor: Actor) -> None:
        """An actor was spawned, as it is now."""
        self._spawned_as[actor.id] = actor

    def deleted(self, actor: Actor) -> None:
        """An actor is no more."""
        self._spawned_as.pop(actor.id, None)

    def _is_spawned(self, actor: Actor) -> bool:
        return actor.id not in self.first_ids

    def _as_spawned(self, actor: Actor) -> Actor:
        """How an actor was when it was spawned; as it is, where that is another one or not known."""
        first = self._spawned_as.get(actor.id)
        return first if first is not None and first.body is actor.body else actor

    # Resets

    def reset(self, scope: Scope) -> None:
        """Take back what the scope says, and only that.

        TIME: stamps and the world's seconds are those of the start. STATE: place, memory, randomness, actors, clocks and the rig
        are as at the start, spawned actors as they were spawned. SPAWNED: spawned actors go. All of them: as if the node was
        started again, but for the numbers it counts and the snapshots it was told to keep.

        Raises:
            SpatiaError: when the start was not kept, or names are in the way; nothing is changed then.
        """
        face = self._face
        stayed = [] if Scope.SPAWNED in scope else [self._as_spawned(a) for a in face.cast if self._is_spawned(a)]
        world_ns = self._first_ns if Scope.TIME in scope else self._world_ns
        if Scope.STATE in scope:
            self._reset_state(stayed)
        elif Scope.SPAWNED in scope:
            for actor in face.cast:
                if self._is_spawned(actor):
                    self.deleted(face.cast.remove(actor.id))
        face.world.start_ns = face.world.time_ns - world_ns
        if Scope.TIME in scope:
            face.frames.go_back(self._first_stamp_ns)

    def _reset_state(self, stayed: list[Actor]) -> None:
        face, start = self._face, self._start
        if start is None:
            raise SpatiaError("reset: expected simulation.keep_start to be true: how the world began was not kept")
        old = face.world
        taken = {actor.name for actor in start.kept.world.cast.actors if not self._is_spawned(actor)}
        twice = sorted(actor.name for actor in stayed if actor.name in taken)
        if twice:
            expected = "expected SPAWNED beside STATE, to go back to the first"
            raise SpatiaError(f"reset: {', '.join(twice)}: deleted and spawned anew; {expected}")
        # Memory is a new one, so that edits of the old one cannot be undone in it.
        world = World(old.config, Memory(start.memory), old.generator, start.camera)
        world.restore(start.kept.world)
        for actor in filter(self._is_spawned, world.cast):  # a start that is a checkpoint has them
            world.cast.remove(actor.id)
        for actor in stayed:
            world.cast.add(actor)
        face.worker.halt()
        face.put(world)
        face.rig.pose = start.kept.pose
        self._spawned_as = {actor.id: actor for actor in stayed}
        self.on_state_reset()
