"""What a checkpoint of a world holds beside the world itself, and how a node goes on with it (see :mod:`.keeper`)."""

from __future__ import annotations

import dataclasses
import json
import operator
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatia_ros.checkpoint import Saved, write_whole
from spatia_ros.config import WorldConfig
from spatia_ros.memory import Memory
from spatia_ros.nodes.keeper import Keeper
from spatia_ros.nodes.motion import Move
from spatia_ros.nodes.rig.frames import RigPose
from spatia_ros.nodes.seeding import Seed
from spatia_ros.nodes.simulation.play import State
from spatia_ros.nodes.simulation.scene import Label, NamedPose
from spatia_ros.types import SpatiaError, Step
from spatia_ros.world import World, open_generator

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

STAMPS = "stamps.json"
AHEAD_NS = 10_000_000_000
"""Stamps are promised so far ahead on disk, in simulated time: a start after a crash begins past all that were given out."""


class Stamps:
    """Up to where stamps may have been given out, on disk, so that none is given twice.

    Written without waiting for the disk: it outlives the process, a loss of power only sometimes.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / STAMPS
        try:
            self.promised_ns = int(json.loads(self._path.read_bytes())["below_ns"])
        except (OSError, ValueError, KeyError, TypeError):
            self.promised_ns = 0

    def given(self, stamp_ns: int) -> None:
        """A stamp was given out; called for each."""
        if not self.promised_ns - AHEAD_NS <= stamp_ns < self.promised_ns:
            self.promise(stamp_ns + AHEAD_NS)

    def promise(self, below_ns: int) -> None:
        """No stamp goes beyond this before the next promise."""
        self.promised_ns = below_ns
        write_whole(self._path, json.dumps({"below_ns": below_ns}))


class WorldKeeper(Keeper):
    """Keeps a world's checkpoints, and its stamps from being given out twice."""

    def __init__(self, face: WorldFace) -> None:
        super().__init__(face)
        self._face = face
        self._stamps = Stamps(self._kept.folder) if self._kept else None

    def put_back(self, saved: Saved) -> Label | None:
        """Make the face what it was, its world excepted (:func:`reopened`); returns what is said of the world."""
        face, about = self._face, saved.about
        face.world.start_ns = about["start_ns"]
        face.rig.pose = RigPose(*about["rig"])
        face.resume_mode(about["mode"])
        if about["play"] != State.QUITTING:  # who comes back after that starts as the parameters say
            face.play.become(State(about["play"]))
        # Without a crash the promise ends where the stamps do, and they go on as if nothing had been.
        face.frames.go_back(max(about["stamp_ns"], self._stamps.promised_ns if self._stamps else 0))
        if about["label"] is None:
            return None
        poses = tuple(NamedPose(**pose) for pose in about["label"].pop("poses"))
        return Label(poses=poses, **about["label"])

    # Taking one

    def framed(self, step: Step, move: Move, stamp_ns: int) -> None:  # noqa: ARG002
        """A stamp was given out."""
        if self._stamps:
            self._stamps.given(stamp_ns)

    def deactivate(self) -> None:
        """Keep the last state, and promise no stamp beyond it."""
        super().deactivate()
        if self._stamps and self._face.node.faulty is None:
            self._stamps.promise(self._face.stamp_ns)

    def state(self) -> Saved | None:
        """What is now (on the worker's thread); None where that is on disk already, or there is no world yet."""
        face, began_s = self._face, time.perf_counter()
        if face.play.state is State.LOADING_WORLD:
            return None
        world, cast = face.world, face.cast.snapshot()
        counts = (world.index, world.time_ns, face.memory_version, face.stamp_ns, face.mode, face.play.state)
        now = (counts, world.prompt, cast.clock, face.rig.pose, face.scene.label, *cast.actors)
        if len(now) == len(self._last) and now[:2] == self._last[:2] and all(map(operator.is_, now[2:], self._last[2:])):
            return None
        self._last, kept, label = now, face.snapshots.take(), face.scene.label
        pose = kept.pose
        about = {
            "stamp_ns": face.stamp_ns, "start_ns": kept.start_ns, "rig": [pose.T_map_odom, pose.T_odom_base, pose.twist],
            "mode": int(face.mode), "play": int(face.play.state), "camera": world.camera, "fits": fits(world.config),
            "label": None if label is None else dataclasses.asdict(label), "first_ids": sorted(face.scene.first_ids),
        }  # fmt: skip
        self.held_ms = (time.perf_counter() - began_s) * 1e3
        return Saved(kept.world, about)


def fits(config: WorldConfig) -> dict[str, Any]:
    """What must be as it was for a checkpoint to be gone on with."""
    sizes = {f"camera.{name}": value for name, value in config.camera.model_dump().items()}
    return sizes | {"generator.name": config.generator.name, "seed": config.seed}


def reopened(config: WorldConfig, saved: Saved, story: str) -> Seed:
    """The world of a checkpoint.

    Raises:
        SpatiaError: when it was made with other settings than there are now.
    """
    for name, value in fits(config).items():
        was = saved.about["fits"].get(name)
        if was != value:
            told = "move checkpoint.folder away, or set checkpoint.resume to false"
            raise SpatiaError(f"{story}: expected {name} to be {was!r} as it was then, got {value!r}: {told}")
    world = World(config, Memory(saved.memory), open_generator(config), saved.about["camera"])
    world.restore(saved.world)
    return Seed(world, np.eye(4), story)
