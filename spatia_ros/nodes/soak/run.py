"""The two processes of ``spatia ros soak`` beside the world: who plays, and who checks.

    python -m spatia_ros.nodes.soak.run check --folder DIR --period-ns 100000000
    python -m spatia_ros.nodes.soak.run play --folder DIR --trajectory walk.txt --minutes 5 --supervisor PID

Both report on standard output, one JSON object a line; what did not hold is in the last report. SIGINT ends them with it.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.nodes import environment
from spatia_ros.nodes.tools.tool import tell
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from rclpy.node import Node

    from spatia_ros.nodes.soak.hands import Hands
    from spatia_ros.nodes.soak.ledger import Ledger
    from spatia_ros.nodes.soak.life import Life
    from spatia_ros.nodes.soak.player import Player

TELL_S = 2.0
ROUND = 12
"""Random things between two returns home."""
KILL_SHARE = 0.3
"""Kills, and passages through the lifecycle, come in this share of the time; then everything is rehearsed."""
WATCH_SHARE = 0.5
"""From this share of the time on memory use is watched: what random things need together is there then, too."""
WARM_ROUNDS = 4
"""Rounds after the rehearsal that are not watched, however short the trial."""
CYCLE_EVERY, REST_EVERY = 7, 3
"""Rounds of the first part between passages through all of the lifecycle, and between rests in it."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(prog="python -m spatia_ros.nodes.soak.run", description=__doc__.split("\n\n")[0])
    programs = out.add_subparsers(required=True, metavar="PROGRAM")
    check, play = (
        programs.add_parser("check", help="hear the world and judge it"),
        programs.add_parser("play", help="play with it"),
    )
    for program in (check, play):
        program.add_argument("--folder", type=Path, required=True, metavar="DIR", help="the world's data folder")
        program.add_argument("--map-up", default="z", choices=("z", "y", "-y"), help="the world's parameter frames.map_up")
        program.add_argument("--period-ns", type=int, default=100_000_000, metavar="N", help="time between its frames")
    play.add_argument("--trajectory", type=Path, required=True, metavar="FILE", help="a walk through the place: camera poses")
    play.add_argument("--supervisor", type=int, required=True, metavar="PID", help="the process that starts the world again")
    play.add_argument("--minutes", type=float, default=20.0, metavar="N", help="how long (default: 20)")
    play.add_argument("--kills", type=int, default=3, metavar="N", help="how often the world is killed (default: 3)")
    play.add_argument("--seed", type=int, default=0, metavar="N", help="of what happens (default: 0)")
    check.set_defaults(program=run_check)
    play.set_defaults(program=run_play)
    return out


@contextmanager
def spun(name: str) -> Iterator[Node]:
    """A node that is spun by a thread of its own."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node, executor = rclpy.create_node(name), SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    try:
        yield node
    finally:
        executor.shutdown()
        spinning.join(5.0)
        node.destroy_node()
        rclpy.try_shutdown()


def run_check(args: argparse.Namespace, stop: threading.Event) -> None:
    """Judge until the player says that it is over, or until interrupted."""
    from spatia_ros.nodes.soak.checker import Checker
    from spatia_ros.nodes.soak.ledger import Ledger

    with spun("soak_checker") as node:
        checker = Checker(node, Ledger(), args.map_up, args.period_ns, args.folder)
        tell({"ready": True})
        while not (checker.ended or stop.wait(TELL_S)):
            counts = checker.ledger.counts
            tell({"checked": {name: counts[name] for name in ("frames", "checks", "wrong")}})
        tell({"report": checker.report()})


def run_play(args: argparse.Namespace, stop: threading.Event) -> None:
    """Play until the time is up, or until interrupted."""
    import numpy as np

    from spatia_ros.nodes.rig.frames import Rig
    from spatia_ros.nodes.settings import FrameSettings
    from spatia_ros.nodes.soak.hands import Hands
    from spatia_ros.nodes.soak.ledger import Ledger
    from spatia_ros.nodes.soak.life import Life
    from spatia_ros.nodes.soak.player import Player
    from spatia_ros.sequence.w2c import read_camera_path

    rig = Rig(FrameSettings(map_up=args.map_up))
    poses = rig.bases_of(read_camera_path(args.trajectory, 10.0))
    rng, ledger = np.random.default_rng(args.seed), Ledger()
    with spun("soak_player") as node:
        hands = Hands(node)
        player = Player(hands, ledger, poses, args.folder, args.period_ns, rng)
        life = Life(player, hands, ledger, args.supervisor, args.folder, rng)
        try:
            played(player, life, ledger, args.minutes, args.kills, stop.is_set, tell)
        except Exception as error:  # it cannot go on: what was seen so far is told all the same
            traceback.print_exc()
            ledger.expect(False, f"{type(error).__name__}: {error}")
        finally:
            end(hands, ledger, life)


def played(
    player: Player, life: Life, ledger: Ledger, minutes: float, kills: int, over: Callable[[], bool],
    say: Callable[[dict[str, Any]], None],
) -> None:  # fmt: skip
    """Play: kills and passages through the lifecycle first, then one long life, rehearsed; each round ends at home."""
    life.begin()
    start, rounds, warm_at, watched = time.monotonic(), 0, 0, False

    def passed() -> float:
        return (time.monotonic() - start) / (60.0 * minutes) if minutes else 1.0

    while not over() and (passed() < 1.0 or ledger.counts["kills"] < kills):
        if ledger.counts["kills"] < min(kills, 1 + kills * passed() / KILL_SHARE):
            life.kill()
        else:
            if passed() < KILL_SHARE and rounds % CYCLE_EVERY == CYCLE_EVERY - 1:
                life.cycle()
            elif rounds % REST_EVERY == REST_EVERY - 1:
                life.rest()
            elif passed() >= KILL_SHARE and not warm_at:
                player.rehearse(over)
                player.home()
                warm_at = rounds + WARM_ROUNDS
            for _ in range(ROUND):
                player.turn()
                if over():
                    break
        player.home()
        rounds += 1
        say({"home": rounds, "kills": ledger.counts["kills"], "wrong": ledger.counts["wrong"], "held": player.hands.held()})
        if warm_at and not watched and rounds >= warm_at and passed() >= WATCH_SHARE:
            watched = True
            say({"watched": True})


def end(hands: Hands, ledger: Ledger, life: Life) -> None:
    """Tell the checker that it is over, and report."""
    from spatia_ros.nodes.soak.marks import END

    hands.gone.clear()
    try:
        hands.mark(END)
    except SpatiaError as error:
        ledger.expect(False, str(error))
    tell({"report": {"counts": dict(sorted(ledger.counts.items())), "wrong": ledger.wrong, **life.report()}})


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    args = parser().parse_args(arguments)
    environment.enter()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    args.program(args, stop)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
