"""The action navigate_to_object: find what a phrase means, and fly there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from geometry_msgs.msg import PoseStamped

from spatia_ros.action import NavigateToObject
from spatia_ros.ground import Grounded, Survey, navigate, survey
from spatia_ros.ground.answer import Sighting
from spatia_ros.memory.regions import Box
from spatia_ros.nodes import convert
from spatia_ros.nodes.actions.flight import Flight, fly
from spatia_ros.nodes.actions.goals import Ended, Goal, GoalServer, Turn
from spatia_ros.nodes.actor_outputs import point
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.health import Health
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.worker import Worker
from spatia_ros.types import Float64, Int64, Trajectory
from spatia_ros.world import World

Answer, Feedback = NavigateToObject.Result, NavigateToObject.Feedback
CODES = {
    Ended.DONE: Answer.REACHED, Ended.CANCELLED: Answer.CANCELED, Ended.REPLACED: Answer.REPLACED, Ended.STOPPED: Answer.FAILED,
    Ended.FAILED: Answer.FAILED,
}  # fmt: skip


class Stage(Protocol):
    """What of a world node is needed here."""

    endpoints: Endpoints
    rig: Rig
    T_map_world: Float64
    worker: Worker
    health: Health

    @property
    def world(self) -> World:
        """The world; for the worker's thread only."""

    @property
    def memory_version(self) -> int:
        """Another whenever memory has changed."""

    def check_commanded(self, name: str) -> None:
        """Raise unless the node takes commands."""


class Navigator:
    """Serves the action on a node.

    Args:
        turn: shared with the other actions that move the rig.
    """

    def __init__(self, stage: Stage, turn: Turn) -> None:
        self._stage = stage
        self._known: tuple[int, Survey] | None = None  # of a version of the memory
        GoalServer(stage.endpoints, NavigateToObject, "navigate_to_object", turn, stage.health, self._carry_out)

    def _carry_out(self, goal: Goal, answer: Any) -> Ended:
        answer.code = Answer.FAILED
        self._stage.check_commanded("navigate_to_object")
        goal.tell(Feedback(stage=Feedback.SEARCHING))
        grounded = self._on_worlds_thread(lambda: self._ground(goal.request.phrase))
        self._describe(grounded, answer)
        target, trajectory = grounded.target, grounded.trajectory
        if trajectory is None or target is None:
            answer.code = Answer.NO_PATH if grounded.found else Answer.NOT_FOUND
            return Ended.FAILED
        ended = goal.over() or Ended.DONE
        if ended is Ended.DONE and not goal.request.look_only:
            ended = self._fly(goal, target, trajectory, answer)
        answer.code = CODES[ended]
        return ended

    def _fly(self, goal: Goal, target: Sighting, trajectory: Trajectory, answer: Any) -> Ended:
        """Fly the way that was found, giving feedback a frame."""
        rig, middle = self._stage.rig, self._middle(target)
        flight = Flight(rig.names.map, _offsets_ns(trajectory), rig.bases_of(trajectory))

        def tell(done: int) -> None:
            answer.frames = done
            away = float(np.linalg.norm((rig.pose.T_map_base @ rig.T_base_link)[:3, 3] - middle))
            goal.tell(Feedback(stage=Feedback.MOVING, frames_done=done, frames_total=len(flight.T), distance=away))

        return fly(goal, self._stage, flight, lambda _: None, tell)

    def _ground(self, phrase: str) -> Grounded:
        world, rig, version = self._stage.world, self._stage.rig, self._stage.memory_version
        if self._known is None or self._known[0] != version:
            self._known = version, survey(world.memory)
        return navigate(world, phrase, rig.camera_of(rig.pose.T_map_base), known=self._known[1])

    def _on_worlds_thread(self, job: Callable[[], Grounded]) -> Grounded:
        return self._stage.worker.submit(job).result()

    def _middle(self, target: Sighting) -> Float64:
        low, high = Box(target.low, target.high, self._stage.T_map_world).bounds()
        return (low + high) / 2

    def _describe(self, grounded: Grounded, answer: Any) -> None:
        """What was found, where, and the way there; or what came nearest."""
        answer.message = grounded.reason
        answer.candidates = [f"{c.name}: {c.why}" if c.why else c.name for c in grounded.candidates]
        if grounded.target is None:
            return
        target, T_map_world = grounded.target, self._stage.T_map_world
        low, high = Box(target.low, target.high, T_map_world).bounds()
        answer.object, answer.kind = target.name, target.kind
        answer.low, answer.high, answer.position = point(low), point(high), point((low + high) / 2)
        answer.distance = float(target.distance_m)
        if grounded.trajectory is None:
            return
        answer.box = [float(v) for v in target.box_px or ()]
        bases, frame = self._stage.rig.bases_of(grounded.trajectory), self._stage.rig.names.map
        answer.path.header.frame_id = frame
        for ns, T in zip(_offsets_ns(grounded.trajectory).tolist(), bases, strict=True):
            answer.path.poses.append(PoseStamped(header=convert.to_header(ns, frame), pose=convert.to_pose(T)))
        T_map_cam = bases[-1] @ self._stage.rig.T_base_link
        answer.distance = float(np.linalg.norm(T_map_cam[:3, 3] - (low + high) / 2))


def _offsets_ns(trajectory: Trajectory) -> Int64:
    return trajectory.stamps_ns - trajectory.stamps_ns[0]
