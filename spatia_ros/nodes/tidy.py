"""Memory that a burst of work needed goes back to the machine once the node has nothing to do.

The malloc settings of :mod:`.environment` keep what is free, for the next image; what a search or an export took on top of
that would be kept for good, too.
"""

from __future__ import annotations

import ctypes
import time
from typing import TYPE_CHECKING

from spatia_ros.nodes.part import Part

if TYPE_CHECKING:
    from spatia_ros.nodes.memory_face import MemoryFace

QUIET_S = 2.0
"""A node without work for so long has nothing to do."""
EVERY_S = 30.0
"""Not more often: what is given back has to be fetched again, some 0.2 ms a MB."""
LOOK_S = 0.5

_trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)  # glibc has it


class Tidy(Part):
    """Gives memory back when the node rests."""

    def __init__(self, face: MemoryFace) -> None:
        self._face = face
        self._given_s = self._busy_s = time.monotonic()
        face.endpoints.create_timer(LOOK_S, self.look)

    def look(self) -> None:
        """Whether it is time."""
        worker, now_s = self._face.worker, time.monotonic()
        if worker.busy or worker.backlog:
            self._busy_s = now_s
        elif self._face.active and now_s - self._busy_s > QUIET_S and now_s - self._given_s > EVERY_S:
            self._given_s = now_s
            worker.submit(lambda: _trim(0))  # on its thread no frame waits for it
