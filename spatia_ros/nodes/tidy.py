"""Memory that nobody needs any more goes back to the machine: what a burst of work took, and what only garbage holds.

The malloc settings of :mod:`.environment` keep what is free, for the next image; what a search or an export took on top of
that would be kept for good, too.

Nodes, parts, callbacks and errors know each other in circles, which only Python's collector frees. It looks at everything once
a quarter of all objects is new: of the quarter of a million that this process has imported that is hours, and what
waits for it meanwhile may hold a network's weights (a node that was taken down while the executor still had hold of it). So what
lasts is put aside (:func:`settle`), which makes looking at the rest quick, and whoever rests looks.
"""

from __future__ import annotations

import ctypes
import gc
import time
from typing import TYPE_CHECKING

import numpy as np

from spatia_ros.nodes.part import Part

if TYPE_CHECKING:
    from spatia_ros.nodes.memory_face import MemoryFace

QUIET_S = 2.0
"""A node that has made no frame for so long has nothing to do."""
EVERY_S = 10.0
"""Not more often: what is given back has to be fetched again, some 0.2 ms a MB."""
ANEW_S = 600.0
"""What was put aside is looked at again after this: some of it may have been replaced."""
LOOK_S = 0.5
SMALL, OF_A_SIZE = 1024, 7
"""What NumPy keeps of freed blocks (its allocator's NBUCKETS and NCACHE)."""

_trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)  # glibc has it; it would keep what is free (environment.MALLOC)


def stock_up() -> None:
    """Let NumPy have at once what it keeps in the end: the last seven blocks of each size below 1 kB that were freed, 3.7 MB.

    Else they come bit by bit, with every other size that is asked for; what a process needs cannot be told from what it hoards.
    """
    blocks = [np.empty(size, np.uint8) for size in range(1, SMALL) for _ in range(OF_A_SIZE)]
    del blocks


def give_back() -> None:
    """Free what nobody holds any more, all of it, and give it back to the machine."""
    gc.unfreeze()
    gc.collect()
    _trim(0)


def settle() -> None:
    """Free what nobody holds any more; what is there then is taken to last: the collector passes over it from here on."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Tidy(Part):
    """Gives memory back when the node rests: soon after it has begun, and then every so often."""

    def __init__(self, face: MemoryFace) -> None:
        self._face = face
        self._given_s = self._settled_s = -ANEW_S
        self._busy_s = time.monotonic()
        face.endpoints.create_timer(LOOK_S, self.look)

    def look(self) -> None:
        """Whether it is time."""
        worker, now_s = self._face.worker, time.monotonic()
        if worker.busy:  # jobs between frames do not count: there is nearly always one (a cloud, an update, tf)
            self._busy_s = now_s
        elif self._face.active and now_s - self._busy_s > QUIET_S and now_s - self._given_s > EVERY_S:
            self._given_s, anew = now_s, now_s - self._settled_s >= ANEW_S
            if anew:
                self._settled_s = now_s
            worker.submit(lambda: _tidy(anew))  # on its thread no frame waits for it


def _tidy(anew: bool) -> None:
    if anew:
        settle()
    else:
        gc.collect()
    _trim(0)
