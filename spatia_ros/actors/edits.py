"""Variants of an actor: the same moment, had it been earlier, faster or elsewhere. Nothing else of a scene changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spatia_ros.actors.actor import Actor
from spatia_ros.actors.clock import Change, Clock
from spatia_ros.types import Float64, SpatiaError


def retimed(clock: Clock, factor: float, about_s: float = 0.0, earlier_s: float = 0.0) -> Clock:
    """The clock that shows at ``t`` what the given one shows at ``about + factor * (t - about) + earlier``.

    Raises:
        SpatiaError: unless the factor is positive and all is finite.
    """
    if not (np.isfinite([factor, about_s, earlier_s]).all() and factor > 0):
        raise SpatiaError(f"retimed: expected a factor > 0 and finite seconds, got {factor}, {about_s}, {earlier_s}")

    def when(t: Float64) -> Float64:
        return about_s + (t - earlier_s - about_s) / factor

    def bare(each: Clock) -> Clock:
        return Clock(np.stack([when(each.knots_s[:, 0]), each.knots_s[:, 1]], -1), each.before, each.after)

    changes = tuple(Change(float(when(np.array(c.at_s))), bare(c.clock), c.offset_s) for c in clock.changes)
    base = bare(clock)
    return Clock(base.knots_s, base.before, base.after, changes)


def earlier(actor: Actor, by_s: float) -> Actor:
    """The same actor so many seconds ahead of itself: at ``t`` it is where it would have been at ``t + by_s``."""
    return replace(actor, clock=retimed(actor.clock, 1.0, 0.0, by_s))


def faster(actor: Actor, factor: float, since_s: float | None = None) -> Actor:
    """The same actor at so many times its pace.

    Args:
        factor: 1.2 is 20 % faster.
        since_s: the cast's time at which both are in the same place; None: the first its body knows.
    """
    about = actor.body.span_s[0] if since_s is None else since_s
    return replace(actor, clock=retimed(actor.clock, factor, about))


def moved(actor: Actor, T_world_world: Float64) -> Actor:
    """The same actor with its whole path moved rigidly in the world."""
    return replace(actor, T_world_placed=T_world_world @ actor.T_world_placed)


def stopped(actor: Actor, at_s: float) -> Actor:
    """The same actor, which stands still from a moment of the cast's time on."""
    return replace(actor, clock=actor.clock.switched(at_s, 0.0))


def rewound(actor: Actor, at_s: float, rate: float = 1.0) -> Actor:
    """The same actor, which goes back the way it came from a moment of the cast's time on."""
    return replace(actor, clock=actor.clock.switched(at_s, -rate))
