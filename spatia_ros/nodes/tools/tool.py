"""Programs beside the nodes: fly a world node along a path, record and play topics, and try the actors of a live world.

    python -m spatia_ros.nodes.tools.tool fly --trajectory path.txt --map-up z
    python -m spatia_ros.nodes.tools.tool record --out run.mcap --wait-for camera/color/image_raw
    python -m spatia_ros.nodes.tools.tool play run.mcap --clock 100
    python -m spatia_ros.nodes.tools.tool mend run.mcap.partial        # a recorder was killed
    python -m spatia_ros.nodes.tools.tool soak-actors --trajectory path.txt --folder DIR   # worlds in /live and /still

All report on standard output, one JSON object a line, and end with 0 only when all went well.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spatia_ros.cli import bag_arguments
from spatia_ros.nodes import environment
from spatia_ros.types import SpatiaError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(prog="python -m spatia_ros.nodes.tools.tool", description=__doc__.split("\n\n")[0])
    programs = out.add_subparsers(required=True, metavar="PROGRAM")
    fly = programs.add_parser("fly", help="command a path (TUM: t tx ty tz qx qy qz qw, T_world_cam) and wait for its last frame")
    fly.add_argument("--trajectory", type=Path, required=True, metavar="FILE", help="camera poses, OpenCV axes: TUM or w2c lines")
    fly.add_argument("--map-up", default="z", choices=("z", "y", "-y"), help="the node's parameter frames.map_up (default: z)")
    fly.add_argument("--camera", default="camera", metavar="NAME", help="the node's parameter frames.camera (default: camera)")
    fly.add_argument("--patience-s", type=float, default=60.0, metavar="S", help="longest silence of the node (default: 60 s)")
    heard = "who must hear the command: 2 where a recorder is to have it (default: 1, the node)"
    fly.add_argument("--listeners", type=int, default=1, metavar="N", help=heard)
    fly.add_argument("--save", default="", metavar="FILE.spatia", help="then have the node save its memory in its data folder")
    fly.add_argument("--save-ply", default="", metavar="FILE.ply", help="then have the node export its points")
    fly.set_defaults(program=run_fly)
    record = programs.add_parser("record", help="record all topics into a bag, until Ctrl-C")
    bag_arguments.add_record(record)
    record.set_defaults(program=run_record)
    play = programs.add_parser("play", help="publish a bag again")
    bag_arguments.add_play(play)
    play.set_defaults(program=run_play)
    mend = programs.add_parser("mend", help="close a bag whose recorder was killed")
    bag_arguments.add_mend(mend)
    mend.set_defaults(program=run_mend)
    soak = programs.add_parser("soak-actors", help="random clocks and spawns in the world in /live, none in its twin in /still")
    soak.add_argument("--trajectory", type=Path, required=True, metavar="FILE", help="a walk through the place: camera poses")
    soak.add_argument("--map-up", default="z", choices=("z", "y", "-y"), help="the nodes' parameter frames.map_up (default: z)")
    soak.add_argument("--folder", type=Path, required=True, metavar="DIR", help="the nodes' data folder")
    soak.add_argument("--minutes", type=float, default=10.0, metavar="N", help="how long (default: 10)")
    soak.add_argument("--seed", type=int, default=0, metavar="N", help="of what happens (default: 0)")
    soak.set_defaults(program=run_soak)
    return out


def run_fly(args: argparse.Namespace) -> None:
    """Fly a running world node along a path."""
    from spatia_ros.config import WorldConfig
    from spatia_ros.nodes.rig.frames import Rig
    from spatia_ros.nodes.settings import FrameSettings
    from spatia_ros.nodes.tools.pilot import Pilot, fly
    from spatia_ros.sequence.w2c import read_camera_path

    rig = Rig(FrameSettings(map_up=args.map_up, camera=args.camera))
    path = read_camera_path(args.trajectory, WorldConfig().frame_rate_hz)
    fly(lambda: Pilot(path, rig, args.patience_s, tell, args.listeners), args.save, args.save_ply)


def run_record(args: argparse.Namespace) -> None:
    """Record until interrupted."""
    stop = _interrupted()
    from spatia_ros.nodes.tools.recorder import Limits, record

    limits = Limits(args.split_mb, args.split_s, not args.no_compression)
    counts = record(args.out, args.wait_for, stop, lambda: tell({"ready": args.wait_for}), limits, args.topics)
    tell({"recorded": str(args.out), "messages": dict(sorted(counts.items()))})


def run_play(args: argparse.Namespace) -> None:
    """Play to the end, or until interrupted."""
    stop = _interrupted()
    from spatia_ros.nodes.tools.player import Playing, play

    playing = Playing(args.rate, args.start_offset, args.loop, args.clock, tuple(args.topics), tuple(args.wait_for))
    counts = play(args.bag, playing, stop, lambda topics: tell({"playing": topics}))
    tell({"played": str(args.bag), "messages": dict(sorted(counts.items()))})


def run_mend(args: argparse.Namespace) -> None:
    """Close what a killed recorder left open."""
    from spatia_ros.sequence.bag_folder import mend

    path, counts = mend(args.bag)
    tell({"mended": str(path), "messages": dict(sorted(counts.items()))})


def _interrupted() -> threading.Event:
    """Set by the first Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def run_soak(args: argparse.Namespace) -> None:
    """Try the actors of a live world; the last report has the figures."""
    import numpy as np
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from spatia_ros.nodes.rig.frames import Rig
    from spatia_ros.nodes.settings import FrameSettings
    from spatia_ros.nodes.soak.trial import COMPARE_S, Soak, run
    from spatia_ros.nodes.soak.twin import Twin
    from spatia_ros.sequence.w2c import read_camera_path

    rig = Rig(FrameSettings(map_up=args.map_up))
    poses = rig.bases_of(read_camera_path(args.trajectory, 10.0))
    rclpy.init()
    node, executor = rclpy.create_node("soak"), SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    try:
        live, still = Twin(node, "/live", "camera", True), Twin(node, "/still", "camera", False)
        spinning.start()
        soak = Soak(live, still, poses, args.folder, np.random.default_rng(args.seed))
        tell({"report": run(soak, args.minutes, COMPARE_S, tell)})
    finally:
        executor.shutdown()
        rclpy.try_shutdown()


def tell(report: dict[str, Any]) -> None:
    """One report as a line of JSON."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    args = parser().parse_args(arguments)
    environment.enter()
    try:
        args.program(args)
    except KeyboardInterrupt:
        return 130
    except (SpatiaError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
