"""What killed processes left in shared memory.

A Fast DDS participant has a segment in /dev/shm (32 MB with the profile that ships) and takes it away when it ends. One that
is killed cannot, and nobody else does: where /dev/shm is small, the second restart after a kill would find no room for
images. Its owner holds a lock on a file beside the segment, which the kernel lets go of whatever way the owner ends.
Standard library only, for the supervisor takes no part in ROS.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path

SHARED = Path("/dev/shm")
LOCK = re.compile(r"(fastrtps_[0-9a-f]{16})_el")
"""The lock of a participant's segment; those of ports have another name, and Fast DDS minds them itself."""
YOUNG_S = 2.0
"""A younger one may be about to be locked."""


def remove_left_over(folder: Path = SHARED, look_only: bool = False) -> int:
    """Remove the segments whose owners are gone; returns how many bytes that set free (or would, with ``look_only``).

    What belongs to somebody else and may not be removed stays, as does all whose owner lives.
    """
    freed = 0
    for lock in list(folder.glob("fastrtps_*_el")) if folder.is_dir() else []:
        name = LOCK.fullmatch(lock.name)
        if name is not None:
            with suppress(OSError):  # another user's, or gone meanwhile
                freed += _remove_if_left(lock, folder / name[1], look_only)
    return freed


def _remove_if_left(lock: Path, segment: Path, look_only: bool) -> int:
    if time.time() - lock.stat().st_mtime < YOUNG_S:
        return 0
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while the owner lives
        size = segment.stat().st_size if segment.exists() else 0
        if not look_only:
            segment.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return size
