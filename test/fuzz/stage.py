"""Nodes in this process, with nobody to talk to: their callbacks are called as the executor would, and they are looked over."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from harness import START, parameters, wall_frame, wall_memory
from rclpy.action.server import ActionServer
from rclpy.context import Context
from target import Wrong

from spatia_ros import geometry
from spatia_ros.actors import Cast
from spatia_ros.actors.library import library_actor
from spatia_ros.memory import Memory, Points
from spatia_ros.memory.edit import Editor
from spatia_ros.nodes.mapper_node import MapperNode
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import Snapshot

RENEW_AFTER = 400
"""Inputs after which a node is configured anew: what they left in it must not make the next ones slow."""
MOST_ACTORS = 6
ENTITY = ("_entity_", "delete_entity", "set_entity", "set_animation_time", "NavigateToObject")
"""Words in the names of targets that are about an actor."""
REST_S = 40.0
OBJ = "o a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
PLY = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n0 0 1\n1 0 1\n"


class Changed(Wrong):
    """A refused input left another state behind."""


def memory_with_a_crate() -> Memory:
    """The wall, seen from further and further behind, so that a camera has room to move; before it a thing with a name."""
    memory = wall_memory()
    for k, back_m in enumerate((0.8, 1.5)):
        memory.integrate(wall_frame(geometry.pose(START[:3, :3], START[:3, 3] - (back_m, 0.0, 0.0)), k + 1))
    line = np.arange(-0.1, 0.1, 0.02)
    xyz = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3).astype(np.float32)
    crate = Points.measured(xyz, np.full(xyz.shape, (250, 0, 0), np.uint8))
    Editor(memory).add(crate, geometry.pose(np.eye(3), np.array((1.7, 0.3, 1.1))), "crate")
    return memory


def data_folder() -> Path:
    """A data folder with files good and bad, and ways out of it; beside it lies what must not be touched."""
    top = Path(tempfile.mkdtemp(prefix="fuzz-stage-"))
    path = top / "data"
    path.mkdir()
    memory_with_a_crate().save(path / "wall.spatia")
    whole = (path / "wall.spatia").read_bytes()
    (path / "half.spatia").write_bytes(whole[: len(whole) // 2])
    (path / "ball.obj").write_text(OBJ)
    (path / "cloud.ply").write_text(PLY)
    (path / "actors.yaml").write_text("{kind: ball, pose: [1, 0, 0, 0], spacing_m: 0.2}\n")
    (path / "folder.spatia").mkdir()
    os.mkfifo(path / "fifo")
    (top / "outside.spatia").write_bytes(whole)
    (path / "way_out").symlink_to(top)
    (path / "link.spatia").symlink_to(top / "outside.spatia")
    return path


class Stage:
    """One node with its state: what it holds, what it refused, what failed in it."""

    def __init__(self, kind: type, **values: Any) -> None:
        self.folder = data_folder()
        self._outside = self._beside()
        self._inside = {p.name for p in self.folder.iterdir()}
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = kind(context=self._context, parameter_overrides=parameters(data_dir=str(self.folder), **values))
        self.node.get_logger().set_level(50)  # what is refused is told a hundred thousand times otherwise
        self.failures: list[BaseException] = []
        self.node.quit = lambda: None  # the end of the program is somebody else's test
        told = self.node.health.fail
        self.node.health.fail = lambda what, error: (self.failures.append(error), told(what, error))[1]
        self._taken, self._prepared, self.stale = 0, 0, False
        self.node.start()
        self.now = self.digest()

    def renew(self) -> None:
        """Configure the node anew, now and then."""
        self._taken += 1
        if self.node.state == "active" and len(getattr(self.node.face, "cast", ())) > MOST_ACTORS:
            self.node.worker.submit(self._dismiss).result(REST_S)
            self.now = self.digest()
        if self._taken % RENEW_AFTER and self.node.state == "active" and not self.stale:
            return
        self.again()

    def prepare(self, target: str) -> None:
        """Have there be what a target is about: an entity, a snapshot."""
        if self.node.state != "active" or not hasattr(self.node.face, "cast"):
            return
        face, before = self.node.face, self._prepared
        if any(word in target for word in ENTITY) and "ball" not in face.cast:
            face.worker.submit(lambda: face.cast.add(replace(library_actor("ball", spacing_m=0.2), name="ball"))).result(REST_S)
            self._prepared += 1
        if target.endswith("_restore"):
            self.callback("service", "/snapshot")(Snapshot.Request(name="s0"), Snapshot.Response())
            self._prepared += 1
        if self._prepared > before:
            self.rest()
            self.now = self.digest()

    def _dismiss(self) -> None:
        self.node.face.world.cast = Cast()

    def again(self) -> None:
        """Configure the node anew."""
        if self.node.state == "active":
            self.node.trigger_deactivate()
        if self.node.state == "inactive":
            self.node.trigger_cleanup()
        for path in self.folder.iterdir():
            if path.name not in self._inside:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.node.start()
        self.failures.clear()
        self.stale = False
        self.now = self.digest()

    def callback(self, kind: str, name: str) -> Callable[..., Any]:
        """The callback of a subscription or service."""
        found = self.node.subscriptions if kind == "topic" else self.node.services
        named = "topic_name" if kind == "topic" else "service_name"
        return next(each.callback for each in found if getattr(each, named) == name)

    def actions(self) -> dict[str, ActionServer]:
        """Action servers by the name of their type."""
        return {w._action_type.__name__: w for w in self.node.waitables if isinstance(w, ActionServer)}

    def rest(self) -> None:
        """What was begun ends: the frame or job in progress is made, the rest given up."""
        if self.node.state != "active":
            return
        worker = self.node.worker
        worker.submit(lambda: None).result(REST_S)
        if worker.busy:
            time.sleep(0)
            worker.halt()
            worker.submit(lambda: None).result(REST_S)

    def digest(self) -> str:
        """Everything that a refused input must leave as it is."""
        if self.node.state != "active":
            return self.node.state
        return self.node.worker.submit(self._digest).result(REST_S)

    def _digest(self) -> str:
        face, state = self.node.face, hashlib.blake2b(digest_size=16)
        points = face.memory.points()
        for part in (points.xyz, points.rgb, points.confidence):
            state.update(part.tobytes())
        said: list[Any] = [len(face.memory.keyframes), sorted(face.memory.names.items())]
        if hasattr(face, "rig"):
            world = face.world
            said += [
                face.rig.pose.T_map_base.tobytes(),
                face._mode,
                world.prompt,
                world.time_ns,
                world.index,
                int(face.play.state),
            ]
            said += [(a.id, a.name, a.kind, a.T_world_placed.tobytes(), a.clock.as_dict()) for a in face.cast]
            said += [face.cast.clock.as_dict()]
        state.update(repr(said).encode())
        return state.hexdigest()

    def _beside(self) -> list[tuple[str, int, int]]:
        return sorted(
            (p.name, p.lstat().st_size, p.lstat().st_mtime_ns) for p in self.folder.parent.iterdir() if p != self.folder
        )

    def check(self, accepted: bool) -> None:
        """Nothing failed, nothing outside the data folder was touched, and what was refused changed nothing."""
        self.rest()
        if self.failures:
            error = self.failures[0]
            self.failures.clear()
            raise error
        if self._beside() != self._outside:
            self._outside = self._beside()
            raise Wrong("expected nothing to be written outside the data folder")
        before, self.now = self.now, self.digest()
        if not accepted and self.now != before:
            raise Changed("expected that what is refused changes nothing, the state is another")

    def close(self) -> None:
        """Take the node down."""
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


def world_stage(**values: Any) -> Stage:
    """A tiny world."""
    small = {"generator__name": "projection", "camera__width_px": 32, "camera__height_px": 32, "motion__pace": "fast"}
    return Stage(WorldNode, source__memory="wall.spatia", **small, **values)


def mapper_stage(**values: Any) -> Stage:
    """A mapper."""
    return Stage(MapperNode, **values)
