"""Snapshots by name: the whole world kept in this process, and brought back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spatia_ros.nodes.part import Part
from spatia_ros.nodes.rig.frames import RigPose
from spatia_ros.srv import Restore, Snapshot
from spatia_ros.types import SpatiaError
from spatia_ros.world import WorldSnapshot

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot: the world, when its seconds began, and where the rig was in it."""

    world: WorldSnapshot
    start_ns: int
    pose: RigPose


class Snapshots(Part):
    """The services ``snapshot`` and ``restore``."""

    def __init__(self, face: WorldFace) -> None:
        self._face, self._kept = face, dict[str, Kept]()
        face.serve(Snapshot, "snapshot", self._snapshot)
        face.serve(Restore, "restore", self._restore)

    def take(self) -> Kept:
        """What is now (on the worker's thread)."""
        world = self._face.world
        return Kept(world.snapshot(), world.start_ns, self._face.rig.pose)

    def forget(self) -> None:
        """Let go of all of them: they are of another world than this one."""
        self._kept.clear()

    def put_back(self, kept: Kept) -> None:
        """Make it as it was (on the worker's thread); the time of the stamps goes on."""
        face = self._face
        face.worker.halt()
        face.world.restore(kept.world)
        face.world.start_ns = kept.start_ns
        face.rig.pose = kept.pose
        face.changed()

    def _snapshot(self, request: Snapshot.Request, response: Snapshot.Response) -> str:
        limit = self._face.settings.snapshots
        if not request.name or (request.name not in self._kept and len(self._kept) >= limit):
            got = f"{request.name!r} beside {sorted(self._kept)}"
            raise SpatiaError(f"snapshot: expected a name, one of at most {limit} in all, got {got}")
        self._kept[request.name] = self.take()
        response.step = self._face.world.index
        return ""

    def _restore(self, request: Restore.Request, response: Restore.Response) -> str:
        if request.name not in self._kept:
            raise SpatiaError(f"restore: expected one of {sorted(self._kept)}, got {request.name!r}")
        self.put_back(self._kept[request.name])
        response.step = self._face.world.index
        return ""
