"""A trial of the lifecycle: one node is configured, activated, worked, deactivated and cleaned up, again and again.

    spatia ros cycle --cycles 100 --sequence builtin

Each time around it prints what the process holds then: memory in RAM, threads, open files. What cleanup frees is flat here.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spatia_ros.nodes import environment
from spatia_ros.types import SpatiaError

SETTLED = 0.2
"""Share of the cycles, from the first on, in which caches fill; growth is told of those after."""
READINGS = 5
"""Of how many files are open: the least of them is what is held."""


class Held(NamedTuple):
    """What the process holds after a cleanup: memory in RAM, bytes; threads; open files."""

    resident: int
    threads: int
    files: int


def held() -> Held:
    """What is held now, with garbage collected."""
    from spatia_ros.nodes.health import resident_bytes

    gc.collect()
    return Held(resident_bytes(), threading.active_count(), min(_open_files() for _ in range(READINGS)))


def _open_files() -> int:
    """How many there are now, after a moment; another thread may just be reading something."""
    time.sleep(0.01)
    return len(list(Path("/proc/self/fd").iterdir()))


def once(node: Any, work: Callable[[Any], None]) -> None:
    """A node from unconfigured to unconfigured.

    Raises:
        SpatiaError: when a transition fails.
    """
    node.start()
    work(node)
    for transition in (node.trigger_deactivate, node.trigger_cleanup):
        before = node.state
        if transition().name != "SUCCESS":
            raise node.failure or SpatiaError(f"expected a transition out of {before}, got {node.state}")


def frames(count: int, timeout_s: float = 600.0) -> Callable[[Any], None]:
    """Work: so many frames of a world that turns on the spot; a mapper has nothing to do."""
    from spatia_ros.nodes.motion import Follow

    def work(node: Any) -> None:
        if not count or not hasattr(node.face, "frames"):
            return
        yaw = 0.05 * np.arange(count)
        T = np.tile(np.eye(4), (count, 1, 1))
        T[:, 0, 0], T[:, 1, 1], T[:, 1, 0], T[:, 0, 1] = np.cos(yaw), np.cos(yaw), np.sin(yaw), -np.sin(yaw)
        before, until_s = node.status().frames, time.monotonic() + timeout_s
        node.worker.follow(Follow(node.rig.names.base, np.zeros(count, np.int64), T))
        while node.status().frames < before + count:
            if time.monotonic() > until_s:
                raise SpatiaError(f"expected {count} frames within {timeout_s} s, got {node.status().frames - before}")
            time.sleep(0.01)

    return work


def cycle(node: Any, cycles: int, work: Callable[[Any], None], tell: Callable[[int, Held], None]) -> list[Held]:
    """So many cycles of a node; what was held after each."""
    out = []
    for k in range(cycles):
        once(node, work)
        out.append(held())
        tell(k + 1, out[-1])
    return out


def growth_per_cycle(holds: Sequence[Held]) -> float:
    """Bytes of RAM a cycle, by a straight line through those after the first fifth."""
    resident = [h.resident for h in holds[int(SETTLED * len(holds)) :]]
    return float(np.polyfit(np.arange(len(resident)), resident, 1)[0]) if len(resident) > 1 else 0.0


def spin(executor: Any) -> None:
    """Spin until ROS shuts down; endpoints that are closed while the executor gathers what to wait for end only one round."""
    from rclpy.exceptions import InvalidHandle
    from rclpy.executors import ExternalShutdownException

    with contextlib.suppress(ExternalShutdownException):
        while True:
            with contextlib.suppress(InvalidHandle):
                executor.spin()
                return


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(prog="spatia ros cycle", description=__doc__.splitlines()[0])
    out.add_argument("--node", choices=("world", "mapper"), default="world", help="which node (default: world)")
    out.add_argument("--cycles", type=int, default=100, help="how often (default: 100)")
    out.add_argument("--frames", type=int, default=2, help="frames of work in each (default: 2)")
    out.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one parameter; may be repeated")
    out.add_argument("--json", type=Path, metavar="FILE", help="write what was held, too")
    return out


def run(options: argparse.Namespace) -> int:
    """The trial; returns the exit status."""
    import rclpy
    from rclpy.executors import MultiThreadedExecutor

    from spatia_ros.nodes.runner import THREADS, node_of, ros_arguments

    rclpy.init(args=ros_arguments(argparse.Namespace(params=[], set=options.set, ros_args=["--log-level", "warn"])))
    node = node_of(options.node)()
    executor = MultiThreadedExecutor(num_threads=THREADS)
    executor.add_node(node)
    threading.Thread(target=spin, args=(executor,), daemon=True).start()

    def tell(k: int, now: Held) -> None:
        sys.stdout.write(f"{k:4d}  {now.resident / 1e6:8.1f} MB  {now.threads:3d} threads  {now.files:3d} files\n")
        sys.stdout.flush()

    holds = cycle(node, options.cycles, frames(options.frames), tell)
    growth = growth_per_cycle(holds)
    sys.stdout.write(f"after the first fifth: {growth / 1e3:+.1f} kB a cycle, at most {max(h.threads for h in holds)} threads\n")
    if options.json:
        options.json.write_text(json.dumps({"growth_bytes_per_cycle": growth, "held": [h._asdict() for h in holds]}))
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    options = parser().parse_args(arguments)
    environment.enter()
    try:
        return run(options)
    except SpatiaError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    from spatia_ros.nodes.runner import leave

    leave(main())
