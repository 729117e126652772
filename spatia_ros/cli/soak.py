"""``spatia ros soak``: a supervised world, somebody who plays with it and kills it, and somebody who checks every promise."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli.options import add_config, add_json, config_of, print_table, stop_requests, write_json_of
from spatia_ros.cli.place import add_place, open_place

if TYPE_CHECKING:
    from spatia_ros.cli.processes import Child, Troupe
    from spatia_ros.cli.soak_report import Drift, Sample, Slope

START_LIMIT_S, END_LIMIT_S, KILL_LIMIT_S = 300.0, 240.0, 120.0
LINE_S = 30.0
SMALL = ("camera.width_px=160", "camera.height_px=96", "memory.voxel_m=0.05")
"""Where no configuration is named: many small frames of a small memory say more than few large ones."""
WORLD = {
    "motion.pace": "real_time", "path_poses": "100", "checkpoint.folder": "checkpoints", "checkpoint.every_s": "5.0",
}  # fmt: skip
"""Parameters of the world under trial; path_poses so that this bounded queue is full before memory use is looked at."""
NO_THREAD_CACHES = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
"""Of the processes under trial: free pieces that each thread keeps for itself (at most some 0.2 MB a thread) malloc counts as
allocated, and they fill for an hour; without them what is counted is what is held."""
LARGEST_DRIFT = 1.0
"""MB an hour. More is told as wrong where its whole confidence interval lies above."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia ros soak``."""
    parser.add_argument("--minutes", type=float, default=20.0, metavar="N", help="how long (default: 20)")
    parser.add_argument("--kills", type=int, default=3, metavar="N", help="how often the world is killed, kill -9 (default: 3)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what happens (default: 0)")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the processes' logs there")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="page of the report (default: beside --json)")
    add_place(parser)
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the soak; the exit status says whether all held."""
    from spatia_ros.cli.soak_report import chart, write_page

    args.assignments = ([] if args.config else [*SMALL]) + args.assignments
    with tempfile.TemporaryDirectory() as folder:
        report, samples = perform(args, Path(folder))
    drift = judge(report)
    status = tell(args, report, rows(report))
    page = args.report or (args.json.with_suffix(".html") if args.json else None)
    if page:
        write_page(page, report, rows(report), chart(samples, drift))
        print(f"report: {page}")
    return status


def tell(args: argparse.Namespace, report: dict[str, Any], table: list[tuple[str, str]]) -> int:
    """Print and write how a judged trial went; the exit status."""
    report["command"] = shlex.join(["spatia", *sys.argv[1:]])
    print_table(table)
    for words in report["wrong"]:
        print(f"wrong: {words}")
    write_json_of(args, report)
    return 1 if report["wrong_count"] else 0


def perform(args: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], list[Sample]]:
    """World, player and checker as processes of their own; the report, and memory use over time.

    Raises:
        SpatiaError: when the player or the checker dies; the world may.
    """
    from spatia_ros.cli.performance import free_domain, up_axis, write_parameters
    from spatia_ros.cli.processes import Troupe
    from spatia_ros.record.poses import write_poses

    config = config_of(args)
    place = open_place(args, config)
    map_up = up_axis(place.recorded.T_world_cam)
    write_poses(folder / "walk.txt", place.recorded)
    place.memory.save(folder / "start.spatia")
    write_parameters(folder / "world.yaml", place.effective(config), folder, "start.spatia", map_up)
    common = ("--folder", str(folder), f"--map-up={map_up}", "--period-ns", str(round(1e9 / config.frame_rate_hz)))
    environment = {"ROS_DOMAIN_ID": str(free_domain()), **NO_THREAD_CACHES}
    with Troupe(args.logs or folder / "logs", environment) as troupe, stop_requests() as stop:
        world = troupe.start("world", *_supervised(folder))
        checker = troupe.start("checker", "spatia_ros.nodes.soak.run", "check", *common)
        much = ("--minutes", str(args.minutes), "--kills", str(args.kills), "--seed", str(args.seed))
        who = ("--supervisor", str(world.process.pid), "--trajectory", str(folder / "walk.txt"))
        player = troupe.start("player", "spatia_ros.nodes.soak.run", "play", *common, *who, *much)
        return _watched(troupe, player, checker, world, args, stop)


def _supervised(folder: Path) -> list[str]:
    """How the world is started: module and arguments."""
    words = [word for name, value in WORLD.items() for word in ("--set", f"{name}={value}")]
    return ["spatia_ros.nodes.runner", "world", "--respawn", "--params", str(folder / "world.yaml"), *words]


def _watched(
    troupe: Troupe, player: Child, checker: Child, world: Child, args: argparse.Namespace, stop: threading.Event
) -> tuple[dict[str, Any], list[Sample]]:
    """Wait for both last reports, looking at the world's memory use meanwhile."""
    from spatia_ros.cli.soak_watch import Watch

    asked, shm_before, line, watch = False, shared_mb(), _Line(60.0 * args.minutes), Watch(world, player)

    def done() -> bool:
        nonlocal asked
        if watch.look():
            line.show(watch.at_s, checker, player, watch.samples[-1].resident_mb)
        if stop.is_set() and not asked:
            asked = True
            os.kill(player.process.pid, signal.SIGINT)
        return all(last_report(child) is not None for child in (player, checker))

    limit_s = START_LIMIT_S + 60.0 * args.minutes + END_LIMIT_S + KILL_LIMIT_S * args.kills
    troupe.wait("the soak", done, limit_s, leaving=[player, checker])
    line.end()
    played, checked = last_report(player) or {}, last_report(checker) or {}
    report = {
        **watch.report(), "interrupted": asked, "seed": args.seed,
        "done": played["counts"], "checked": checked["counts"], "wrong": played["wrong"] + checked["wrong"],
        "wrong_count": played["counts"].get("wrong", 0) + checked["counts"].get("wrong", 0),
        "restart_s": played.get("restart_s"), "shared_memory_mb": {"before": shm_before, "end": shared_mb()},
    }  # fmt: skip
    return report, watch.alive


class _Line:
    """How it goes, in one line of a terminal, or one now and then where there is none."""

    def __init__(self, seconds: float) -> None:
        self._live, self._seconds, self._shown_s = sys.stdout.isatty(), seconds, -LINE_S

    def show(self, at_s: float, checker: Child, player: Child, mb: float) -> None:
        if not self._live and at_s - self._shown_s < LINE_S:
            return
        self._shown_s = at_s
        counts: dict[str, int] = next((r["checked"] for r in reversed(list(checker.reports)) if "checked" in r), {})
        home = next((r for r in reversed(list(player.reports)) if "home" in r), {"home": 0, "kills": 0, "wrong": 0})
        text = (
            f"{at_s / 60.0:5.1f} of {self._seconds / 60.0:g} min  frames {counts.get('frames', 0)}  "
            f"checks {counts.get('checks', 0)}  kills {home['kills']}  wrong {counts.get('wrong', 0) + home['wrong']}  "
            f"memory {mb:.0f} MB"
        )
        print(f"\r{text:<100}" if self._live else text, end="" if self._live else "\n", flush=True)

    def end(self) -> None:
        if self._live:
            print()


def last_report(child: Child) -> dict[str, Any] | None:
    """What a child told at its end."""
    return next((r["report"] for r in list(child.reports) if "report" in r), None)


def shared_mb() -> float:
    """What is in use of /dev/shm, MB."""
    status = os.statvfs("/dev/shm")
    return (status.f_blocks - status.f_bfree) * status.f_frsize / 2**20


def judge(report: dict[str, Any]) -> Drift | None:
    """Put into the report how memory use goes while it is watched, all of that time and the second half of it.

    It is wrong where it surely grows by more than it may, over all of the time. Returns the drift over all of it.
    """
    from spatia_ros.cli.soak_report import Sample, drift_of, held_drift

    since_s, report["growth"] = report["watched_s"], {}
    if since_s is None or not report["at_home"]:
        return None
    homes = [(h["at_s"], int(h["pid"]), h["allocated_mb"]) for h in report["at_home"] if "allocated_mb" in h]
    resident = [Sample(h["at_s"], int(h["pid"]), h["resident_mb"]) for h in report["at_home"]]
    whole = drift_of(resident, since_s)
    for name, start_s in (("watched", since_s), ("second half", 0.5 * (since_s + resident[-1].at_s))):
        drift = drift_of(resident, start_s)
        if drift is not None:
            held = held_drift(homes, drift.pid, start_s)
            report["growth"][name] = {
                "minutes": drift.seconds / 60.0, "resident_mb": drift.mb, "in_24_h_mb": drift.in_a_day,
                "resident": drift.growth._asdict(), "allocated": held._asdict() if held else None,
            }  # fmt: skip
            if name == "watched":
                _hold_to_limit(report, {"memory use": drift.growth} | ({"what is allocated": held} if held else {}))
    return whole


def _hold_to_limit(report: dict[str, Any], growth: dict[str, Slope]) -> None:
    """Tell what surely grows by more than it may."""
    for what, found in growth.items():
        if found.low > LARGEST_DRIFT:
            report["wrong"].append(f"{what} grows by {found.low:.2f} MB an hour at least, expected at most {LARGEST_DRIFT:g}")
            report["wrong_count"] += 1


def rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The report for a terminal."""
    done, checked = report["done"], report["checked"]
    things = sum(n for name, n in done.items() if name not in ("checks", "wrong", "edited", "found"))
    shm, restarts = report["shared_memory_mb"], report["restart_s"]
    out = [
        ("time", f"{report['minutes']:.1f} min{', interrupted' if report['interrupted'] else ''}, seed {report['seed']}"),
        ("what did not hold", str(report["wrong_count"])),
        ("done", f"{things} things; killed {done.get('kills', 0)} times, the lifecycle {done.get('cycle', 0)} times through"),
        ("checked", f"{checked.get('frames', 0)} frames, {checked.get('updates', 0)} updates of the map; "
                    f"{checked['checks'] + done['checks']} comparisons"),
        ("maps compared", f"{checked.get('maps compared', 0)}; after restarts {checked.get('restarts compared', 0)}"),
        ("shared memory", f"{shm['before']:.0f} MB in use before, {shm['end']:.0f} MB after"),
    ]  # fmt: skip
    if restarts:
        out.append(("restart", f"{restarts['p50']:.1f} s from kill to answer (median), {restarts['max']:.1f} s at most"))
    return [*out, *kernel_rows(report), *growth_rows(report["growth"])]


def kernel_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """How many kernels were compiled or loaded for the first time while memory use was watched: their code stays."""
    since_s = report["watched_s"]
    seen = [h["kernels"] for h in report["at_home"] if "kernels" in h and since_s is not None and h["at_s"] >= since_s]
    return [("kernels", f"{seen[-1]:.0f}, {seen[-1] - seen[0]:.0f} of them new in the time watched")] if seen else []


def growth_rows(growth: dict[str, Any]) -> list[tuple[str, str]]:
    """How memory use went."""
    if not growth:
        return [("memory use", "no life of the process was watched for long enough to say")]
    out = []
    for name, found in growth.items():
        span = f"{'all' if name == 'watched' else 'the second half'} of the time watched, {found['minutes']:.1f} min"
        told = f"{found['resident_mb']:.0f} MB; {_told(found['resident'])}, {found['in_24_h_mb']:+.1f} MB in 24 hours"
        out.append(("memory use", f"{told}; {span}"))
        if found["allocated"]:
            out.append(("allocated", f"{_told(found['allocated'])}; {span}"))
    return out


def _told(growth: dict[str, float]) -> str:
    """A slope in words: what it is, between what, and whether that says that it is small enough."""
    if growth["high"] <= LARGEST_DRIFT:
        sure = f"at most {LARGEST_DRIFT:g}"
    else:
        sure = f"more than {LARGEST_DRIFT:g}" if growth["low"] > LARGEST_DRIFT else f"not shown to be at most {LARGEST_DRIFT:g}"
    return f"{growth['slope']:+.2f} MB an hour ({growth['low']:+.2f} .. {growth['high']:+.2f}: {sure})"
