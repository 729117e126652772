"""The action build_engine: an engine is built in a process of its own, which a cancelled goal takes down with all it started."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from spatia_ros.action import BuildEngine
from spatia_ros.engine.bundle import MANIFEST, engines_folder
from spatia_ros.nodes.actions.goals import LOOK_S, Ended, Goal, GoalServer, Turn
from spatia_ros.nodes.part import Part
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from spatia_ros.nodes.world_node import WorldFace

NAME = "build_engine"
BUILDER = (sys.executable, "-m", "spatia_ros.engine.build_task")
LONGEST_LINE = 1000
END_S = 5.0
"""A build that was told to end is killed after this."""


class EngineBuilder(Part):
    """Serves the action: one build at a time, the newest. The world goes on meanwhile, and need not be active."""

    def __init__(self, face: WorldFace) -> None:
        self._face, self._turn = face, Turn(2)
        GoalServer(face.endpoints, BuildEngine, NAME, self._turn, face.health, self._carry_out)

    def close(self) -> None:
        """End the build in progress."""
        self._turn.close()

    def _carry_out(self, goal: Goal, answer: Any) -> Ended:
        began_s = time.monotonic()
        try:
            return self._follow(goal, answer, Building([*BUILDER, *self._arguments(goal.request)]))
        finally:
            answer.seconds = time.monotonic() - began_s

    def _follow(self, goal: Goal, answer: Any, building: Building) -> Ended:
        """Tell what the process tells until it ends, or has to."""
        feedback = BuildEngine.Feedback()
        try:
            while True:
                if over := goal.over():
                    return over
                line = building.line(LOOK_S)
                if line is None:
                    return self._ended(answer, building)
                if line and building.read(line, feedback):
                    goal.tell(feedback)
        finally:
            building.end()

    def _ended(self, answer: Any, building: Building) -> Ended:
        """What the process left behind."""
        if building.done is None:
            raise SpatiaError(building.failed or f"{NAME}: the build ended with {building.end()}: {building.last or 'no word'}")
        answer.path, answer.sha256 = str(building.done["path"]), str(building.done["sha256"])
        answer.message = str(building.done["message"])
        return Ended.DONE

    def _arguments(self, request: Any) -> list[str]:
        """Those of the process, with the name confined to shipped engines and the data folder."""
        shipped = sorted(path.parent.name for path in engines_folder().glob(f"*/{MANIFEST}"))
        name = request.name
        if name not in shipped:
            folder = self._face.files.inside(name)
            if not (folder / MANIFEST).is_file():
                expected = f"one of {shipped} or a folder with {MANIFEST} in the data folder"
                raise SpatiaError(f"{NAME}.name: expected {expected}, got {name!r:.200}")
            name = str(folder)
        settings = self._face.settings
        options = {"clip": settings.generator.clip, "steps": settings.generator.steps} | {
            "width_px": settings.camera.width_px, "height_px": settings.camera.height_px,
            "most_width_px": max(1280, settings.camera.width_px), "most_height_px": max(720, settings.camera.height_px),
        }  # fmt: skip
        words = [name, f"--runtime={request.runtime}", f"--precision={request.precision}", "--with-parent"]
        return [*words, "--options", json.dumps(options), *(["--again"] if request.force else [])]


class Building:
    """A build's process, in a group of its own with all it starts; its lines come on a thread.

    Args:
        command: to run.
    """

    def __init__(self, command: list[str]) -> None:
        self.done: dict[str, Any] | None = None
        self.failed, self.last, self._ended = "", "", False
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            text=True, errors="replace",
        )  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, name="build", daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(ValueError):  # closed meanwhile
            for line in self._process.stdout or ():
                self._lines.put(line.strip()[:LONGEST_LINE])
        self._lines.put(None)

    def line(self, wait_s: float) -> str | None:
        """The next line; empty when none comes in time, None when there will be no more."""
        try:
            return self._lines.get(timeout=wait_s)
        except queue.Empty:
            return ""

    def read(self, line: str, feedback: Any) -> bool:
        """Take note of a line; returns whether there is something to tell."""
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            told = None
        if isinstance(told, dict) and isinstance(told.get("done"), dict):
            self.done = told["done"]
            return False
        if isinstance(told, dict) and "failed" in told:
            self.failed = str(told["failed"])
            return False
        if isinstance(told, dict) and {"stage", "progress", "log"} <= told.keys():
            feedback.stage, feedback.progress = str(told["stage"]), float(told["progress"])
            line = str(told["log"])
        self.last = feedback.log = line
        return True

    def end(self) -> int:
        """End the process and all it started, if they still run; returns its status."""
        if self._ended:  # its number may be another's by now
            return int(self._process.returncode)
        self._ended = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()
        return int(self._process.returncode)
