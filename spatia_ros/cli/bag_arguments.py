"""The arguments of ``spatia ros record``, ``play`` and ``mend``: said once for the command line and the program behind it."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_record(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``record``."""
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="FILE.mcap, or a folder (rosbag2) to make; it must not exist"
    )
    parser.add_argument("--wait-for", nargs="*", default=[], metavar="TOPIC", help="say ready once these are connected")
    parser.add_argument("--topics", nargs="*", default=[], metavar="TOPIC", help="record only these (default: all)")
    parser.add_argument("--split-mb", type=float, default=0.0, metavar="MB", help="folders: begin another file after so much")
    parser.add_argument("--split-s", type=float, default=0.0, metavar="S", help="folders: begin another file after so long")
    parser.add_argument("--no-compression", action="store_true", help="leave chunks as they are (default: Zstandard)")


def record_words(args: argparse.Namespace) -> list[str]:
    """The same again as words."""
    words = ["--out", str(args.out), f"--split-mb={args.split_mb}", f"--split-s={args.split_s}"]
    words += ["--no-compression"] if args.no_compression else []
    return words + _lists(args, ("wait_for", "topics"))


def add_play(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``play``."""
    parser.add_argument("bag", type=Path, metavar="BAG", help="an .mcap or .db3 file, or a rosbag2 folder")
    parser.add_argument("--rate", type=float, default=1.0, metavar="R", help="times as fast as it was recorded (default: 1)")
    parser.add_argument("--start-offset", type=float, default=0.0, metavar="S", help="leave out so much of its beginning, s")
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until Ctrl-C")
    parser.add_argument("--clock", type=float, default=0.0, metavar="HZ", help="publish its time on /clock, so often a second")
    parser.add_argument("--topics", nargs="*", default=[], metavar="TOPIC", help="play only these (default: all)")
    parser.add_argument("--wait-for", nargs="*", default=[], metavar="TOPIC", help="begin once somebody listens to these")


def play_words(args: argparse.Namespace) -> list[str]:
    """The same again as words."""
    words = [str(args.bag), f"--rate={args.rate}", f"--start-offset={args.start_offset}", f"--clock={args.clock}"]
    words += ["--loop"] if args.loop else []
    return words + _lists(args, ("topics", "wait_for"))


def add_mend(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``mend``."""
    parser.add_argument("bag", type=Path, metavar="BAG", help="FILE.mcap.partial, or the folder that holds one")


def _lists(args: argparse.Namespace, names: tuple[str, ...]) -> list[str]:
    return [word for name in names if getattr(args, name) for word in (f"--{name.replace('_', '-')}", *getattr(args, name))]
