"""What went wrong, counted by reason: in the log once a second at most, in /diagnostics, in the status."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import QoSProfile

from spatia_ros import kernels
from spatia_ros.nodes import qos
from spatia_ros.nodes.namesakes import Namesakes
from spatia_ros.types import SpatiaError


def resident_bytes() -> int:
    """Memory of this process that is in RAM, as Linux counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


_mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo is not None:  # glibc from 2.33 on
    _mallinfo.restype = _Mallinfo


def allocated() -> dict[str, float]:
    """What this process holds of malloc, MB (where that can be told); how many small objects Python has, and compiled kernels."""
    out = {"python_blocks": float(sys.getallocatedblocks()), "kernels": float(kernels.compiled())}
    if _mallinfo is not None:
        info = _mallinfo()
        out["allocated_mb"] = round((info.uordblks + info.hblkhd) / 1e6, 3)
    return out


class Health:
    """Counts refusals and failures of one node and reports them.

    A malformed message is dropped and counted here; it never reaches the world, and the node goes on.
    """

    def __init__(self, node: Node) -> None:
        self._node, self._lock = node, threading.Lock()
        self._publisher = qos.publisher(node, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self.refused: Counter[str] = Counter()
        """By ``topic: reason``."""
        self.failed = 0
        self.message = ""
        """The last refusal or failure in words."""
        self._reported, self._namesakes = (0, 0), Namesakes(node)
        self._since_s = time.monotonic()

    def refuse(self, topic: str, error: SpatiaError | OSError) -> None:
        """Count a dropped message."""
        with self._lock:
            self.refused[f"{topic}: {getattr(error, 'reason', 'invalid')}"] += 1
            self.message = str(error)
        self._node.get_logger().warning(f"dropped: {error}", throttle_duration_sec=1.0)

    def fail(self, what: str, error: BaseException) -> str:
        """Count something that should have worked; returns it in words."""
        words = f"{what}: {error}" if isinstance(error, SpatiaError) else f"{what}: {type(error).__name__}: {error}"
        if self._node.context.ok():  # else ROS is going down, and with it every publisher
            with self._lock:
                self.failed, self.message = self.failed + 1, words
            self._node.get_logger().error(words, throttle_duration_sec=1.0)
        return words

    @property
    def refusals(self) -> int:
        """Messages dropped since the node started."""
        return sum(self.refused.values())

    def guard(self, name: str, callback: Callable[..., None]) -> Callable[..., None]:
        """A callback or job that drops and counts what it refuses, and survives what it did not expect.

        An exception that left a callback would end the executor, and the node with it.
        """

        @functools.wraps(callback)
        def guarded(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except SpatiaError as error:
                self.refuse(name, error)
            except Exception as error:
                self.fail(name, error)

        return guarded

    def _resources(self) -> dict[str, Any]:
        """What the process takes of the machine."""
        return {
            "resident_mb": round(resident_bytes() / 1e6, 1), "threads": threading.active_count(),
            "open_files": len(os.listdir("/proc/self/fd")), "up_s": round(time.monotonic() - self._since_s, 1),
            **allocated(),
        }  # fmt: skip

    def report(self, figures: dict[str, Any], concern: str = "") -> None:
        """Publish the state: error after a failure since the last report, warning after a refusal or with a concern, else ok."""
        with self._lock:
            before, self._reported = self._reported, (self.refusals, self.failed)
            refused, failed = dict(self.refused), self.failed
        fresh, concern = self._reported != before, concern or self._namesakes.concern()
        warn = DiagnosticStatus.WARN if fresh or concern else DiagnosticStatus.OK
        level = DiagnosticStatus.ERROR if failed > before[1] else warn
        values = {**figures, **self._resources(), "last_error": self.message or "none"}
        values |= {"failed": failed, **{f"refused {k}": v for k, v in sorted(refused.items())}}
        status = DiagnosticStatus(
            level=level, name=self._node.get_fully_qualified_name()[1:], message=self.message if fresh else concern or "ok",
            values=[KeyValue(key=k, value=str(v)) for k, v in values.items()],
        )  # fmt: skip
        msg = DiagnosticArray(status=[status])
        msg.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(msg)
