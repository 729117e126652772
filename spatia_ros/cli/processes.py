"""Child processes that belong together: started with a log each, watched, and always cleaned up."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from spatia_ros.types import SpatiaError

_LIBC = ctypes.CDLL(None)
LAST_LINES = 12
POLL_S = 0.05


def _die_with_parent() -> None:
    """In the child, before its program: have Linux end it when the parent is killed and cannot (prctl, PR_SET_PDEATHSIG)."""
    _LIBC.prctl(1, signal.SIGTERM)


class Child:
    """One process; what it prints goes to its log, and lines of JSON on its standard output are its reports.

    Args:
        name: what to call it when it dies. command: program and arguments. log: file of its output.
        environment: variables on top of this process's own.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name, self.log, self.reports = name, log, deque[dict[str, Any]]()
        log.parent.mkdir(parents=True, exist_ok=True)
        self._file = log.open("w")
        # A session of its own: Ctrl-C reaches the parent alone, which then ends its children in order.
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._file, text=True, errors="replace",
            start_new_session=True, preexec_fn=_die_with_parent, env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._file.write(line)
            self._file.flush()
            if line.startswith("{"):
                try:
                    self.reports.append(json.loads(line))
                except json.JSONDecodeError:
                    continue  # a log line that only looks like a report; it is in the log

    def stop(self, wait_s: float) -> int:
        """Ask it to end, insist after ``wait_s``; returns its exit code."""
        for number, patience_s in ((signal.SIGINT, wait_s), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            if self.process.poll() is not None:
                break
            self._signal(number)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        self._signal(signal.SIGKILL)  # whatever it left behind in its session
        self._reader.join(1.0)
        self._file.close()
        return self.process.poll() or 0

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return  # it and all its children are gone

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(f"    {line}" for line in lines[-LAST_LINES:]) or "    (it printed nothing)"


class Troupe:
    """Children that live and die together: whichever fails, all are ended.

    Example:
        ``with Troupe(folder, {}) as troupe: node = troupe.start("world node", [...]); troupe.wait(...)``
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self.logs, self.environment, self.children = logs, environment, list[Child]()

    def __enter__(self) -> Troupe:
        self._terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for child in reversed(self.children):
            child.stop(5.0)
        signal.signal(signal.SIGTERM, self._terminate)

    def start(self, name: str, module: str, *arguments: str) -> Child:
        """Start ``python -m module arguments``."""
        log = self.logs / f"{name.replace(' ', '_')}.log"
        child = Child(name, [sys.executable, "-m", module, *arguments], log, self.environment)
        self.children.append(child)
        return child

    def wait(self, what: str, done: Callable[[], bool], limit_s: float, leaving: Sequence[Child] = ()) -> None:
        """Wait until ``done()``; only children in ``leaving`` may end meanwhile, and only with exit code 0.

        Raises:
            SpatiaError: naming the process that died with its last log lines, or what did not happen in time.
        """
        start = time.monotonic()
        while not done():
            self.check(leaving)
            if time.monotonic() - start > limit_s:
                logs = "\n".join(f"  {child.name} ({child.log}):\n{child.last_words()}" for child in self.children)
                raise SpatiaError(f"waited {limit_s:g} s for {what} in vain; the last lines of each log:\n{logs}")
            time.sleep(POLL_S)

    def check(self, leaving: Sequence[Child] = ()) -> None:
        """Raise if a child died."""
        for child in self.children:
            code = child.process.poll()
            if code is None or (code == 0 and child in leaving):
                continue
            time.sleep(0.2)  # its last lines may still be on their way to the log
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise SpatiaError(f"the {child.name} {how}; its last lines ({child.log}):\n{child.last_words()}")


def newest_child(pid: int) -> int | None:
    """The process whose parent this is, the one started last of several; None where it has none."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(words[1]) == pid and words[0] != "Z":
            found.append((int(words[19]), int(stat.parent.name)))
    return max(found)[1] if found else None
