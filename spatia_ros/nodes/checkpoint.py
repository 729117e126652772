"""Checkpoints of a running world: every so often and when it stops, so that a restart goes on where it was.

Taking one copies the world's state on the worker's thread, between two frames; it is written on a thread of its own.
"""

from __future__ import annotations

import dataclasses
import json
import operator
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from std_srvs.srv import Trigger

from spatia_ros.checkpoint import Checkpoints, Saved, write_whole
from spatia_ros.config import WorldConfig
from spatia_ros.memory import Memory
from spatia_ros.msg import SimStatus
from spatia_ros.nodes.frames import RigPose
from spatia_ros.nodes.motion import Move
from spatia_ros.nodes.part import Part
from spatia_ros.nodes.play import State
from spatia_ros.nodes.scene import Label, NamedPose
from spatia_ros.nodes.seeding import Seed
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


class Keeper(Part):
    """Keeps a world's checkpoints, where a folder for them is named.

    Made first of a face's parts, for what it finds is what the face begins with.
    """

    def __init__(self, face: WorldFace) -> None:
        self._face, self._settings = face, face.settings.checkpoint
        self._kept: Checkpoints | None = None
        self._writing: threading.Thread | None = None
        self._last: tuple[Any, ...] = ()
        self.held_ms = 0.0
        """How long the last one kept frames from being made."""
        if not self._settings.folder:
            return
        self._kept = Checkpoints(face.files.inside(self._settings.folder))
        face.endpoints.keep(self._kept, self._kept.close)
        self._stamps = Stamps(self._kept.folder)
        face.serve(Trigger, "checkpoint", self._on_request)
        if self._settings.every_s:
            face.endpoints.create_timer(self._settings.every_s, self._due)

    def fill(self, status: SimStatus) -> None:
        """The number of the newest."""
        status.checkpoint = self._kept.number if self._kept else 0

    # Going on

    def found(self) -> Saved | None:
        """The state to go on with; None where there is none, or it is not to be resumed.

        Raises:
            SpatiaError: when there are checkpoints and none of them can be read.
        """
        if self._kept is None or not self._settings.resume:
            return None
        saved, wrong = self._kept.read()
        for words in wrong:
            self._face.health.fail("checkpoint", SpatiaError(words))
        if saved is None and wrong:
            told = "move the folder away, or set checkpoint.resume to false"
            raise SpatiaError(f"{self._kept.folder}: expected a checkpoint that is whole, found none: {told}")
        return saved

    @property
    def story(self) -> str:
        """The newest, in words."""
        return f"checkpoint {self._kept.number}" if self._kept else "no checkpoint"

    def put_back(self, saved: Saved) -> Label | None:
        """Make the face what it was, its world excepted (:func:`reopened`); returns what is said of the world."""
        face, about = self._face, saved.about
        face.world.start_ns = about["start_ns"]
        face.rig.pose = RigPose(*about["rig"])
        face.resume_mode(about["mode"])
        if about["play"] != State.QUITTING:  # who comes back after that starts as the parameters say
            face.play.become(State(about["play"]))
        # Without a crash the promise ends where the stamps do, and they go on as if nothing had been.
        face.frames.go_back(max(about["stamp_ns"], self._stamps.promised_ns))
        if about["label"] is None:
            return None
        poses = tuple(NamedPose(**pose) for pose in about["label"].pop("poses"))
        return Label(poses=poses, **about["label"])

    # Taking one

    def framed(self, step: Step, move: Move, stamp_ns: int) -> None:  # noqa: ARG002
        """A stamp was given out."""
        if self._kept:
            self._stamps.given(stamp_ns)

    def deactivate(self) -> None:
        """Keep the last state; not that of a world whose work has failed."""
        if self._kept is None:
            return
        self._settle()
        if self._face.node.faulty is None:
            self._face.worker.submit(self._face.health.guard("checkpoint", lambda: self._write(self._state()))).result()
            self._stamps.promise(self._face.stamp_ns)

    def close(self) -> None:
        """Wait for what is being written."""
        self._settle()

    def _settle(self) -> None:
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    def _on_request(self, request: Trigger.Request, response: Trigger.Response) -> str:  # noqa: ARG002
        self._settle()
        self._write(self._state())
        return self.story

    def _due(self) -> None:
        """Take one, unless the last is still being written."""
        if self._face.active and not (self._writing and self._writing.is_alive()):
            self._face.worker.submit(self._face.health.guard("checkpoint", self._begin))

    def _begin(self) -> None:
        saved = self._state()
        work = self._face.health.guard("checkpoint", lambda: self._write(saved))
        self._writing = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._writing.start()

    def _write(self, saved: Saved | None) -> None:
        if saved is not None and self._kept is not None:
            last = self._last
            self._last = ()  # should it fail, the next is taken in any case
            self._kept.write(saved)
            self._last = last

    def _state(self) -> Saved | None:
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
