"""The one thread that touches the world, so that commands are received while a frame is made."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, TypeVar

from spatia_ros.nodes.motion import Motion, Stand

Result = TypeVar("Result")

LONGEST_WAIT_S = 0.05
"""The due time is looked at again after this: simulated clocks run at any speed."""


class Gate(Protocol):
    """Who says when frames may be made. All of it is asked on the worker's thread and answers without waiting."""

    def may_start(self) -> bool:
        """Whether a frame may begin now."""

    @property
    def stepping(self) -> bool:
        """Whether frames are asked for one by one: none waits until it is due, and where there is no motion one stands."""

    def made(self) -> None:
        """A frame was made and published."""

    def given_up(self, error: Exception) -> None:
        """A frame failed."""


class Always:
    """The gate that is always open."""

    stepping = False

    def may_start(self) -> bool:
        """Always."""
        return True

    def made(self) -> None:
        """Nobody counts."""

    def given_up(self, error: Exception) -> None:
        """Nobody waits."""


class Worker:
    """Runs jobs in the order they came and, between them, one frame at a time of the newest motion.

    A motion waits in one place: a newer one takes it (and the world) at the next frame. Poses and
    paths that were replaced before their last frame are counted.

    Args:
        frame: makes the next frame of a motion; returns whether there was one.
        idle: the motion to follow when there is none, or None.
        failed: told of what a frame raised; the motion is given up, the thread goes on.
        pause_s: ``(motion) -> seconds`` until its next frame is due.
        after: called on the thread after each job and frame.
        gate: when frames may be made; jobs are run in any case.
    """

    def __init__(
        self,
        frame: Callable[[Motion], bool],
        idle: Callable[[], Motion | None],
        failed: Callable[[Exception], None],
        pause_s: Callable[[Motion], float],
        after: Callable[[], None],
        gate: Gate | None = None,
    ) -> None:
        self._frame, self._idle, self._failed, self._pause_s, self._after = frame, idle, failed, pause_s, after
        self._gate = gate or Always()
        self._wake = threading.Condition()
        self._jobs: deque[tuple[Future[Any], Callable[[], None]]] = deque()
        self._newest: Motion | None = None
        self._current: Motion | None = None
        self._closed = True
        self.dropped = 0
        self._thread: threading.Thread | None = None
        self._since_s: float | None = None  # when the job or frame in progress began

    def start(self) -> None:
        """Begin, or begin again after :meth:`close`; jobs that come before are cancelled."""
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="world", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the job or frame in progress; what waits is cancelled."""
        with self._wake:
            self._closed = True
            self._newest = self._current = None
            waiting = list(self._jobs)
            self._jobs.clear()
            self._wake.notify()
        for future, _ in waiting:
            future.cancel()
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join()
            self._thread = None

    @property
    def busy(self) -> bool:
        """Whether a motion is being followed or waits to be, and frames may be made."""
        return (self._newest is not None or self._current is not None) and self._gate.may_start()

    @property
    def at_it_s(self) -> float:
        """How long the job or frame in progress has taken so far; 0 when there is none."""
        since_s = self._since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    @property
    def backlog(self) -> int:
        """Jobs that wait."""
        return len(self._jobs)

    def submit(self, job: Callable[[], Result]) -> Future[Result]:
        """Run a job on the world's thread; its result or exception comes through the future."""
        future: Future[Result] = Future()

        with self._wake:
            if self._closed:
                future.cancel()
            else:
                self._jobs.append((future, partial(_fulfil, future, job)))
                self._wake.notify()
        return future

    def wake(self) -> None:
        """Look again at what there is to do: the gate may have opened."""
        with self._wake:
            self._wake.notify()

    def follow(self, motion: Motion) -> None:
        """Make this the motion; the one before it ends at its next frame."""
        with self._wake:
            self.dropped += self._newest is not None and self._newest.unfinished
            self._newest = motion
            self._wake.notify()

    def follows(self, motion: Motion) -> bool:
        """Whether a motion is being followed or is the next to be."""
        return motion is self._newest or motion is self._current

    def drop(self, motion: Motion) -> None:
        """Give up one motion, after its frame in progress; another that took its place goes on."""
        with self._wake:
            if self._newest is motion:
                self._newest = None
            if self._current is motion:
                self._current = None

    def halt(self) -> None:
        """Give up every motion (called by jobs that change the world under it)."""
        with self._wake:
            self._newest = self._current = None

    def _take(self) -> Callable[[], None] | Motion | None:
        """The next thing to do: a job, or a motion whose next frame is due; None when closed."""
        with self._wake:
            while not self._closed:
                if self._jobs:
                    return self._jobs.popleft()[1]
                pause = self._pause()
                if pause is not None and pause <= 0:
                    return self._current
                self._wake.wait(pause and min(pause, LONGEST_WAIT_S))
            return None

    def _pause(self) -> float | None:
        """Seconds until the next frame may begin; None: not before something changes."""
        if not self._gate.may_start():
            return None
        self._switch()
        if self._gate.stepping:
            self._current = self._current or Stand(frames=1)
            return 0.0
        return self._pause_s(self._current) if self._current else None

    def _switch(self) -> None:
        if self._newest is not None:
            self.dropped += self._current is not None and self._current.unfinished
            self._current, self._newest = self._newest, None
        elif self._current is None:
            self._current = self._idle()

    def _run(self) -> None:
        while (work := self._take()) is not None:
            self._since_s = time.monotonic()
            if callable(work):
                work()
            elif not self._one_frame(work):
                self._current = None
            del work  # what it holds may be large, and the next may not come for long
            self._after()
            self._since_s = None

    def _one_frame(self, motion: Motion) -> bool:
        try:
            made = self._frame(motion)
            if made:
                self._gate.made()
            return made
        except Exception as error:  # the engine's own types, MemoryError: the node must outlive them all
            self._failed(error)
            self._gate.given_up(error)
            time.sleep(LONGEST_WAIT_S)  # streaming into the same failure must not spin
            return False


def _fulfil(future: Future[Result], job: Callable[[], Result]) -> None:
    """Run a job; its result or exception comes through the future."""
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(job())
        except Exception as error:  # whatever it is belongs to who asked
            future.set_exception(error)
            del future, job  # else the error would hold, by its traceback, what holds the error
