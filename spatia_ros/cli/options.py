"""Arguments that several commands share, and what becomes of them."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

    from spatia_ros.config import WorldConfig
    from spatia_ros.types import Float64

T = TypeVar("T")


def examples(text: str) -> str:
    """The examples at the end of a command's help."""
    return "examples:\n" + "\n".join(f"  {line}" if line else "" for line in text.strip().splitlines())


def count(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return value


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config`` and ``--set``."""
    group = parser.add_argument_group("configuration")
    group.add_argument("--config", type=Path, metavar="FILE", help="YAML; what it leaves out keeps its default")
    group.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="assignments",
        help="change one value, e.g. --set camera.width_px=512 --set generator.name=projection; may be repeated",
    )


def config_of(args: argparse.Namespace) -> WorldConfig:
    """The effective configuration: defaults, then ``--config``, then ``--set``."""
    from spatia_ros import config

    base = config.load(args.config) if args.config else config.WorldConfig()
    return config.override(base, args.assignments)


def add_json(parser: argparse._ActionsContainer) -> None:
    """``--json``, on a parser or in a group of one."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")


def write_json_of(args: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Write the figures where ``--json`` says, when it was given."""
    if args.json:
        from spatia_ros.record.files import write_json

        write_json(args.json, figures)


def progress(items: Iterable[T], what: str, total: int | None = None, initial: int = 0) -> Iterator[T]:
    """The items with a progress bar."""
    total = len(items) if total is None and isinstance(items, Sized) else total
    with progress_bar(what, total, initial) as bar:
        for item in items:
            yield item
            bar.update()


def progress_bar(what: str, total: int | None, initial: int = 0) -> tqdm:
    """A bar on stderr, to be advanced with ``update(n)``; a line every ten seconds where that is no terminal."""
    from tqdm import tqdm

    live = sys.stderr.isatty()
    every_s = 0.1 if live else 10.0
    return tqdm(None, what, total, initial=initial, unit="", dynamic_ncols=live, leave=not live, mininterval=every_s)


@contextmanager
def stop_requests() -> Iterator[Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets, so that work ends at a whole frame; the second one interrupts."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_table(rows: Iterable[tuple[str, str]]) -> None:
    """Names and values in two columns."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")


def pose_of(text: str, name: str = "--pose") -> Float64:
    """A pose of seven numbers, position in metres and quaternion x y z w: float64 [4, 4]. ``name`` is the argument's."""
    import numpy as np

    from spatia_ros.geometry import pose_from_quat
    from spatia_ros.types import SpatiaError

    try:
        values = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        values = np.empty(0)
    if len(values) != 7:
        raise SpatiaError(f"{name}: expected seven numbers x y z qx qy qz qw, got {text!r}")
    return pose_from_quat(values[:3], values[3:], name)
