"""The action generate_trajectory: fly a path, make every frame of it, and record them where that is wanted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import PoseStamped

from spatia_ros.action import GenerateTrajectory
from spatia_ros.nodes import convert
from spatia_ros.nodes.actions.flight import Flight, Made, fly
from spatia_ros.nodes.actions.goals import Ended, Goal, GoalServer, Turn
from spatia_ros.record.files import write_json
from spatia_ros.record.frame_sets import FrameSet, RunSet, Taken
from spatia_ros.types import SpatiaError
from spatia_ros.world import Asked, World

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

NAME = "generate_trajectory"


def wanted_cameras(face: WorldFace, names: Sequence[str], name: str) -> list[str]:
    """The cameras a goal names; all of the rig where it names none.

    Raises:
        Malformed: for a name that is no camera of the rig, or is there twice.
    """
    known = [each.name for each in face.rig.cameras]
    if len(set(names)) != len(names) or not set(names) <= set(known):
        raise convert.Malformed("camera", f"{name}.cameras: expected some of {known}, each once, got {list(names)}")
    return [camera for camera in known if camera in names or not names]


def flight_of(face: WorldFace, request: Any, name: str, begun: int = 0) -> Flight:
    """The flight a goal asks for: its path, prompt, seed and cameras, checked.

    Args:
        begun: so many poses at the path's beginning were done before.

    Raises:
        SpatiaError: naming the field, what was expected and what came.
    """
    frame = request.path.header.frame_id
    face.rig.check_frame(frame, f"{name}.path")
    offsets_ns, T = convert.from_path(request.path, face.period_ns, f"{name}.path")
    asked = Asked(request.prompt or None, request.seed if request.seed >= 0 else None, begun)
    face.worker.submit(lambda: _try(face, asked)).result()
    return Flight(
        frame, offsets_ns[begun:], T[begun:], asked=asked, cameras=frozenset(wanted_cameras(face, request.cameras, name))
    )


def _try(face: WorldFace, asked: Asked) -> None:
    """Raise now, and not in the middle of the flight, if the prompt cannot be followed."""
    with face.world.asked(Asked(asked.prompt)):
        pass


def folders_of(folder: FilePath, cameras: Sequence[str]) -> dict[str, FilePath]:
    """A folder for each camera's frames; that of the only one is the folder itself."""
    return {name: folder if len(cameras) == 1 else folder / name for name in cameras}


def run_sets(face: WorldFace, name: str, places: Mapping[str, FilePath]) -> dict[str, FrameSet]:
    """What takes each camera's frames as those of a run that an action of this name made; on the worker's thread."""
    return {camera: RunSet(place, {"action": name, "camera": camera}, face.world) for camera, place in places.items()}


def close_sets(sets: Mapping[str, FrameSet], world: World, complete: bool) -> None:
    """Finish what is written of each camera; on the worker's thread."""
    for each in sets.values():
        each.close(world, complete)


class Log:
    """What is noted of the frames of a flight as they are taken, and where they are written.

    Args:
        sets: one for each camera whose frames are written. first_ns: stamp of the path's first frame; None: as it comes.
    """

    def __init__(self, face: WorldFace, flight: Flight, sets: dict[str, FrameSet], first_ns: int | None = None) -> None:
        self._face, self._flight, self.sets, self.first_ns = face, flight, sets, first_ns
        self._began_s = time.monotonic()
        self.stamps_ns: list[int] = []
        self.figures: list[dict[str, float]] = []

    def take(self, made: Made) -> None:
        """Note a frame, and write it."""
        if self.first_ns is None:
            self.first_ns = made.stamp_ns
        if len(self.stamps_ns) <= made.index:
            self.stamps_ns.append(made.stamp_ns)
        self.figures.append({"frame_ms": made.ms, **made.step.figures})
        taken = self._taken(made)
        if made.camera in self.sets and taken.stamp_ns > self.sets[made.camera].last_ns:
            self.sets[made.camera].append(taken)

    def _taken(self, made: Made) -> Taken:
        """The frame with the time it has in the path, so that an interruption leaves no gap."""
        flight, T_world_cam = self._flight, made.step.trajectory.T_world_cam[0]
        stamp_ns = (self.first_ns or 0) + int(flight.offsets_ns[made.index])
        return Taken(made.camera, made.step, stamp_ns, flight.T[made.index], self._face.T_map_world @ T_world_cam)

    def close(self, complete: bool) -> None:
        """Finish what is written; the memory is the world's, so on its thread."""
        self._face.worker.submit(lambda: close_sets(self.sets, self._face.world, complete)).result()

    def eta(self, left: int) -> Duration:
        """Time left at the present pace."""
        done = len(self.stamps_ns)
        left_s = (time.monotonic() - self._began_s) / done * left if done else 0.0
        return Duration(sec=int(left_s), nanosec=int(left_s % 1 * 1e9))

    def measures(self) -> dict[str, float]:
        """Figures of the flight: milliseconds by percentile, means of shares, sums of counts."""
        if not self.figures:
            return {}
        out = {"seconds": time.monotonic() - self._began_s}
        for name in sorted({name for each in self.figures for name in each}):
            values = np.array([each[name] for each in self.figures if name in each])
            if name.endswith("_ms"):
                out |= {f"{name}_p50": float(np.percentile(values, 50)), f"{name}_p99": float(np.percentile(values, 99))}
            else:
                out[name] = float(values.mean() if name.endswith(("_ratio", "_m", "_deg")) else values.sum())
        return {name: value for name, value in out.items() if np.isfinite(value)}


class Trajectories:
    """Serves the action on a node.

    Args:
        turn: shared with the other actions that move the rig.
    """

    def __init__(self, face: WorldFace, turn: Turn) -> None:
        self._face = face
        GoalServer(face.endpoints, GenerateTrajectory, NAME, turn, face.health, self._carry_out)

    def _carry_out(self, goal: Goal, answer: Any) -> Ended:
        face, request = self._face, goal.request
        face.check_commanded(NAME)
        flight = flight_of(face, request, NAME)
        log = Log(face, flight, self._open(request) if request.record else {})
        answer.folder = str(face.files.inside(request.record)) if request.record else ""

        def tell(done: int) -> None:
            total = len(flight.T)
            goal.tell(GenerateTrajectory.Feedback(frames_done=done, frames_total=total, eta=log.eta(total - done)))

        try:
            ended = fly(goal, face, flight, log.take, tell)
        finally:
            self._describe(flight, log, answer)
        log.close(ended is Ended.DONE)
        if request.record:
            write_json(face.files.inside(request.record) / "figures.json", log.measures())
        return ended

    def _open(self, request: Any) -> dict[str, FrameSet]:
        """A run folder for each camera; that of the only one is the folder itself.

        Raises:
            SpatiaError: when the folder exists.
        """
        path = self._face.files.inside(request.record)
        if path.exists():
            raise SpatiaError(f"{NAME}.record: expected a new folder, {request.record!r} exists; runs are not overwritten")
        places = folders_of(path, wanted_cameras(self._face, request.cameras, NAME))
        path.mkdir(parents=True)
        return self._face.worker.submit(lambda: run_sets(self._face, NAME, places)).result()

    def _describe(self, flight: Flight, log: Log, answer: Any) -> None:
        """The frames that were made, the poses they were made from, and the figures."""
        answer.frames = len(log.stamps_ns)
        frame = self._face.rig.names.map
        answer.path.header = convert.to_header(log.stamps_ns[0] if log.stamps_ns else 0, frame)
        answer.path.poses = [
            PoseStamped(header=convert.to_header(stamp_ns, frame), pose=convert.to_pose(T))
            for stamp_ns, T in zip(log.stamps_ns, flight.T, strict=False)
        ]
        measures = log.measures()
        answer.figure_names, answer.figure_values = list(measures), list(measures.values())
