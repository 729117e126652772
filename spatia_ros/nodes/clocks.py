"""Clocks asked for over ROS: how time runs for the whole cast, or for one actor of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatia_ros.actors import Cast, Clock, pattern
from spatia_ros.srv import SetAnimationTime
from spatia_ros.types import SpatiaError

Ask = SetAnimationTime.Request
MAX_REQUEST_KNOTS = 10_000


def answer(request: Any, response: Any, cast: Cast, world_s: float) -> str:
    """Change a clock as a request asks, fill the response, and return its message.

    Args:
        world_s: the world's seconds now.

    Raises:
        SpatiaError: saying why nothing was changed; the response still tells the clock in force, if there is such an actor.
    """
    actor = cast.find(request.actor) if request.actor else None
    now_s = world_s if actor is None else cast.clock.at(world_s)
    before = cast.clock if actor is None else actor.clock
    _tell(response, before, now_s)
    if request.mode == Ask.GET:
        return ""
    asked = _asked(request, now_s, before.at(now_s))
    # The world's seconds only rise, so its past is kept. What an actor's clock reads may turn round and come back.
    cast.set_clock(before.replaced(now_s, asked) if actor is None else asked, None if actor is None else actor.id)
    _tell(response, cast.clock if actor is None else asked, now_s)
    return ""


def _asked(request: Any, now_s: float, tau_s: float) -> Clock:
    """The clock a request describes."""
    for name in ("rate", "tau_s", "at_s", "duration_s", "from_s", "to_s"):
        if not np.isfinite(getattr(request, name)):
            raise SpatiaError(f"set_animation_time: {name}: expected a finite number, got {getattr(request, name)}")
    if request.mode == Ask.REAL:
        return Clock.REAL
    if request.mode == Ask.RATE:
        return Clock.line(now_s, tau_s, request.rate)
    if request.mode == Ask.TAU:
        return Clock.line(now_s, request.tau_s, request.rate)
    t_0, tau_0 = (0.0, 0.0) if request.absolute else (now_s, tau_s)
    if request.mode == Ask.PATTERN:
        first_s = tau_0 + request.from_s
        last_s = tau_0 + (request.to_s if request.to_s > request.from_s else request.from_s + request.duration_s)
        return pattern(request.pattern, first_s, last_s, request.duration_s, t_0 + request.at_s)
    if request.mode == Ask.KNOTS:
        return Clock(_knots(request.knots_s) + (t_0 + request.at_s, tau_0), request.before or "hold", request.after or "hold")
    raise SpatiaError(f"set_animation_time: expected a mode of {Ask.GET}..{Ask.REAL}, got {request.mode}")


def _knots(values: Any) -> np.ndarray:
    """float64 [K, 2] of t0 tau0 t1 tau1 ...; whether they are finite and rise is the clock's to say."""
    if len(values) % 2 or not 2 <= len(values) <= 2 * MAX_REQUEST_KNOTS:
        wanted = f"1..{MAX_REQUEST_KNOTS} pairs of t and tau"
        raise SpatiaError(f"set_animation_time: knots_s: expected {wanted}, got {len(values)} numbers")
    return np.asarray(values, np.float64).reshape(-1, 2)


def _tell(response: Any, clock: Clock, now_s: float) -> None:
    """Say which clock is in force: of its parts, the one that is followed now."""
    response.time_s, response.animation_s = now_s, clock.at(now_s)
    part, offset_s = clock, 0.0
    for change in clock.changes:
        if change.at_s <= now_s:
            part, offset_s = change.clock, change.offset_s
    response.knots_s = (part.knots_s + (0.0, offset_s)).ravel().tolist()
    response.before, response.after = part.before, part.after
