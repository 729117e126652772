"""The action navigate_to_object: find what a phrase means, and fly there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from spatia_ros.action import NavigateToObject
from spatia_ros.ground import Grounded, Survey, navigate, survey
from spatia_ros.memory.regions import Box
from spatia_ros.nodes import convert
from spatia_ros.nodes.actor_outputs import point
from spatia_ros.nodes.frames import Rig
from spatia_ros.nodes.health import Health
from spatia_ros.nodes.motion import Follow
from spatia_ros.nodes.worker import Worker
from spatia_ros.types import Float64, SpatiaError
from spatia_ros.world import World

Answer, Feedback, Goal = NavigateToObject.Result, NavigateToObject.Feedback, NavigateToObject.Goal
MAX_GOALS = 3
"""Goals that may be in progress, the replaced ones on their way out included: each holds a thread of the executor."""
LONGEST_CLOSE_S = 1.0
LOOK_S = 0.02
"""How often it is looked whether a frame was made, or the goal was cancelled or replaced."""


class Stage(Protocol):
    """What of a world node is needed here."""

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


@dataclass
class Flight:
    """One goal on its way: the motion once there is one, and how far it came."""

    handle: Any
    motion: Follow | None = None
    frames: int = 0


class Navigator:
    """Serves the action on a node: one goal at a time, the newest."""

    def __init__(self, node: Node, stage: Stage) -> None:
        self._stage = stage
        self._newest: Any = None
        self._known: tuple[int, Survey] | None = None  # of a version of the memory
        self._goals, self._lock = 0, threading.Lock()
        self._server = ActionServer(
            node, NavigateToObject, "navigate_to_object", self._execute, callback_group=ReentrantCallbackGroup(),
            goal_callback=self._on_goal, handle_accepted_callback=self._on_accepted,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )  # fmt: skip

    def close(self) -> None:
        """End the goals in progress and take the action down."""
        self._newest, until_s = None, time.monotonic() + LONGEST_CLOSE_S
        while self._goals and time.monotonic() < until_s:
            time.sleep(LOOK_S)
        self._server.destroy()

    def _on_goal(self, goal: Any) -> GoalResponse:  # noqa: ARG002
        return GoalResponse.ACCEPT if self._goals < MAX_GOALS else GoalResponse.REJECT

    def _on_accepted(self, handle: Any) -> None:
        with self._lock:
            self._goals += 1
        self._newest = handle
        handle.execute()

    def _execute(self, handle: Any) -> Any:
        """One goal from beginning to end, on a thread of the executor; every way out answers."""
        answer = Answer(code=Answer.FAILED)
        try:
            self._fly(Flight(handle), answer)
        except (SpatiaError, OSError) as error:
            answer.message = str(error)
            self._stage.health.refuse("navigate_to_object", error)
        except CancelledError:
            answer.message = "the node is shutting down"
        except Exception as error:  # say so, and live on
            answer.message = self._stage.health.fail("navigate_to_object", error)
        finally:
            with self._lock:
                self._goals -= 1
        answer.success = answer.code == Answer.REACHED
        if answer.code == Answer.CANCELED:
            handle.canceled()
        elif answer.success:
            handle.succeed()
        else:
            handle.abort()
        return answer

    def _fly(self, flight: Flight, answer: Any) -> None:
        goal = flight.handle.request
        self._stage.check_commanded("navigate_to_object")
        flight.handle.publish_feedback(Feedback(stage=Feedback.SEARCHING))
        grounded = self._on_worlds_thread(lambda: self._ground(goal.phrase))
        self._describe(grounded, answer)
        if grounded.trajectory is None or grounded.target is None:
            answer.code = Answer.NO_PATH if grounded.found else Answer.NOT_FOUND
            return
        if not goal.look_only:
            poses = self._stage.rig.bases_of(grounded.trajectory)
            flight.motion = Follow(self._stage.rig.names.map, _offsets_ns(grounded), poses)
            self._stage.worker.follow(flight.motion)
        answer.code = self._ended(flight, self._middle(grounded))
        answer.frames = flight.frames

    def _ground(self, phrase: str) -> Grounded:
        world, rig, version = self._stage.world, self._stage.rig, self._stage.memory_version
        if self._known is None or self._known[0] != version:
            self._known = version, survey(world.memory)
        return navigate(world, phrase, rig.camera_of(rig.pose.T_map_base), known=self._known[1])

    def _on_worlds_thread(self, job: Callable[[], Grounded]) -> Grounded:
        return self._stage.worker.submit(job).result()

    def _ended(self, flight: Flight, middle: Float64) -> int:
        """Follow the flight until it ends, giving feedback a frame; returns how it ended."""
        motion, handle, worker = flight.motion, flight.handle, self._stage.worker
        while True:
            given_up = handle.is_cancel_requested or handle is not self._newest
            if given_up and motion:
                worker.drop(motion)  # the frame in progress still comes
                flight.frames = motion.begun
            if given_up:
                return int(Answer.CANCELED if handle.is_cancel_requested else Answer.REPLACED)
            if motion is None:
                return int(Answer.REACHED)
            following = worker.follows(motion)
            made = motion.begun - 1 if following else motion.begun
            if made > flight.frames:
                flight.frames = made
                handle.publish_feedback(self._feedback(flight, middle))
            if not following:
                return int(Answer.REPLACED if motion.unfinished else Answer.REACHED)
            time.sleep(LOOK_S)

    def _feedback(self, flight: Flight, middle: Float64) -> Any:
        T_map_cam = self._stage.rig.pose.T_map_base @ self._stage.rig.T_base_link
        total = len(flight.motion.T) if flight.motion else 0
        away = float(np.linalg.norm(T_map_cam[:3, 3] - middle))
        return Feedback(stage=Feedback.MOVING, frames_done=flight.frames, frames_total=total, distance=away)

    def _middle(self, grounded: Grounded) -> Float64:
        low, high = Box(grounded.target.low, grounded.target.high, self._stage.T_map_world).bounds()
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
        for ns, T in zip(_offsets_ns(grounded).tolist(), bases, strict=True):
            answer.path.poses.append(PoseStamped(header=convert.to_header(ns, frame), pose=convert.to_pose(T)))
        T_map_cam = bases[-1] @ self._stage.rig.T_base_link
        answer.distance = float(np.linalg.norm(T_map_cam[:3, 3] - (low + high) / 2))


def _offsets_ns(grounded: Grounded) -> Any:
    stamps = grounded.trajectory.stamps_ns
    return stamps - stamps[0]
