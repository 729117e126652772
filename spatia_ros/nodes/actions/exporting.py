"""The action export_dataset: fly a path and write what is seen as a data set that others read; goes on where it was cut off."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import numpy as np

from spatia_ros.action import ExportDataset
from spatia_ros.nodes import convert
from spatia_ros.nodes.actions.bag_set import Bag, BagSet
from spatia_ros.nodes.actions.flight import Flight, Made, fly
from spatia_ros.nodes.actions.goals import Ended, Goal, GoalServer, Turn
from spatia_ros.nodes.actions.trajectories import Log, close_sets, flight_of, folders_of, run_sets, wanted_cameras
from spatia_ros.record.files import write_json
from spatia_ros.record.frame_sets import FrameSet, TumSet
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

NAME, STATE = "export_dataset", "export.json"
FORMATS = {ExportDataset.Goal.RUN: "RUN", ExportDataset.Goal.TUM: "TUM", ExportDataset.Goal.MCAP: "MCAP"}
MAX_STATE_BYTES = 1 << 20


class Started:
    """A data set's folder: for which goal it was begun, and at what time its first frame was.

    Raises:
        SpatiaError: when the folder holds something else, or was begun for another goal.
    """

    def __init__(self, folder: FilePath, goal: dict[str, Any]) -> None:
        self._path, self._goal = folder / STATE, goal
        self.first_ns: int | None = None
        if folder.is_dir() and any(each.name != STATE for each in folder.iterdir()) and not self._path.is_file():
            raise SpatiaError(f"{NAME}.folder: expected a new folder or one that it began, {folder.name!r} has other files")
        if self._path.is_file():
            self._read(folder.name)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._write()

    def at(self, first_ns: int) -> None:
        """Keep the time of the first frame."""
        if self.first_ns is None:
            self.first_ns = first_ns
            self._write()

    def _write(self) -> None:
        write_json(self._path, {"action": NAME, "goal": self._goal, "first_ns": self.first_ns})

    def _read(self, name: str) -> None:
        try:
            if self._path.stat().st_size > MAX_STATE_BYTES:
                raise ValueError(f"{self._path.stat().st_size} bytes")
            state = json.loads(self._path.read_text())
            begun, first_ns = dict(state["goal"]), state["first_ns"]
            if not (first_ns is None or (isinstance(first_ns, int) and 0 <= first_ns < 1 << 63)):
                raise ValueError(f"first_ns {first_ns!r}")
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise SpatiaError(f"{NAME}.folder: {name}/{STATE}: expected the state of a data set, got {error}") from None
        if begun != self._goal:
            differ = ", ".join(sorted(key for key in self._goal if begun.get(key) != self._goal[key]))
            raise SpatiaError(f"{NAME}.folder: {name!r} was begun for another goal ({differ} differ); choose another folder")
        self.first_ns = first_ns


class Exporter:
    """Serves the action on a node.

    Args:
        turn: shared with the other actions that move the rig.
    """

    def __init__(self, face: WorldFace, turn: Turn) -> None:
        self._face = face
        GoalServer(face.endpoints, ExportDataset, NAME, turn, face.health, self._carry_out)

    def _carry_out(self, goal: Goal, answer: Any) -> Ended:
        face, request = self._face, goal.request
        face.check_commanded(NAME)
        if request.format not in FORMATS:
            raise convert.Malformed("format", f"{NAME}.format: expected one of {FORMATS}, got {request.format}")
        whole = flight_of(face, request, NAME)
        if whole.frame_id != face.rig.names.map:
            # Where odom or the rig is will be another place by the time an interrupted goal is sent again.
            raise convert.Malformed("frame", f"{NAME}.path: expected poses in {face.rig.names.map}, got {whole.frame_id!r}")
        folder = face.files.inside(request.folder)
        started = Started(folder, _identity(request, whole))
        cameras = wanted_cameras(face, request.cameras, NAME)
        sets = face.worker.submit(lambda: self._open(request.format, folder, cameras, whole)).result()
        answer.folder = str(folder)
        try:
            return self._fly(goal, answer, started, sets, len(whole.T))
        finally:
            answer.frames = max(map(len, sets.values()))
            answer.bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def _fly(self, goal: Goal, answer: Any, started: Started, sets: dict[str, FrameSet], total: int) -> Ended:
        """Fly what is not written yet."""
        face, request = self._face, goal.request
        begun = _begun([(len(sets[each.name]), each.every) for each in face.rig.cameras if each.name in sets])
        if begun >= total:
            answer.message = "all of it was there already"
            face.worker.submit(lambda: close_sets(sets, face.world, True)).result()
            return Ended.DONE
        flight = flight_of(face, request, NAME, begun)
        log = Log(face, flight, sets, started.first_ns)

        def take(made: Made) -> None:
            started.at(made.stamp_ns - int(flight.offsets_ns[made.index]))
            log.take(made)

        def tell(done: int) -> None:
            left = total - begun - done
            goal.tell(ExportDataset.Feedback(frames_done=begun + done, frames_total=total, eta=log.eta(left)))

        try:
            ended = fly(goal, face, flight, take, tell)
        except BaseException:
            self._leave(sets)
            raise
        log.close(ended is Ended.DONE)
        return ended

    def _leave(self, sets: dict[str, FrameSet]) -> None:
        """What was written stays for the same goal to go on from; what still can be closed is."""
        for each in sets.values():
            if isinstance(each, BagSet):
                each.abandon()

    def _open(self, kind: int, folder: FilePath, cameras: list[str], flight: Flight) -> dict[str, FrameSet]:
        """What takes each camera's frames; on the worker's thread."""
        face, goal = self._face, ExportDataset.Goal
        if kind == goal.MCAP:
            bag = Bag(face, folder)
            return {name: BagSet(bag, name, len(flight.T), leads=name == cameras[0]) for name in cameras}
        places = folders_of(folder, cameras)
        if kind == goal.TUM:
            return {name: TumSet(place) for name, place in places.items()}
        return run_sets(face, NAME, places)


def _begun(cameras: list[tuple[int, int]]) -> int:
    """Poses that are surely done, from the frames that each camera has, and of how many poses it takes one."""
    steady = [frames for frames, every in cameras if every == 1]
    return min(steady or [(frames - 1) * every + 1 if frames else 0 for frames, every in cameras])


def _identity(request: Any, flight: Flight) -> dict[str, Any]:
    """What makes a goal the same again."""
    path = hashlib.sha256(flight.offsets_ns.tobytes() + np.ascontiguousarray(flight.T).tobytes())
    return {
        "format": FORMATS[request.format], "path": path.hexdigest(), "frames": len(flight.T), "cameras": list(request.cameras),
        "prompt": request.prompt, "seed": int(request.seed),
    }  # fmt: skip
