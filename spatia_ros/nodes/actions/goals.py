"""What the actions have in common: goals that are answered whatever happens, one at a time, replaced and cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from enum import Enum
from typing import Any

from rclpy.action import CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup

from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.health import Health
from spatia_ros.types import SpatiaError

MAX_GOALS = 3
"""Goals that may be in progress, the replaced ones on their way out included: each holds a thread of the executor."""
LONGEST_CLOSE_S = 1.0
STARTING = ("configuring", "activating")
"""States of a node that becomes active by itself."""
LOOK_S = 0.02
"""How often it is looked whether a frame was made, or the goal was cancelled or replaced."""


class Ended(Enum):
    """How a goal ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    REPLACED = "a newer goal or command took its place"
    STOPPED = "the node stopped working"
    FAILED = "failed"


class Turn:
    """Whose turn it is among goals that cannot be carried out beside each other: the newest one's.

    Args:
        most: goals that may be in progress; the next one is rejected.
    """

    def __init__(self, most: int = MAX_GOALS) -> None:
        self._most, self._lock = most, threading.Lock()
        self._newest: Any = None
        self.stopped = False
        """Whether goals have to end because the node stops."""
        self.goals = 0
        """Goals in progress."""

    def has_room(self) -> bool:
        """Whether another goal may be taken."""
        return self.goals < self._most

    def begin(self, handle: Any) -> None:
        """It is this goal's turn; the one before it sees that it was replaced."""
        with self._lock:
            self.goals += 1
            self._newest = handle

    def begin_with(self, handle: Any, start: Callable[[], None]) -> bool:
        """Start something if it is still this goal's turn; returns whether it is."""
        with self._lock:
            if handle is self._newest:
                start()
            return handle is self._newest

    def end(self) -> None:
        """A goal was answered."""
        with self._lock:
            self.goals -= 1

    def is_of(self, handle: Any) -> bool:
        """Whether no newer goal was taken."""
        return handle is self._newest

    def open(self) -> None:
        """Goals may be carried out."""
        self.stopped = False

    def close(self) -> None:
        """Goals have to end: wait for those in progress to see that."""
        self.stopped, until_s = True, time.monotonic() + LONGEST_CLOSE_S
        while self.goals and time.monotonic() < until_s:
            time.sleep(LOOK_S)


class Goal:
    """One goal in progress.

    Args:
        handle: the server's. turn: it takes part in.
    """

    def __init__(self, handle: Any, turn: Turn) -> None:
        self._handle, self._turn = handle, turn
        self.request = handle.request

    def over(self) -> Ended | None:
        """How it has to end now, whatever is still to do: cancelled, replaced, or with the node; None: it goes on."""
        if self._handle.is_cancel_requested:
            return Ended.CANCELLED
        if self._turn.stopped:
            return Ended.STOPPED
        return None if self._turn.is_of(self._handle) else Ended.REPLACED

    def begin(self, start: Callable[[], None]) -> bool:
        """Start something unless the goal was replaced meanwhile; returns whether it was started."""
        return self._turn.begin_with(self._handle, start)

    def tell(self, feedback: Any) -> None:
        """Publish feedback."""
        self._handle.publish_feedback(feedback)


class GoalServer:
    """Serves an action: each goal on a thread of the executor, and every way out answers.

    A goal that comes while the node is starting waits until it has.

    Args:
        endpoints: of the node. kind: of the action. name: of the action.
        turn: shared by the actions that exclude each other.
        health: counts what is refused and what fails.
        carry_out: fills the answer and says how the goal ended; ``success`` and, where it is still empty, ``message``
            are set here.
    """

    def __init__(
        self, endpoints: Endpoints, kind: Any, name: str, turn: Turn, health: Health, carry_out: Callable[[Goal, Any], Ended]
    ) -> None:
        self._node = endpoints.node
        self._kind, self._name, self._turn, self._health, self._carry_out = kind, name, turn, health, carry_out
        endpoints.action(
            kind, name, self._execute, callback_group=ReentrantCallbackGroup(), goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted, cancel_callback=lambda _: CancelResponse.ACCEPT,
        )  # fmt: skip

    def _on_goal(self, goal: Any) -> GoalResponse:  # noqa: ARG002
        return GoalResponse.ACCEPT if self._turn.has_room() else GoalResponse.REJECT

    def _on_accepted(self, handle: Any) -> None:
        self._turn.begin(handle)
        handle.execute()

    def _execute(self, handle: Any) -> Any:
        """One goal from beginning to end, on a thread of the executor."""
        answer, ended = self._kind.Result(), Ended.FAILED
        try:
            goal = Goal(handle, self._turn)
            while goal.over() in (None, Ended.STOPPED) and getattr(self._node, "state", "") in STARTING:
                time.sleep(LOOK_S)
            ended = self._carry_out(goal, answer)
        except (SpatiaError, OSError) as error:
            answer.message = str(error)
            self._health.refuse(self._name, error)
        except CancelledError:
            answer.message = Ended.STOPPED.value
        except Exception as error:  # say so, and live on
            answer.message = self._health.fail(self._name, error)
        finally:
            self._turn.end()
        answer.success = ended is Ended.DONE
        if not (answer.success or answer.message):
            answer.message = ended.value
        if ended is Ended.CANCELLED:
            handle.canceled()
        elif answer.success:
            handle.succeed()
        else:
            handle.abort()
        return answer
