"""``spatia ros soak-actors``: a live world full of actors beside its twin without any, and what must hold meanwhile."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import add_config, add_json, config_of, print_table, write_json_of
from spatia_ros.cli.place import add_place, open_place

if TYPE_CHECKING:
    from spatia_ros.cli.processes import Child, Troupe

START_LIMIT_S, TURN_LIMIT_S = 300.0, 300.0
WORLDS = ("live", "still")
NO_CHANGES = ("frames", "found", "wrong", "memories compared", "memory points")
"""Counts of a report that are no changes of the world."""
SETTLED = 0.2
"""Memory use is first read after this share of the time: caches are full then."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia ros soak-actors``."""
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what happens (default: 0)")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the processes' logs there")
    add_place(parser)
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the trial; the exit status says whether all held."""
    with tempfile.TemporaryDirectory() as folder:
        report = perform(args, Path(folder))
    print_table([(name, f"{value}  ({note})") for name, value, note in rows(report)])
    for words in report["wrong"]:
        print(f"wrong: {words}")
    write_json_of(args, report)
    return 1 if report["counts"].get("wrong") else 0


def perform(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both worlds and the trial as processes of their own.

    Raises:
        SpatiaError: when a process dies, falls silent, or gives up: what a trial is for.
    """
    from spatia_ros.cli.performance import free_domain, up_axis, write_parameters
    from spatia_ros.cli.processes import Troupe
    from spatia_ros.record.poses import write_poses

    place = open_place(args, config_of(args))
    map_up = up_axis(place.recorded.T_world_cam)
    write_poses(folder / "walk.txt", place.recorded)
    place.memory.save(folder / "start.spatia")
    write_parameters(folder / "world.yaml", place.effective(config_of(args)), folder, "start.spatia", map_up)
    logs = args.logs or folder / "logs"
    with Troupe(logs, {"ROS_DOMAIN_ID": str(free_domain())}) as troupe:
        worlds = [troupe.start(f"world {name}", "spatia_ros.nodes.runner", "world", *_world(folder, name)) for name in WORLDS]
        walk = ("--trajectory", str(folder / "walk.txt"), "--folder", str(folder), f"--map-up={map_up}")
        much = ("--minutes", str(args.minutes), "--seed", str(args.seed))
        trial = troupe.start("trial", "spatia_ros.nodes.tools.tool", "soak-actors", *walk, *much)
        return _watched(troupe, trial, worlds, args.minutes)


def _world(folder: Path, name: str) -> list[str]:
    remaps = [word for topic in ("tf", "tf_static") for word in ("-r", f"/{topic}:={topic}")]
    return ["--params", str(folder / "world.yaml"), "--ros-args", "-r", f"__ns:=/{name}", *remaps]


def _watched(troupe: Troupe, trial: Child, worlds: list[Child], minutes: float) -> dict[str, Any]:
    """Wait for the trial's last report, looking at the worlds' memory use meanwhile."""
    begun, first, heard = time.monotonic(), list[float](), 0

    def done() -> bool:
        nonlocal heard, first
        if len(trial.reports) > heard:
            heard = len(trial.reports)
            print("  ".join(f"{k} {v:.4g}" for k, v in trial.reports[-1].items() if k != "report"))
        if not first and time.monotonic() - begun > SETTLED * 60.0 * minutes:
            first = [resident_mb(child.process.pid) for child in worlds]
        return any("report" in r for r in list(trial.reports))

    troupe.wait("the trial", done, START_LIMIT_S + 60.0 * minutes + TURN_LIMIT_S, leaving=[trial])
    report: dict[str, Any] = next(r["report"] for r in trial.reports if "report" in r)
    last = [resident_mb(child.process.pid) for child in worlds]
    report["memory_mb"] = {name: {"settled": a, "end": b} for name, a, b in zip(WORLDS, first or last, last, strict=True)}
    return report


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB (a million bytes, as in /diagnostics).

    Raises:
        SpatiaError: when it is gone.
    """
    from spatia_ros.types import SpatiaError

    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        raise SpatiaError(f"process {pid}: expected it to run, it is gone") from None
    return next(float(line.split()[1]) * 1024.0 / 1e6 for line in lines if line.startswith("VmRSS:"))


def rows(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The report for a terminal."""
    counts = report["counts"]
    changes = sum(n for name, n in counts.items() if name not in NO_CHANGES)
    memory = ", ".join(f"{name} {m['settled']:.0f} -> {m['end']:.0f}" for name, m in report["memory_mb"].items())
    live, still, own = (report[name]["p50"] for name in ("live_ms", "still_ms", "actors_ms"))
    return [
        ("time", f"{report['minutes']:.1f} min", f"{counts.get('frames', 0)} frames in each world, {changes} things done"),
        ("what did not hold", str(counts.get("wrong", 0)), "of pixels, names, codes and memories"),
        ("memories compared", str(counts["memories compared"]), f"{counts['memory points']} points in each at the end"),
        ("frame, p50", f"{live:.1f} ms", f"{still:.1f} ms without actors; of it the actors' own {own:.1f} ms"),
        ("cost ratio", f"{report['cost_ratio_without_actors_own']:.2f}", f"{report['cost_ratio']:.2f} with the actors' own"),
        ("memory use", "MB", memory),
    ]
