"""Whether frames are made: the simulation's state, its transitions, and the steps that are still to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from spatia_ros.types import SpatiaError


class State(IntEnum):
    """States of a simulation, numbered as simulation_interfaces/SimulationState has them."""

    STOPPED = 0
    PLAYING = 1
    PAUSED = 2
    QUITTING = 3
    NO_WORLD = 4
    LOADING_WORLD = 5

    @property
    def word(self) -> str:
        """The state as people say it."""
        return self.name.lower().replace("_", " ")


WITH_WORLD = frozenset({State.STOPPED, State.PLAYING, State.PAUSED})
"""States in which there is a world to play."""
NEXT = {State.STOPPED: WITH_WORLD, State.PLAYING: WITH_WORLD, State.PAUSED: WITH_WORLD, State.QUITTING: frozenset(State)}
"""States that can be asked for, each with those it can be reached from; no world and loading one come of their own services."""
MOST_STEPS = 1_000_000
"""More than a day's worth of frames at a time is a mistake, and its caller would wait for ever."""


class AlreadyThere(SpatiaError):
    """The state that is asked for is the state now."""


class NoTransition(SpatiaError):
    """There is no way from the state now to the one asked for."""


class NotPaused(SpatiaError):
    """Steps are for a simulation that is paused, and for one client at a time."""


class Interrupted(SpatiaError):
    """Something ended the steps before the last of them."""


LOOK_S = 0.02
"""How often somebody who waits for a step looks whether he is to go on waiting."""


class Steps:
    """So many frames asked for: iterates over how many are made, 1, 2, ..., each as soon as it is, none left out.

    Iterating raises what ended the steps early: :class:`Interrupted`, or what a frame raised.

    Args:
        over: whether whoever asked wants no more of them.
    """

    def __init__(self, count: int, changed: threading.Condition, over: Callable[[], bool]) -> None:
        self._changed, self._wanted, self._over = changed, count, over
        self._error: Exception | None = None
        self.made = 0
        """Frames made so far; one that was in progress when the steps ended counts as soon as it is finished."""

    @property
    def left(self) -> int:
        """Steps still to do."""
        return max(self._wanted - self.made, 0)

    def end(self, error: Exception | None = None) -> None:
        """Begin no more frames, and say why; a frame in progress still comes."""
        with self._changed:
            if self.left:
                self._wanted, self._error = self.made, error
            self._changed.notify_all()

    def __iter__(self) -> Iterator[int]:
        k = 0
        while self._reached(k + 1):
            k += 1
            yield k

    def _reached(self, k: int) -> bool:
        """Wait until ``k`` frames are made, or no more will be."""
        with self._changed:
            while not self._changed.wait_for(lambda: self.made >= k or not self.left, LOOK_S):
                if self._over():
                    self.end()
            if self.made < k and self._error is not None:
                raise self._error
            return self.made >= k


class Play:
    """The state of a simulation, and the gate before each of its frames.

    The worker asks :meth:`may_start` before a frame and tells :meth:`made` or :meth:`given_up` after it. Whoever wants steps
    waits in :meth:`steps`. Playing, frames come as commands ask for them; otherwise only steps make frames: one a step, of the
    motion that is followed, or standing still.

    Args:
        start: the state at the start. stepped: whether playing, too, makes frames by steps alone.
    """

    def __init__(self, start: State = State.PLAYING, stepped: Callable[[], bool] = lambda: False) -> None:
        self._state, self._stepped = start, stepped
        self._steps: Steps | None = None
        self._changed = threading.Condition(threading.RLock())
        self.on_change: Callable[[], None] = lambda: None
        """Called after a change that may let frames begin; not under this object's lock."""

    @property
    def state(self) -> State:
        """The state now."""
        return self._state

    @property
    def has_world(self) -> bool:
        """Whether there is a world that commands can be given in."""
        return self._state in WITH_WORLD

    @property
    def stepping(self) -> bool:
        """Whether steps are still to do."""
        steps = self._steps
        return steps is not None and steps.left > 0

    def may_start(self) -> bool:
        """Whether a frame may begin now."""
        return self.stepping or (self._state is State.PLAYING and not self._stepped())

    def made(self) -> None:
        """A frame was made and published."""
        with self._changed:
            if self._steps is not None:
                self._steps.made += 1
                self._changed.notify_all()

    def given_up(self, error: Exception) -> None:
        """A frame failed: the steps end with its error."""
        self._interrupt(error)

    def check(self, target: State) -> None:
        """Raise unless a state can be asked for now.

        Raises:
            AlreadyThere: when it is the state now. NoTransition: when it cannot be reached from the state now, or by asking.
        """
        if target is self._state:
            raise AlreadyThere(f"state: is {target.word} already")
        if self._state not in NEXT.get(target, ()):
            raise NoTransition(f"state: expected one that {self._state.word} leads to, got {target.word}")

    def become(self, target: State) -> None:
        """Be in another state from now on; steps that are still to do end there."""
        with self._changed:
            self._state = target
            self._interrupt(Interrupted(f"step: the simulation became {target.word}"))
        self.on_change()

    def leave(self, here: State, target: State) -> None:
        """Be in another state, if the state now is this one; it may have become yet another meanwhile."""
        with self._changed:
            if self._state is here:
                self._state = target
        self.on_change()

    def close(self) -> None:
        """End the steps that somebody waits for."""
        self._interrupt(Interrupted("step: the node is shutting down"))

    def _interrupt(self, error: Exception) -> None:
        steps = self._steps
        if steps is not None:
            steps.end(error)

    @contextmanager
    def steps(self, count: int, over: Callable[[], bool] = lambda: False) -> Iterator[Steps]:
        """Make so many frames; what is still to do when the block is left is not done.

        Args:
            over: asked now and then; once it is true no more frames begin.

        Raises:
            NotPaused: unless the simulation is paused and nobody else steps; or when the count is out of bounds.
        """
        with self._changed:
            if not 1 <= count <= MOST_STEPS:
                raise NotPaused(f"step: expected 1..{MOST_STEPS} steps at a time, got {count}")
            if self._state is not State.PAUSED and not (self._state is State.PLAYING and self._stepped()):
                raise NotPaused(f"step: expected a simulation that is paused, it is {self._state.word}")
            if self._steps is not None:
                raise NotPaused(f"step: expected one client at a time, for another {self._steps.left} are still to do")
            steps = self._steps = Steps(count, self._changed, over)
        self.on_change()
        try:
            yield steps
        finally:
            with self._changed:
                self._steps = None
