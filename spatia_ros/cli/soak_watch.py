"""What a soak looks at from outside while it goes on: the memory use of the node under trial, whichever process that is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.processes import newest_child
from spatia_ros.cli.soak_actors import resident_mb
from spatia_ros.cli.soak_report import Sample
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from spatia_ros.cli.processes import Child

SAMPLE_S = 1.0


class Watch:
    """Samples the memory use of a node that a supervisor keeps running, and hears what its player tells of it.

    Args:
        supervisor, player: the processes.
    """

    def __init__(self, supervisor: Child, player: Child) -> None:
        self._supervisor, self._player, self._begun = supervisor, player, time.monotonic()
        self.samples: list[Sample] = []
        self.homes: list[dict[str, float]] = []
        """What the node held each time it was at home, with the second of the trial and the process."""
        self.watched_s: float | None = None
        """Second of the trial from which on memory use is to be judged; None: not yet."""

    @property
    def at_s(self) -> float:
        """Second of the trial."""
        return time.monotonic() - self._begun

    def look(self) -> bool:
        """Look again; returns whether there is a new sample."""
        at_s, told, fresh = self.at_s, list(self._player.reports), False
        if not self.samples or at_s - self.samples[-1].at_s >= SAMPLE_S:
            pid, fresh = newest_child(self._supervisor.process.pid), True
            self.samples.append(Sample(at_s, pid or 0, _resident(pid)))
        if self.watched_s is None and any("watched" in r for r in told):
            self.watched_s = at_s
        held = [r["held"] for r in told if "held" in r]
        self.homes.extend({"at_s": at_s, "pid": self.samples[-1].pid, **each} for each in held[len(self.homes) :])
        return fresh

    @property
    def alive(self) -> list[Sample]:
        """The samples of a process that was there."""
        return [s for s in self.samples if s.pid and s.resident_mb]

    def report(self) -> dict[str, Any]:
        """The figures."""
        lived = [[round(s.at_s, 1), s.pid, round(s.resident_mb, 2)] for s in self.samples if s.pid]
        return {"minutes": self.at_s / 60.0, "at_home": self.homes, "watched_s": self.watched_s, "resident_mb": lived}


def _resident(pid: int | None) -> float:
    try:
        return resident_mb(pid) if pid else 0.0
    except (SpatiaError, StopIteration):  # killed this very moment
        return 0.0
