"""Ten ways to play a piece of animation, by name: those of SpaceTimePilot (arXiv 2512.25075) and of our own tests.

A pattern plays the animation from ``start_s`` to ``end_s`` while ``length_s`` of time go by from ``at_s`` on. Before, time runs
at its natural pace up to the pattern's first moment; after, most patterns let it run on from where they ended.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spatia_ros.actors.clock import Clock
from spatia_ros.types import SpatiaError

SHAPES: dict[str, tuple[tuple[tuple[float, float], ...], str]] = {
    "forward": (((0, 0), (1, 1)), "real"),
    "reverse": (((0, 1), (1, 0)), "hold"),
    "ping-pong": (((0, 0), (0.5, 1), (1, 0)), "loop"),
    "slow": (((0, 0), (0.25, 0.5), (1, 1)), "real"),
    "fast": (((0, 0), (0.5, 0.25), (1, 1)), "real"),
    "freeze": (((0, 0), (1, 0)), "real"),
    "ramp-freeze": (((0, 0), (0.5, 1), (1, 1)), "hold"),
    "bullet-time": (((0, 0), (1 / 3, 0.5), (2 / 3, 0.5), (1, 1)), "real"),
    "loop": (((0, 0), (1, 1)), "loop"),
    "zigzag": (((0, 0), (0.4, 0.8), (0.6, 0.2), (1, 1)), "real"),
}
"""Corners (share of the length, share of the animation), and what follows: "real" runs on, "hold" stands, "loop" repeats.

``slow`` plays its second half at a third of the pace of its first, ``fast`` at three times; ``freeze`` shows ``start_s``.
"""


def pattern(name: str, start_s: float, end_s: float, length_s: float | None = None, at_s: float | None = None) -> Clock:
    """The clock of a pattern.

    Args:
        name: one of :data:`SHAPES`.
        start_s, end_s: the piece of animation it plays, s; not before it starts.
        length_s: how long that takes, s; None: as long as the piece is.
        at_s: when it begins, s; None: at ``start_s``.

    Raises:
        SpatiaError: for an unknown name, or times that are no piece.
    """
    if name not in SHAPES:
        raise SpatiaError(f"pattern: expected one of {', '.join(SHAPES)}, got {name!r}")
    length = end_s - start_s if length_s is None else length_s
    at = start_s if at_s is None else at_s
    if not np.isfinite([start_s, end_s, length, at]).all() or end_s < start_s or length <= 0:
        raise SpatiaError(f"pattern {name}: expected finite start_s <= end_s and length_s > 0, got {start_s}, {end_s}, {length}")
    corners, follows = SHAPES[name]
    knots = np.array(corners, np.float64) * (length, end_s - start_s) + (at, start_s)
    played = Clock(knots, "hold", "loop" if follows == "loop" else "hold")
    clock = Clock.line(at, float(knots[0, 1]), 1.0).replaced(at, played)
    return clock.switched(at + length, 1.0) if follows == "real" else clock


PATTERNS: dict[str, Callable[[float, float], Clock]] = {
    name: lambda start_s, end_s, name=name: pattern(name, start_s, end_s) for name in SHAPES  # type: ignore[misc]
}
"""Every pattern by name, played over the very seconds it shows: ``PATTERNS[name](start_s, end_s)``."""
