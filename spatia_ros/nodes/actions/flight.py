"""A path flown for a goal: its frames are handed to who asked for them, on a thread that may take its time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from spatia_ros.ahead import ClipAhead, Coming
from spatia_ros.nodes.actions.goals import LOOK_S, Ended, Goal
from spatia_ros.nodes.motion import Follow, Move
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.settings import MotionSettings
from spatia_ros.nodes.worker import Worker
from spatia_ros.types import Step
from spatia_ros.world import Asked, World

WAITING = 4
"""Frames that may wait to be taken; when full, the world waits, too: none is lost."""


class Made(NamedTuple):
    """One frame of a flight."""

    index: int  # type: ignore[assignment]  # of the pose in the flight; hides the method of tuples
    camera: str
    step: Step  # of one frame
    stamp_ns: int  # it was published with
    ms: float  # from the beginning of its clip until it was published


@dataclass
class Flight(Follow):
    """A path whose frames are asked for in their own way, and kept until they are taken.

    With ``generator.clip`` above 1 so many poses' frames are generated together; they are shown, and enter memory, one by one.

    Args:
        asked: prompt and randomness of these frames. cameras: of the rig, whose frames are wanted; empty: all that are made.
    """

    asked: Asked = field(default_factory=Asked)
    cameras: frozenset[str] = frozenset()
    gives_way: bool = False
    error: Exception | None = None
    """What making a frame, or taking it, failed of."""
    _ready: deque[Made] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ending: bool = False
    _begun_s: float = 0.0
    _rig: Rig | None = None
    _ahead: ClipAhead | None = None

    def next(self, rig: Rig, settings: MotionSettings, period_ns: int) -> Move | None:
        """The next pose; none once something failed."""
        self._rig = rig
        return None if self.error else super().next(rig, settings, period_ns)

    def _coming(self) -> Coming:
        """The poses after the one whose frame is made now, of the world's camera."""
        assert self._rig is not None
        poses = [self._rig.camera_of(T) for T in self.T[self._index :]]
        return Coming(self.offsets_ns[self._index :] - self.offsets_ns[self._made], np.array(poses).reshape(-1, 4, 4))

    def skip(self, frames: int) -> None:
        """No frame is left out."""

    def making(self, world: World) -> AbstractContextManager[None]:
        """Within, the world makes a frame as it is asked for here."""
        return self._asked(world)

    @contextmanager
    def _asked(self, world: World) -> Iterator[None]:
        self._begun_s = time.perf_counter()
        try:
            with world.asked(self.asked), self._in_clips(world):
                yield
        except Exception as error:
            self.error = error
            raise

    def _in_clips(self, world: World) -> AbstractContextManager[None]:
        if world.config.generator.clip == 1:
            return nullcontext()
        self._ahead = self._ahead or ClipAhead(world, world.generator, self._coming)
        return world.drawn_by(self._ahead)

    def made(self, camera: str, step: Step, stamp_ns: int) -> None:
        """A camera's frame was published; waits while too many others wait to be taken."""
        if self.cameras and camera not in self.cameras:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._ending or len(self._ready) < WAITING)
            self._ready.append(Made(self._made, camera, step, stamp_ns, (time.perf_counter() - self._begun_s) * 1e3))
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing waits any more for frames to be taken."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def take(self, wait_s: float) -> Iterator[Made]:
        """The frames that wait; when there are none, what comes within a time."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ending, wait_s)
        while self._ready:
            with self._changed:
                made = self._ready.popleft()
                self._changed.notify_all()
            yield made


class Stage(Protocol):
    """What of a world node a flight needs."""

    rig: Rig
    worker: Worker


def fly(goal: Goal, stage: Stage, flight: Flight, take: Callable[[Made], None], tell: Callable[[int], None]) -> Ended:
    """Follow a flight to its end; every frame made is taken, the one in progress when it was given up included.

    Args:
        take: gets each frame, on this thread. tell: gets how many poses are done, each time there are more.

    Raises:
        Exception: what making or taking a frame failed of; the flight is given up then.
    """
    worker, told = stage.worker, 0

    def go_on(wait_s: float) -> int:
        done = told
        for made in flight.take(wait_s):
            take(made)
            done = made.index + 1
        if done > told:
            tell(done)
        return done

    if not goal.begin(lambda: worker.follow(flight)):
        return goal.over() or Ended.REPLACED
    try:
        while (over := goal.over()) is None and worker.follows(flight):
            told = go_on(LOOK_S)
        worker.drop(flight)
        flight.end()
        worker.submit(lambda: None).result()  # the frame in progress still comes
        go_on(0.0)
    finally:
        worker.drop(flight)
        flight.end()
    if flight.error is not None:
        raise flight.error
    if over is not None:
        return over
    return Ended.REPLACED if flight.unfinished else Ended.DONE
