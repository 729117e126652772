"""Stages of the set-up: each runs once for a given content, and leaves its stamp only after it succeeded."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from host import SetupError

LAST_LINES = 15
_OFFLINE = "the package index could not be reached: check the network and try again; what is done is kept"
KNOWN_CAUSES = {
    "No space left on device": "the disk is full: make room and try again; what is done is kept",
    "NewConnectionError": _OFFLINE,
    "Temporary failure in name resolution": _OFFLINE,
    "ReadTimeoutError": _OFFLINE,
    "ProxyError": _OFFLINE,
    "(from versions: none)": "the package index could not be reached or has nothing for this machine: check the network",
}
"""Words in a log that explain a failure, and what to do about it."""


def content_key(*parts: str, files: list[Path] | None = None) -> str:
    """A hash of some words and of the names and contents of some files."""
    digest = hashlib.sha256("\0".join(parts).encode())
    for path in sorted(files or []):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Stage:
    """One step of the set-up.

    Args:
        name: file name of its stamp and log.
        title: what the user reads while it runs.
        key: hash of everything its result depends on.
        work: does it; all output of its commands goes to the log it is given.
        leaves: a file it made; when that is gone the stage runs again, stamp or not.
    """

    name: str
    title: str
    key: str
    work: Callable[[Log], None]
    leaves: Path | None = None


class Log:
    """The detailed log of one stage, and the commands that write to it."""

    def __init__(self, path: Path, title: str, env: dict[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.env = path, env
        self._title, self._start, self._live = title, time.monotonic(), sys.stdout.isatty()
        path.write_text("")

    def elapsed_s(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self._start

    def run(self, command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        """Run a command to its end, showing the time it takes.

        Raises:
            SetupError: when it fails, with the last lines of the log and where the rest is.
        """
        with self.path.open("a") as out:
            out.write("$ " + " ".join(map(str, command)) + "\n")
            out.flush()
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT}
            # close_fds=False hands on the lock, the one inheritable file: orphans of a killed set-up hold it until they end
            with subprocess.Popen(command, env=env or self.env, cwd=cwd, close_fds=False, **streams) as process:
                try:
                    while process.poll() is None:
                        self._show()
                        time.sleep(0.1)
                except BaseException:
                    process.terminate()
                    raise
        if process.returncode != 0:
            raise SetupError(self._failure(Path(command[0]).name, process.returncode))

    def output(self, command: list[str]) -> str:
        """What a short command prints."""
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=False).stdout.strip()

    def _show(self) -> None:
        if self._live:
            print(f"\r  {self._title} ... {self.elapsed_s():.0f} s ", end="", flush=True)

    def _failure(self, program: str, status: int) -> str:
        text = self.path.read_text(errors="replace")
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("WARNING: ")]
        tail = "\n".join("    " + line for line in lines[-LAST_LINES:])
        cause = next((words for sign, words in KNOWN_CAUSES.items() if sign in text), f"{program} ended with status {status}")
        return f"{self._title}: {cause}\n{tail}\n  The whole log: {os.path.relpath(self.path)}"


def run_stages(stages: list[Stage], stamps: Path, logs: Path, env: dict[str, str]) -> int:
    """Run the stages whose stamp is missing or out of date, in order; returns how many ran.

    Each is looked at when its turn comes: a new environment takes the stamps of the later stages with it.
    """
    ran = 0
    for number, stage in enumerate(stages, 1):
        if is_done(stage, stamps):
            continue
        ran += 1
        title = f"[{number}/{len(stages)}] {stage.title}"
        print(f"  {title} ...", end="" if sys.stdout.isatty() else "\n", flush=True)
        log = Log(logs / f"{stage.name}.log", title, env)
        stamp = stamps / f"{stage.name}.stamp"
        stamp.unlink(missing_ok=True)
        try:
            stage.work(log)
        except BaseException:
            print()
            raise
        write_stamp(stamp, stage.key)
        print(("\r" if sys.stdout.isatty() else "") + f"  {title}: {log.elapsed_s():.0f} s        ", flush=True)
    return ran


def is_done(stage: Stage, stamps: Path) -> bool:
    """Whether the stage has succeeded for this very content, and its result is still there."""
    stamp = stamps / f"{stage.name}.stamp"
    if stage.leaves and not stage.leaves.exists():
        return False
    return stamp.is_file() and stamp.read_text() == stage.key


def write_stamp(stamp: Path, key: str) -> None:
    """Leave the stamp, whole or not at all."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    partial = stamp.with_suffix(".partial")
    partial.write_text(key)
    os.replace(partial, stamp)


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold the lock file; a second set-up waits for the first and then finds its work done."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("  another set-up is running here: waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        os.set_inheritable(file.fileno(), True)
        yield
