"""What gives way when frames come too late, in a stated order: sampling steps, then invention, then the rate.

No ROS here and no clock: a :class:`Deadline` is told what each frame took and says how the next is to be made.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, Protocol


class Quality(IntEnum):
    """How a frame is made; the numbers are those of ``SimStatus``."""

    FULL = 0
    FEWER_STEPS = 1
    PROJECTION = 2
    LOWER_RATE = 3


class Rung(NamedTuple):
    """One way to make frames."""

    quality: Quality
    steps: int
    """Sampling steps of the generator; 0: it is not asked, memory alone is drawn."""
    every: int
    """Frame periods from one frame to the next."""


class Rules(Protocol):
    """When to go down and up (see ``DeadlineSettings``)."""

    @property
    def late_frames(self) -> int:
        """Late frames in a row after which quality gives way."""

    @property
    def room(self) -> float:
        """A frame that takes less than this share of its period leaves room."""

    @property
    def climb_frames(self) -> int:
        """Frames in a row with room after which a better quality is tried."""


MOST_PATIENCE = 32
"""After trials that failed, the next one waits at most this many times ``climb_frames``."""


def ladder(steps: int, slowest: int) -> tuple[Rung, ...]:
    """The ways to make frames, the best first: as configured, then half the steps and half again, then none, then more rarely.

    Args:
        steps: sampling steps as configured; 1: there are no fewer; 0: the generator is the null one already.
        slowest: frame periods from one frame to the next on the last rung; 1: the rate stays.
    """
    rungs = [Rung(Quality.FULL, steps, 1)]
    while (fewer := rungs[-1].steps // 2) > 0:
        rungs.append(Rung(Quality.FEWER_STEPS, fewer, 1))
    if steps:
        rungs.append(Rung(Quality.PROJECTION, 0, 1))
    return tuple(rungs) + tuple(Rung(Quality.LOWER_RATE, 0, every) for every in range(2, slowest + 1))


class Deadline:
    """Goes down a ladder when frames are late, one rung at a time, and up again when there is room.

    Down after ``late_frames`` frames in a row that took longer than there was time. Up after ``climb_frames`` frames in a row
    that left room: what the rung above costs is not known before it is tried, so each trial that ends within
    ``climb_frames`` doubles the wait for the next, and one that lasts puts it back.
    """

    def __init__(self, rungs: tuple[Rung, ...], rules: Rules) -> None:
        self.rungs, self.rules = rungs, rules
        self.reset()

    def reset(self) -> None:
        """Begin at the top."""
        self._at, self._late, self._roomy = 0, 0, 0
        self._patience = 1
        self._trial = 0  # frames left until the rung climbed to counts as held; 0: no trial

    @property
    def rung(self) -> Rung:
        """How the next frame is to be made."""
        return self.rungs[self._at]

    def took(self, cost_s: float, period_s: float) -> Rung:
        """Take note of what a frame made on this rung took, and say how the next is to be made.

        Args:
            cost_s: from its beginning to its publication and the end of all work on it.
            period_s: one frame period.
        """
        self._late = self._late + 1 if cost_s > self.rung.every * period_s else 0
        self._roomy = self._roomy + 1 if self._fits_above(cost_s, period_s) else 0
        if self._trial and not self._late:
            self._trial -= 1
            self._patience = self._patience if self._trial else 1
        if self._late >= self.rules.late_frames:
            self._go_down()
        elif self._at and self._roomy >= self.rules.climb_frames * self._patience:
            self._go_up()
        return self.rung

    def _fits_above(self, cost_s: float, period_s: float) -> bool:
        """Whether a frame of this cost would leave room on the rung above."""
        return self._at > 0 and cost_s <= self.rules.room * self.rungs[self._at - 1].every * period_s

    def _go_down(self) -> None:
        if self._at + 1 < len(self.rungs):
            self._at += 1
            if self._trial:
                self._patience = min(2 * self._patience, MOST_PATIENCE)
        self._late = self._roomy = self._trial = 0

    def _go_up(self) -> None:
        self._at -= 1
        self._late = self._roomy = 0
        self._trial = self.rules.climb_frames
