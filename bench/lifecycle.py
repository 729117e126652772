#!/usr/bin/env python3
"""How long a world takes to end when it is asked to, and what its checkpoints cost.

    python -m spatia_ros.nodes.environment python bench/lifecycle.py [--voxels 0.015,0.01] [--rounds 5]

For the built-in room in voxels of each size: a checkpoint of its world (how long its frames wait while the state is copied,
writing, reading); then worlds as processes of their own, turned to and fro in that memory: how long from SIGINT to the end of
the process, at rest and while frames are made, without checkpoints, and with one every second, at random moments of it, so that
some are being written. What each left is looked at: the folder must hold a checkpoint of the last frame that was told of.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from a checkout as it is

import rclpy
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node

from spatia_ros import checkpoint
from spatia_ros.config import from_dict
from spatia_ros.msg import SimStatus
from spatia_ros.nodes import qos
from spatia_ros.nodes.seeding import open_seed
from spatia_ros.nodes.settings import SourceSettings
from spatia_ros.record.files import write_json
from spatia_ros.types import SpatiaError
from spatia_ros.world import World

ROOT = Path(__file__).resolve().parents[1]
CAMERA = {"width_px": 320, "height_px": 192}
MAP_UP = "z"
"""The built-in room's axis that points up."""
FOLDER, SOURCE = "kept", "map.spatia"
PATIENCE_S = 120.0
CASES = {"rest": (False, False), "driving": (False, True), "rest_kept": (True, False), "driving_kept": (True, True)}
"""How a world is when it is asked to end: whether it keeps checkpoints, and whether it makes frames."""


def room(voxel_m: float, generator: str) -> World:
    """The built-in room in voxels of a size."""
    config = from_dict({"camera": CAMERA, "generator": {"name": generator}, "memory": {"voxel_m": voxel_m}})
    return open_seed(config, SourceSettings(sequence="builtin"), Path()).world


def checkpoints(world: World, folder: Path, rounds: int) -> dict[str, float]:
    """What keeping a world costs: medians, ms, and the size of the file, MB."""
    took: dict[str, list[float]] = {"copied_ms": [], "written_ms": [], "read_ms": []}

    def timed(name: str, job: Callable[[], object]) -> object:
        began = time.perf_counter()
        out = job()
        took[name].append((time.perf_counter() - began) * 1e3)
        return out

    file = folder / f"one{checkpoint.SUFFIX}"
    for _ in range(rounds):
        kept = timed("copied_ms", world.snapshot)
        file.unlink(missing_ok=True)
        timed("written_ms", lambda kept=kept: checkpoint.write(file, checkpoint.Saved(kept, {})))
        timed("read_ms", lambda: checkpoint.read(file))
    size_mb = file.stat().st_size / 1e6
    file.unlink()
    return {**{name: float(np.median(values)) for name, values in took.items()}, "file_mb": size_mb}


class Driver:
    """Has a world make frames, and hears what it says of itself."""

    def __init__(self) -> None:
        self.node = Node("bench_lifecycle")
        self.status: SimStatus | None = None
        self._go = self.node.create_publisher(TwistStamped, "/cmd_vel", qos.COMMAND)
        self.node.create_subscription(SimStatus, "/world/status", self._on_status, qos.LATCHED)

    def _on_status(self, msg: SimStatus) -> None:
        self.status = msg

    def drive(self, seconds: float, moving: bool) -> None:
        """So long, turning to and fro or standing."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if moving:
                self._turn()
            rclpy.spin_once(self.node, timeout_sec=0.05)

    def _turn(self) -> None:
        msg = TwistStamped()
        msg.header.frame_id = "base_link"
        msg.twist.angular.z = 0.3 * np.sin(time.monotonic())
        self._go.publish(msg)

    def wait(self, done: Callable[[SimStatus], bool], what: str, moving: bool) -> None:
        """Until the status says so.

        Raises:
            SpatiaError: when it does not.
        """
        until = time.monotonic() + PATIENCE_S
        while self.status is None or not done(self.status):
            if time.monotonic() > until:
                raise SpatiaError(f"bench: expected {what} within {PATIENCE_S:g} s")
            self.drive(0.05, moving)


@contextmanager
def running(folder: Path, generator: str, kept: bool) -> Iterator[subprocess.Popen]:
    """A world on the memory, as a process."""
    sets = {"data_dir": folder, "source.memory": SOURCE, "generator.name": generator, "frames.map_up": MAP_UP}
    sets |= {f"camera.{name}": value for name, value in CAMERA.items()}
    if kept:
        sets |= {"checkpoint.folder": FOLDER, "checkpoint.every_s": 1.0, "checkpoint.resume": False}
    words = [word for name, value in sets.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "spatia_ros.nodes.runner", "world", *words]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ended(folder: Path, generator: str, case: str, rng: np.random.Generator) -> float:
    """Start a world, ask it to end, and say how long it took, ms."""
    kept, moving = CASES[case]
    driver = Driver()
    try:
        with running(folder, generator, kept) as process:
            driver.wait(lambda status: status.frames > 0, "a frame", True)
            if kept:
                driver.wait(lambda status: status.checkpoint > 0, "a checkpoint", True)
            driver.drive(rng.uniform(2.0, 4.0), moving)
            began = time.perf_counter()
            process.send_signal(signal.SIGINT)
            if process.wait(PATIENCE_S):
                raise SpatiaError(f"bench: expected the world to end with status 0, got {process.returncode}")
            took_ms = (time.perf_counter() - began) * 1e3
            driver.drive(0.5, False)  # what was still on its way
        if kept:
            _check(folder, driver)
    finally:
        driver.node.destroy_node()
    return took_ms


def _check(folder: Path, driver: Driver) -> None:
    """Hold the state on disk against the frames that were told of."""
    kept = checkpoint.Checkpoints(folder / FOLDER)
    try:
        saved, wrong = kept.read()
    finally:
        kept.close()
    assert driver.status is not None
    if wrong or saved is None or saved.world.index < driver.status.frames:
        got = wrong or (saved.world.index if saved else None)
        raise SpatiaError(f"bench: expected a checkpoint of frame {driver.status.frames} or later, got {got}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    out.add_argument("--voxels", default="0.015,0.01", help="sizes of a voxel, m")
    out.add_argument("--generator", default="projection", help="of the worlds")
    out.add_argument("--cases", default=",".join(CASES), help="how a world is when it is asked to end")
    out.add_argument("--rounds", type=int, default=5, help="how often each is tried")
    out.add_argument("--json", type=Path, help="file for the figures")
    return out


def main() -> int:
    """Measure, print, write."""
    options = parser().parse_args()
    os.environ.setdefault("ROS_DOMAIN_ID", "83")
    figures: dict[str, float] = {}
    rng = np.random.default_rng(0)

    def say(name: str, value: float) -> None:
        figures[name] = value
        print(f"{name:48} {value:10.1f}", flush=True)

    rclpy.init()
    for voxel in options.voxels.split(","):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            world = room(float(voxel), options.generator)
            world.memory.save(folder / SOURCE)
            say(f"{voxel}_points", len(world.memory))
            for name, value in checkpoints(world, folder, options.rounds).items():
                say(f"{voxel}_checkpoint_{name}", value)
            del world
            for case in filter(None, options.cases.split(",")):
                took = [ended(folder, options.generator, case, rng) for _ in range(options.rounds)]
                say(f"{voxel}_sigint_{case}_ms_median", float(np.median(took)))
                say(f"{voxel}_sigint_{case}_ms_most", max(took))
    rclpy.try_shutdown()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.json, figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
