"""What moves in a place, and in which time: ``--actors``, ``--time`` and ``--time-file``."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spatia_ros.actors import Cast
    from spatia_ros.types import Trajectory
    from spatia_ros.world import World

MAX_CLOCK_BYTES = 1 << 20


def add_cast(parser: argparse.ArgumentParser) -> None:
    """``--actors``, ``--time``, ``--time-file``."""
    group = parser.add_argument_group("what moves there, and in which time (docs/actors.md)")
    group.add_argument("--actors", type=Path, metavar="FILE", help="actors: a script (.yaml), or a cast saved by map (.npz)")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--time", metavar="PATTERN",
        help="play the seconds of the path in another way: forward, reverse, ping-pong, slow, fast, freeze, ramp-freeze, "
        "bullet-time, loop or zigzag (default: the script's clock)",
    )
    either.add_argument("--time-file", type=Path, metavar="FILE", help="their clock, as YAML: {pattern: reverse, end_s: 3}")


def cast_of(args: argparse.Namespace) -> Cast | None:
    """The cast the arguments name; None without actors.

    Raises:
        SpatiaError: when a file does not fit, or a time is asked for that is none, or where nothing moves.
    """
    from spatia_ros.actors import cast_file, pattern, script
    from spatia_ros.types import SpatiaError

    if args.time:
        pattern(args.time, 0.0, 1.0)
    if args.actors is None:
        if args.time or args.time_file:
            raise SpatiaError("--time: expected --actors beside it, as nothing else moves, got none")
        return None
    if not args.actors.is_file():
        raise SpatiaError(f"--actors: expected a script (.yaml) or a saved cast (.npz), {args.actors} is no file")
    cast = cast_file.load(args.actors) if args.actors.suffix == ".npz" else script.load(args.actors)
    if args.time_file:
        cast.set_clock(script.clock_from(_text(args.time_file), args.time_file.name))
    return cast


def join(world: World, cast: Cast | None, trajectory: Trajectory, time: str | None) -> None:
    """Put a cast into a world; with a pattern of time, it plays the seconds from the world's start to the path's end."""
    from spatia_ros.actors import pattern

    if cast is None:
        return
    if time:
        cast.set_clock(pattern(time, 0.0, float((trajectory.stamps_ns[-1] - world.start_ns) * 1e-9)))
    world.cast = cast


def cast_identity(args: argparse.Namespace) -> dict[str, Any]:
    """What the arguments say of actors, as plain values: their files' contents, not their names; empty without actors."""
    if args.actors is None:
        return {}
    clock = args.time or (args.time_file and hashlib.sha256(args.time_file.read_bytes()).hexdigest())
    return {"actors": {"file": hashlib.sha256(args.actors.read_bytes()).hexdigest(), "clock": clock}}


def _text(path: Path) -> str:
    from spatia_ros.types import SpatiaError

    if not path.is_file() or path.stat().st_size > MAX_CLOCK_BYTES:
        raise SpatiaError(f"--time-file: expected a YAML file of at most {MAX_CLOCK_BYTES} bytes, {path} is not one")
    return path.read_text(encoding="utf-8", errors="replace")
