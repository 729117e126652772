"""A parent that keeps a node running: one that died, hangs, or gave its work up is started again, with the state it kept.

The child says through a pipe that it is alive (its heartbeat, see :mod:`.heartbeat`). Standard library only: the parent
takes no part in the ROS graph, so nothing that happens there brings it down.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from spatia_ros.nodes.shared_memory import remove_left_over

WRONG_SETTINGS = 2
"""Exit status of a child whose settings cannot be met: the same ones would not be met again."""
GAVE_UP = "gave up"
"""What a child says that freed everything because its work failed."""
ACTIVE = "active"
"""What a child says that works; one that was active once is taken to be able to."""
LOOK_S = 0.2


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, seconds, and how often to try.

    Args:
        start_s: to the first heartbeat. silence_s: from one heartbeat to the next. end_s: from a signal to the end.
        backoff_s: before the first restart; twice as long before each further one, up to ``longest_backoff_s``.
        well_s: a child that ran so long begins anew with ``backoff_s``, and with the count of kills.
        restarts, within_s: more restarts than this, in this time, and it is left.
        kills: one that was active when it was killed (SIGKILL) is started again at once, and this counts for no restart;
            but so many kills in a row, none of a child that ran ``well_s``, and it is left.
    """

    start_s: float = 120.0
    silence_s: float = 15.0
    end_s: float = 10.0
    backoff_s: float = 0.25
    longest_backoff_s: float = 30.0
    well_s: float = 30.0
    restarts: int = 20
    within_s: float = 600.0
    kills: int = 100


class Supervisor:
    """Runs a command until it ends by itself or is told to.

    Args:
        command: ``(attempt, pipe) -> arguments`` of the child; it writes a line into the pipe at each heartbeat, and
            ``GAVE_UP`` when its work cannot go on. Attempts count from 0.
        say: told in a sentence what happens.
    """

    def __init__(self, command: Callable[[int, int], Sequence[str]], patience: Patience, say: Callable[[str], None]) -> None:
        self._command, self._patience, self._say = command, patience, say
        self._child: subprocess.Popen[bytes] | None = None
        self._told: int | None = None  # the signal to end by
        self.starts = 0

    def run(self) -> int:
        """Keep the child running; returns the exit status to end with."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            return self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self) -> int:
        backoff_s, kills, recent = self._patience.backoff_s, 0, deque[float]()
        while True:
            began_s = time.monotonic()
            status, lived, why = self._one_life()
            if self._told is not None and not lived:  # it may not mind signals yet, nor has it anything to close
                return 0
            if self._told is not None or status == 0:
                return status
            if status == WRONG_SETTINGS and not lived and self.starts == 1:
                return status  # it said why
            if freed := remove_left_over():
                self._say(f"{freed / 1e6:.0f} MB that killed processes had left in shared memory are free again")
            if time.monotonic() - began_s > self._patience.well_s:
                backoff_s, kills = self._patience.backoff_s, 0
            if lived and status == -signal.SIGKILL:  # no fault of its own; it came to life, so it will again
                kills += 1
                if kills > self._patience.kills:
                    self._say(f"{why} {kills} times in a row, each within {self._patience.well_s:.0f} s: left as it is")
                    return status
                self._say(f"{why}; started again")
                backoff_s = self._patience.backoff_s
                continue
            if self._too_often(recent):
                self._say(f"{why}; that was restart {len(recent)} in {self._patience.within_s:.0f} s: left as it is")
                return status or 1
            self._say(f"{why}; started again in {backoff_s:.2g} s")
            if self._interrupted(backoff_s):
                return 0
            backoff_s = min(2 * backoff_s, self._patience.longest_backoff_s)

    def _too_often(self, recent: deque[float]) -> bool:
        """Note a restart: whether there were too many of late."""
        recent.append(time.monotonic())
        while recent and recent[0] < time.monotonic() - self._patience.within_s:
            recent.popleft()
        return len(recent) > self._patience.restarts

    def _one_life(self) -> tuple[int, bool, str]:
        """Run the child once: its exit status, whether it was ever active, and why it ended, in words."""
        pipe, inherited = os.pipe()
        try:
            # A session of its own: Ctrl-C reaches it through this process alone, once.
            self._child = subprocess.Popen(
                self._command(self.starts, inherited), pass_fds=(inherited,), stdin=subprocess.DEVNULL, start_new_session=True
            )
            self.starts += 1
        finally:
            os.close(inherited)
        try:
            if self._told is not None:  # while it was being started
                self._child.send_signal(self._told)
            lived, why = self._watch(self._child, pipe)
        finally:
            status = self._end(self._child)
            os.close(pipe)
            self._child = None
        return status, lived, why or _ended(status)

    def _watch(self, child: subprocess.Popen[bytes], pipe: int) -> tuple[bool, str]:
        """Wait until the child is to be ended or has ended: whether it was ever active, and why it has to end (empty: it did)."""
        lived, heard_s, heard = False, time.monotonic(), False
        while child.poll() is None:
            ready, _, _ = select.select([pipe], [], [], LOOK_S)
            said = os.read(pipe, 65536) if ready else b""
            if ready and not said:  # it closed the pipe: it is ending
                return lived, self._awaited(child)
            if GAVE_UP.encode() in said:
                return True, "its work failed"
            if said:
                heard, heard_s = True, time.monotonic()
                lived |= any(word == ACTIVE.encode() for word in said.split())
            if self._told is not None:
                return lived, self._awaited(child)
            patience_s = self._patience.silence_s if heard else self._patience.start_s
            if time.monotonic() - heard_s > patience_s:
                return lived, f"it said nothing for {patience_s:.0f} s"
        return lived, ""

    def _awaited(self, child: subprocess.Popen[bytes]) -> str:
        try:
            child.wait(self._patience.end_s)
        except subprocess.TimeoutExpired:
            return f"it did not end within {self._patience.end_s:.0f} s"
        return ""

    def _end(self, child: subprocess.Popen[bytes]) -> int:
        """The child's exit status; one that still runs is asked to end, then killed."""
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(self._patience.end_s / 4)
            except subprocess.TimeoutExpired:
                child.kill()
            child.wait()
            return 1  # however it ended, it was not of its own will
        return int(child.returncode)

    def _interrupted(self, seconds: float) -> bool:
        """Wait; returns whether a signal told to end."""
        until_s = time.monotonic() + seconds
        while self._told is None and time.monotonic() < until_s:
            time.sleep(min(LOOK_S, seconds))
        return self._told is not None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._told = number
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)


def _ended(status: int) -> str:
    return f"it was killed by {signal.Signals(-status).name}" if status < 0 else f"it ended with status {status}"


def supervise(command: Callable[[int, int], Sequence[str]], patience: Patience) -> int:
    """Keep a command running, saying on standard error what happens; returns the exit status."""

    def say(line: str) -> None:
        sys.stderr.write(f"respawn: {line}\n")
        sys.stderr.flush()

    return Supervisor(command, patience, say).run()
