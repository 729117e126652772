"""``spatia ros soak-map``: the same recording mapped over and over, and what the mapper holds meanwhile."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import add_config, add_json, config_of, stop_requests
from spatia_ros.cli.place import SEQUENCE_HELP
from spatia_ros.cli.soak import END_LIMIT_S, NO_THREAD_CACHES, SMALL, START_LIMIT_S, growth_rows, judge, last_report, tell

if TYPE_CHECKING:
    from spatia_ros.cli.processes import Child, Troupe
    from spatia_ros.config import WorldConfig

LAP_LIMIT_S = 120.0
MAPPER = {"sensor.pose_source": "tf", "checkpoint.folder": "checkpoints", "checkpoint.every_s": "5.0"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia ros soak-map``."""
    parser.add_argument("--minutes", type=float, default=5.0, metavar="N", help="how long (default: 5)")
    parser.add_argument("--sequence", default="builtin", help=f"{SEQUENCE_HELP}; default: the built-in room")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the processes' logs there")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Map until the time is up; the exit status says whether all held."""
    args.assignments = ([] if args.config else [*SMALL]) + args.assignments
    with tempfile.TemporaryDirectory() as folder:
        report = perform(args, Path(folder))
    judge(report)
    return tell(args, report, rows(report))


def perform(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Mapper and camera as processes of their own; the report.

    Raises:
        SpatiaError: when one of them dies.
    """
    from spatia_ros.cli.performance import free_domain
    from spatia_ros.cli.processes import Troupe
    from spatia_ros.memory import Memory
    from spatia_ros.record.lap import EMPTY, FRAMES

    config = config_of(args)
    write_frames(args.sequence, config, folder / FRAMES)
    Memory(config.memory).save(folder / EMPTY)
    sets = MAPPER | {"data_dir": str(folder), "memory.voxel_m": str(config.memory.voxel_m)}
    words = [word for name, value in sets.items() for word in ("--set", f"{name}={value}")]
    environment = {"ROS_DOMAIN_ID": str(free_domain()), **NO_THREAD_CACHES}
    with Troupe(args.logs or folder / "logs", environment) as troupe, stop_requests() as stop:
        mapper = troupe.start("mapper", "spatia_ros.nodes.runner", "mapper", "--respawn", *words)
        much = ("--folder", str(folder), "--minutes", str(args.minutes))
        camera = troupe.start("camera", "spatia_ros.nodes.soak.mapping", *much)
        return _watched(troupe, mapper, camera, args.minutes, stop)


def write_frames(name: str, config: WorldConfig, path: Path) -> None:
    """A recording as the camera under trial sees it."""
    import numpy as np

    from spatia_ros.record.lap import Lap
    from spatia_ros.sequence import open_sequence

    if name == "builtin":
        from spatia_ros.train.scan import builtin_scan

        sequence = builtin_scan()
    else:
        sequence = open_sequence(Path(name))
    sequence = sequence.resized(config.camera.width_px, config.camera.height_px)
    frames = [sequence.frame(k) for k in range(len(sequence))]
    rgb, depth = np.stack([f.rgb for f in frames]), np.stack([f.depth for f in frames])
    Lap(rgb, depth, np.stack([f.T_world_cam for f in frames]), frames[0].camera).save(path)


def _watched(
    troupe: Troupe, mapper: Child, camera: Child, minutes: float, stop: threading.Event
) -> dict[str, Any]:
    """Wait for the camera's last report, looking at the mapper's memory use meanwhile."""
    from spatia_ros.cli.soak_watch import Watch

    watch, asked = Watch(mapper, camera), False

    def done() -> bool:
        nonlocal asked
        watch.look()
        if stop.is_set() and not asked:
            asked = True
            os.kill(camera.process.pid, signal.SIGINT)
        return last_report(camera) is not None

    troupe.wait("the soak", done, START_LIMIT_S + 60.0 * minutes + LAP_LIMIT_S + END_LIMIT_S, leaving=[camera])
    told = last_report(camera) or {}
    wrong, lives = told["counts"].get("wrong", 0), len({s.pid for s in watch.alive})
    report = {**watch.report(), "interrupted": asked, "done": told["counts"], "wrong": told["wrong"], "wrong_count": wrong}
    if lives > 1:  # nobody kills it here
        report["wrong"].append(f"the mapper was started {lives} times")
        report["wrong_count"] += 1
    return report


def rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The report for a terminal."""
    done = report["done"]
    sent = f"{done.get('frames', 0)} frames mapped, {done.get('frames sent again', 0)} of them sent again"
    return [
        ("time", f"{report['minutes']:.1f} min{', interrupted' if report['interrupted'] else ''}"),
        ("what did not hold", f"{report['wrong_count']} of {done.get('checks', 0)}"),
        ("done", f"{done.get('laps', 0)} laps; {sent}"),
        *growth_rows(report["growth"]),
    ]
