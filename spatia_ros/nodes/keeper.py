"""Checkpoints of a running node: every so often and when it stops, so that a restart goes on where it was.

Taking one copies the state on the worker's thread, between two frames; it is written on a thread of its own. Who stops the
node waits for one to be written, the last: another that is still on its way then, of an older state, is given up.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from std_srvs.srv import Trigger

from spatia_ros.checkpoint import Abandoned, Checkpoints, Saved
from spatia_ros.msg import SimStatus
from spatia_ros.nodes.part import Part
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from spatia_ros.nodes.memory_face import MemoryFace


class Keeper(Part):
    """Keeps a node's checkpoints, where a folder for them is named.

    Made first of a face's parts, for what it finds is what the face begins with.
    """

    def __init__(self, face: MemoryFace) -> None:
        self._at, self._settings = face, face.settings.checkpoint
        self._kept: Checkpoints | None = None
        self._writing: threading.Thread | None = None
        self._needless = threading.Event()
        """What is being written on its own thread is no longer wanted."""
        self._last: tuple[Any, ...] = ()
        self.held_ms = 0.0
        """How long the last one kept frames from being made."""
        if not self._settings.folder:
            return
        self._kept = Checkpoints(face.files.inside(self._settings.folder))
        face.endpoints.keep(self._kept, self._kept.close)
        face.serve(Trigger, "checkpoint", self._on_request)
        if self._settings.every_s:
            face.endpoints.create_timer(self._settings.every_s, self._due)

    def fill(self, status: SimStatus) -> None:
        """The number of the newest."""
        status.checkpoint = self._kept.number if self._kept else 0

    def found(self) -> Saved | None:
        """The state to go on with; None where there is none, or it is not to be resumed.

        Raises:
            SpatiaError: when there are checkpoints and none of them can be read.
        """
        if self._kept is None or not self._settings.resume:
            return None
        saved, wrong = self._kept.read()
        for words in wrong:
            self._at.health.fail("checkpoint", SpatiaError(words))
        if saved is None and wrong:
            told = "move the folder away, or set checkpoint.resume to false"
            raise SpatiaError(f"{self._kept.folder}: expected a checkpoint that is whole, found none: {told}")
        return saved

    @property
    def story(self) -> str:
        """The newest, in words."""
        return f"checkpoint {self._kept.number}" if self._kept else "no checkpoint"

    def state(self) -> Saved | None:
        """What is now (on the worker's thread); None where that is on disk already, or there is nothing to keep."""
        raise NotImplementedError

    def deactivate(self) -> None:
        """Keep the last state; not that of a world whose work has failed."""
        if self._kept is None:
            return
        if self._at.node.faulty is not None or self._at.worker.at_it_s:  # what is being made is newer than what is being written
            self._needless.set()
        if self._at.node.faulty is None:
            self._at.worker.submit(self._at.health.guard("checkpoint", self._keep_last)).result()
        self._settle()

    def _keep_last(self) -> None:
        """Write what is now, unless it is being written already; then wait for that."""
        saved = self.state()
        if saved is not None:
            self._needless.set()
        self._settle()
        self._write(self.state() if saved is None else saved)  # once more: what was being written may have failed

    def close(self) -> None:
        """Wait for what is being written."""
        self._settle()

    def _settle(self) -> None:
        if self._writing is not None:
            self._writing.join()
            self._writing = None
        self._needless.clear()

    def _on_request(self, request: Trigger.Request, response: Trigger.Response) -> str:  # noqa: ARG002
        self._settle()
        self._write(self.state())
        return self.story

    def _due(self) -> None:
        """Take one, unless the last is still being written."""
        if self._at.active and not (self._writing and self._writing.is_alive()):
            self._at.worker.submit(self._at.health.guard("checkpoint", self._begin))

    def _begin(self) -> None:
        saved = self.state()
        work = self._at.health.guard("checkpoint", lambda: self._write_beside(saved))
        self._writing = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._writing.start()

    def _write_beside(self, saved: Saved | None) -> None:
        with contextlib.suppress(Abandoned):  # a newer one is written in its place
            self._write(saved, self._needless.is_set)

    def _write(self, saved: Saved | None, needless: Callable[[], bool] = lambda: False) -> None:
        if saved is None or self._kept is None:
            return
        try:
            self._kept.write(saved, needless)
        except BaseException:
            self._last = ()  # the next is taken in any case
            raise
